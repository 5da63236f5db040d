"""What runs used is used: the next one takes what is left, until somebody brings something new."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import Plate
from typer.testing import CliRunner

from flows.serial_dilution import serial_dilution
from praxis_core.assets.catalogue import Catalogue
from praxis_core.cli import app
from praxis_core.errors import Problem, RunRefused
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import Orchestrator, RunRequest
from praxis_core.protocol import protocol
from praxis_core.settings import PraxisSettings
from praxis_core.simulator.comparison import differences
from praxis_core.simulator.lab_control import LabControl
from praxis_core.simulator.lab_link import LabLink
from praxis_core.simulator.lab_process import LabProcess
from praxis_core.workcell.definition import Refill, WorkcellDefinition
from praxis_core.workcell.link import LocalLink
from praxis_core.workcell.runtime import WorkcellRuntime

SPARE = {"tips_300_03", "tips_300_04", "tips_1000_01"}


class Bench:
    """The library's STAR with two racks, on a pretend lab that goes on."""

    def __init__(self, journal: Journal, settings: PraxisSettings, control: LabControl) -> None:
        self._journal = journal
        self._settings = settings
        self._control = control
        self._links: list[LabLink] = []
        self.last = uuid4()
        """The run that was asked for last."""
        self.orchestrator = Orchestrator(
            journal=journal, settings=settings, link_for=self._connected
        )

    def _connected(self, definition: WorkcellDefinition, _version: int) -> LocalLink:
        link = LabLink(self._settings.lab_socket(definition.name), epoch=len(self._links) + 1)
        self._links.append(link)
        return LocalLink(
            WorkcellRuntime(definition, journal=self._journal, reach=link, clock=link.clock)
        )

    async def dilute(self) -> tuple[object, object]:
        """Run a serial dilution; which rack and which plate it took."""
        request = RunRequest(
            uuid4(), "a run", serial_dilution, "bench", assets={"stock": "dye_stock"}
        )
        await self.orchestrator.run(request)
        assets = (await self._journal.run(request.run_id)).assets
        return assets["tips"], assets["plate"]

    async def refused(self) -> list[Problem]:
        """Ask for a serial dilution that cannot be; what is missing."""
        with pytest.raises(RunRefused) as refusal:
            await self.dilute()
        problems: list[Problem] = refusal.value.details["problems"]  # type: ignore[assignment]
        return problems

    async def carry(self, plate: str) -> None:
        """Run a protocol that carries a plate."""
        request = RunRequest(uuid4(), "a run", carrying, "bench", assets={"plate": plate})
        self.last = request.run_id
        await self.orchestrator.run(request)

    async def refused_to_carry(self, plate: str, named: str) -> None:
        """See that such a run is refused, and says why."""
        with pytest.raises(RunRefused, match=named):
            await self.carry(plate)
        assert await self._journal.commands(self.last) == []

    async def differences(self) -> list[str]:
        """Compare the lab's truth with what the database knows."""
        await self._journal.settled()
        known = await Catalogue(self._journal.database).state("bench")
        return differences(self._control.truth(), known.model_dump(mode="json"))

    async def close(self) -> None:
        """Let go of everything."""
        await self.orchestrator.close()
        for link in self._links:
            await link.close()


@pytest.fixture
def settings(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PraxisSettings]:
    """A home that the command line finds."""
    with TemporaryDirectory(prefix="home") as home:
        monkeypatch.setenv("PRAXIS_DATABASE_URL", database_url)
        monkeypatch.setenv("PRAXIS_REDIS_URL", redis_url)
        monkeypatch.setenv("PRAXIS_HOME", home)
        yield PraxisSettings()


@pytest.fixture
async def bench(journal: Journal, settings: PraxisSettings, tmp_path: Path) -> AsyncIterator[Bench]:
    """The workcell, which says nothing of refills."""
    star = WorkcellDefinition.model_validate((await journal.workcell("star")).definition)
    labware = tuple(one for one in star.labware if one.name not in SPARE)
    definition = star.model_copy(update={"name": "bench", "labware": labware})
    document = definition.model_dump(mode="json")
    del document["refill"]
    await journal.store_workcell("bench", document)
    socket = settings.lab_socket("bench")
    socket.parent.mkdir(parents=True, exist_ok=True)
    with LabProcess(definition, tmp_path, socket) as lab, lab.control() as control:
        bench = Bench(journal, settings, control)
        yield bench
        await bench.close()


async def test_tips_used_yesterday_are_used_today(bench: Bench) -> None:
    """Two runs take different ones; the third is refused, with what to type; the fourth runs."""
    assert await bench.dilute() == ("tips_300_01", "plate_01")
    assert await bench.differences() == []
    assert await bench.dilute() == ("tips_300_02", "plate_02")
    assert await bench.differences() == []

    problems = await bench.refused()

    rack = "rack tips_300_01 has 0 of 96 tips; needs 96 more"
    plate = "plate_01 is not empty: 96 of 96 wells hold liquid"
    assert problems == [
        Problem("assets.tips", rack, "praxis assets replace tips_300_01 -w bench"),
        Problem("assets.plate", plate, "praxis assets replace plate_01 -w bench"),
    ]
    assert await bench.differences() == []

    for problem in problems:
        await type_in(problem.mend)
        assert await bench.differences() == []
    assert await bench.dilute() == ("tips_300_01", "plate_01")
    assert await bench.differences() == []


async def test_all_labware_is_brought_anew_in_one_line(bench: Bench) -> None:
    """As the definition says: full racks, empty plates, and troughs with what is in them."""
    await bench.dilute()

    said = await type_in("praxis assets refill -w bench --by ada")

    assert "assets of workcell bench are as its definition says" in said
    assert await bench.differences() == []
    assert await bench.dilute() == ("tips_300_01", "plate_01")
    assert await bench.differences() == []


@protocol(name="carrying", version="1.0.0")
async def carrying(lh: LiquidHandler, plate: Plate) -> None:
    """Carry a plate to the fourth site of its carrier, wherever it stands."""
    await lh.move_plate(plate, lh.deck.get_resource("carrier_plates").sites[3])


async def test_what_stands_otherwise_refuses_a_run_before_anything_moves(bench: Bench) -> None:
    """Something else in the place, a plate on a shelf, and one that was discarded."""
    await type_in("praxis assets move plate_02 carrier_plates[3] -w bench")
    mend = r"put it elsewhere, then: praxis assets move plate_02 PLACE -w bench"
    site = r"carrier 1, site 4 \(carrier_plates-3\)"
    await bench.refused_to_carry("plate_01", rf"{site}: plate_02 stands there \({mend}\)")
    await type_in("praxis assets move plate_02 'shelf 1' -w bench")
    await bench.refused_to_carry("plate_02", "shelf 1")
    await type_in("praxis assets status dose_plate discarded -w bench")
    await bench.refused_to_carry("dose_plate", "dose_plate is discarded")

    await bench.carry("plate_01")

    assert await bench.differences() == []
    await type_in("praxis assets move plate_01 carrier_plates[4] -w bench")
    await type_in("praxis assets move plate_02 carrier_plates[0] -w bench")
    await bench.carry("plate_02")
    assert await bench.differences() == []


async def type_in(line: str) -> str:
    """Type a command, as a person would; what it says."""
    words = shlex.split(line.removeprefix("praxis "))
    done = await asyncio.to_thread(CliRunner().invoke, app, words)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def test_nothing_comes_back_by_itself_unless_a_workcell_says_so() -> None:
    """The default."""
    assert WorkcellDefinition.model_validate({"name": "a", "devices": {}}).refill is Refill.BY_HAND
