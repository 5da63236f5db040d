"""The library's workcell in the catalogue: all of it comes back."""

from __future__ import annotations

from pathlib import Path

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.entries import By
from praxis_core.assets.manager import AssetManager
from praxis_core.journal.database import Database
from praxis_core.workcell.definition import load_definition
from praxis_core.workcell.initial_state import initial_assets
from praxis_core.workcell.model import build, simulated_backend
from praxis_core.workcell.stock import descriptions

STAR = Path(__file__).parents[2] / "flows" / "workcells" / "star.yaml"


async def test_the_star_comes_back_from_the_catalogue_as_it_was_built(database_url: str) -> None:
    """Every container, tip, place and rack; each filling has a source of its own."""
    model = build(load_definition(STAR), simulated_backend)
    built, things = initial_assets(model), descriptions(model)
    async with Database(database_url) as database:
        catalogue = Catalogue(database)

        new = await catalogue.register("star", built, things, By("definition"))

        state = await catalogue.state("star")
        assert new == things.keys()
        assert {one.kind for one in await catalogue.find(workcell="star")} >= {
            "device", "deck", "plate", "tip_rack", "carrier", "trough",
        }  # fmt: skip
    for name, container in state.containers.items():
        assert [*container.sources.values()] == [*built.containers[name].sources.values()]
        assert all(map(str.isdecimal, container.sources))
        container.sources = built.containers[name].sources
    assert state == built
    assert not AssetManager(state, things).take_changes()
