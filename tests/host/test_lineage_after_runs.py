"""What was pooled in four runs is told with the exact amount of every filling."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import Container, Plate, TipRack
from typer.testing import CliRunner

from praxis_core.cli import app
from praxis_core.host.link import HostLink
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import Orchestrator, RunRequest
from praxis_core.protocol import protocol
from praxis_core.settings import PraxisSettings
from praxis_core.simulator.lab_process import LabProcess
from praxis_core.workcell.definition import Refill, WorkcellDefinition, load_definition
from tests.host.test_assets_after_kills import STAR

if TYPE_CHECKING:
    from tests.host.conftest import HostProcess

POOL = "plate_02[A1]"
RUNS: tuple[tuple[tuple[str, str, int], ...], ...] = (
    (("dye_stock", "plate_01[A1]", 40), ("diluent", "plate_01[B1]", 60)),
    (("plate_01[A1]", POOL, 50), ("plate_01[B1]", POOL, 30)),
    (("dose_plate[A1]", POOL, 25), (POOL, "plate_02[B1]", 35), ("plate_01[A1]", POOL, 17)),
    (("plate_02[B1]", POOL, 10), ("dye_stock", POOL, 20), (POOL, "plate_01[C1]", 33)),
)
"""What each run transfers: from where, where to, µL; each with a tip of its own."""

FILLED = {
    "dye_stock": (40_000, "L8", "dye"),
    "diluent": (60_000, "D1", "salt"),
    "plate_01[A1]": (200, "S1", "one"),
    "plate_01[B1]": (120, "S2", "two"),
    "dose_plate[A1]": (150, "C7", "dose"),
}
"""µL, lot, and what is dissolved in it, of which nothing else has any: 100 µM of it."""
NEW_LOT = ("dye_stock", (30_000, "L9", "newer"))
"""Comes before the last run."""


@protocol(name="pooling", version="1.0.0")
async def pooling(  # noqa: PLR0913, PLR0917  # what stands on the deck
    lh: LiquidHandler,
    tips: TipRack,
    plates: list[Plate],
    stock: Container,
    diluent: Container,
    number: int,
) -> None:
    """Transfer what one of the runs does."""
    wells: dict[str, Any] = {"dye_stock": stock, "diluent": diluent}
    wells |= {f"{plate.name}[{row}1]": plate[f"{row}1"][0] for plate in plates for row in "ABC"}
    fresh = [spot for spot in tips.get_all_items() if spot.has_tip()]
    for spot, (source, target, volume) in zip(fresh, RUNS[number], strict=False):
        await lh.pick_up_tips([spot])
        await lh.aspirate([wells[source]], vols=[volume])
        await lh.dispense([wells[target]], vols=[volume])
        await lh.discard_tips()


@pytest.fixture
async def star(
    new_host: object, journal: Journal, settings: PraxisSettings, monkeypatch: pytest.MonkeyPatch
) -> WorkcellDefinition:
    """A STAR where what was used stays used, and the command line finds it."""
    assert settings.database_url is not None
    assert settings.redis_url is not None
    monkeypatch.setenv("PRAXIS_HOME", str(settings.home_path))
    monkeypatch.setenv("PRAXIS_DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("PRAXIS_REDIS_URL", settings.redis_url.get_secret_value())
    definition = load_definition(STAR).model_copy(
        update={"name": "bench", "refill": Refill.BY_HAND}
    )
    await journal.store_workcell("bench", definition.model_dump(mode="json"))
    return definition


@pytest.fixture
def lab(star: WorkcellDefinition, settings: PraxisSettings) -> Iterator[LabProcess]:
    """Its pretend lab."""
    settings.socket_folder.mkdir(parents=True, exist_ok=True)
    lab = LabProcess(star, settings.home_path / "lab", settings.lab_socket("bench"))
    yield lab.start()
    lab.kill()


async def test_a_pooled_well_tells_all_its_sources_after_four_runs(
    lab: LabProcess,
    new_host: Callable[..., HostProcess],
    journal: Journal,
    settings: PraxisSettings,
) -> None:
    """As computed by hand, and as the chemistry of the pretend lab has it."""
    host = new_host()
    host.arguments = ()
    await asyncio.to_thread(host.start)
    orchestrator = Orchestrator(
        journal=journal,
        settings=settings,
        link_for=lambda definition, version: HostLink.to(
            settings, definition.name, workcell_version=version
        ),
    )
    by_hand = _Liquids()
    for name, filling in FILLED.items():
        await _fill(name, *filling)
        by_hand.fill(name, filling)
    for number, transfers in enumerate(RUNS):
        if number == len(RUNS) - 1:
            await _fill(NEW_LOT[0], *NEW_LOT[1])
            by_hand.fill(*NEW_LOT)
        await orchestrator.run(_request(number))
        for transfer in transfers:
            by_hand.transfer(*transfer)
    await orchestrator.close()
    await journal.settled()

    with lab.control() as control:
        liquids = control.truth()["liquids"]
    assert {part for part, _ in by_hand.wells[POOL]} == {*FILLED}
    for well in (POOL, "plate_02[B1]", "plate_01[C1]", "plate_01[A1]"):
        expected = by_hand.wells[well]
        found = await _praxis("lineage", well)
        told = {(_well(one["part"]), one["lot"]): one["volume"] for one in found["origins"]}
        assert told == pytest.approx(
            {source: float(volume) for source, volume in expected.items()}, rel=1e-9
        )
        assert found["volume"] == pytest.approx(float(sum(expected.values())), rel=1e-9)
        amounts = {by_hand.solutes[source]: 100 * float(expected[source]) for source in expected}
        assert liquids[_part(well)]["amounts"] == pytest.approx(amounts, rel=1e-9)


class _Liquids:
    """What is where, in fractions: a transfer takes of everything its share."""

    def __init__(self) -> None:
        self.wells: dict[str, dict[tuple[str, str], Fraction]] = {}
        self.solutes: dict[tuple[str, str], str] = {}

    def fill(self, name: str, filling: tuple[int, str, str]) -> None:
        volume, lot, solute = filling
        self.wells[name] = {(name, lot): Fraction(volume)}
        self.solutes[name, lot] = solute

    def transfer(self, source: str, target: str, volume: int) -> None:
        here, there = self.wells[source], self.wells.setdefault(target, {})
        part = Fraction(volume) / sum(here.values())
        for origin, amount in [*here.items()]:
            here[origin] = amount * (1 - part)
            there[origin] = there.get(origin, Fraction(0)) + amount * part


def _request(number: int) -> RunRequest:
    assets: dict[str, str | list[str] | None] = {
        "tips": "tips_300_01",
        "plates": ["plate_01", "plate_02", "dose_plate"],
        "stock": "dye_stock",
        "diluent": "diluent",
    }
    return RunRequest(
        uuid4(), "a run", pooling, "bench", assets=assets, parameters={"number": number}
    )


async def _fill(name: str, volume: int, lot: str, solute: str) -> None:
    words = ("--set", f"{volume}uL", "--lot", lot, "--solute", f"{solute}=100uM")
    assert (await _praxis("volume", name, *words))["in_the_lab"] is True


async def _praxis(*words: str) -> Any:
    line = ["assets", *words, "-w", "bench", "--json"]
    done = await asyncio.to_thread(CliRunner().invoke, app, line)
    assert done.exit_code == 0, (done.output, done.exception)
    return json.loads(done.stdout)


def _part(well: str) -> str:
    return well.replace("[", "_well_").removesuffix("]")


def _well(part: str) -> str:
    name, _, well = part.partition("_well_")
    return f"{name}[{well}]" if well else name
