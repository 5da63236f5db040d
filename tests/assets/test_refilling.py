"""A person brings new labware, as the definition of the workcell describes it."""

from __future__ import annotations

from uuid import UUID

import pytest

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.corrections import Filling
from praxis_core.assets.entries import By
from praxis_core.assets.manager import AssetManager
from praxis_core.assets.state import AssetManagerState
from praxis_core.errors import AssetInUse, AssetUnknown, PlaceOccupied, RequestError
from praxis_core.journal.record import Journal
from tests.assets.conftest import plain

ADA = By("ada", "new labware")
LABWARE = ("plate", "plate2", "tips", "tips2", "trough", "waste")


async def test_everything_is_as_the_definition_says(
    catalogue: Catalogue, assets: AssetManager, beginning: AssetManagerState
) -> None:
    """Tips, volumes and places; said by whom and why, and a second time nothing changes."""
    await catalogue.set_tips("bench", "tips", "all", ADA)
    await catalogue.set_volume("bench", "trough", Filling(5), ADA)
    await catalogue.move("bench", "plate", "deck", ADA)

    done = await catalogue.refill("bench", beginning, ADA)

    assert (done.names, done.left) == (LABWARE, ())
    assert done.changes.assets.keys() == {"plate", "tips", "trough"}
    state = await catalogue.state("bench")
    beginning.containers["trough"].sources = state.containers["trough"].sources
    assert plain(state) == plain(beginning)
    place = (await catalogue.places("bench", "plate"))[-1]
    assert (place.parent, place.who, place.why) == ("plate_site", "ada", "new labware")
    assert not (await catalogue.refill("bench", beginning, ADA)).changes


async def test_what_a_run_has_stays_as_it_is(
    catalogue: Catalogue,
    assets: AssetManager,
    beginning: AssetManagerState,
    journal: Journal,
    run_on_bench: UUID,
) -> None:
    """It is told; and who asks for just that is refused."""
    for rack in ("tips", "tips2"):
        await catalogue.set_tips("bench", rack, "all", ADA)
    await journal.claim_assets("bench", ["tips"], run_id=run_on_bench, attempt=1, take_over=False)

    with pytest.raises(AssetInUse, match=f"run {run_on_bench}"):
        await catalogue.refill("bench", beginning, ADA, ["tips2", "tips"])
    assert not (await catalogue.state("bench")).tip_spots["tips2_A1"]
    done = await catalogue.refill("bench", beginning, ADA)

    assert done.left == ("tips",)
    spots = (await catalogue.state("bench")).tip_spots
    assert (spots["tips_A1"], spots["tips2_A1"]) == (False, True)


async def test_nothing_is_put_where_something_else_stands(
    catalogue: Catalogue, assets: AssetManager, beginning: AssetManagerState
) -> None:
    """Both of them together may change places."""
    await catalogue.move("bench", "plate2", "deck", ADA)
    await catalogue.move("bench", "plate", "plate2_site", ADA)

    with pytest.raises(PlaceOccupied, match="plate stands there"):
        await catalogue.refill("bench", beginning, ADA, ["plate2"])
    assert (await catalogue.asset("bench", "plate2")).place == "deck"
    await catalogue.refill("bench", beginning, ADA, ["plate2", "plate"])

    assert (await catalogue.asset("bench", "plate2")).place == "plate2_site"


async def test_only_labware_of_the_definition_is_brought(
    catalogue: Catalogue, assets: AssetManager, beginning: AssetManagerState
) -> None:
    """A misspelt name, a device."""
    with pytest.raises(AssetUnknown, match="Closest: plate"):
        await catalogue.refill("bench", beginning, ADA, ["plat"])
    with pytest.raises(RequestError, match="does not say what star holds"):
        await catalogue.refill("bench", beginning, ADA, ["star"])
