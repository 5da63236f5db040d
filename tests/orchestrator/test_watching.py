"""Whoever watches a run or a workcell sees what happens: as a picture, as lines, as JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.plate_reading import PlateReader
from pylabrobot.resources import Plate, TipRack, Trough
from rich.console import Console
from typer.testing import CliRunner

from praxis_core.assets.state import AssetManagerState, ContainerContents
from praxis_core.cli import app, watching
from praxis_core.cli.changes import Change, changes
from praxis_core.cli.deck_grid import grid_lines, grids
from praxis_core.cli.run_seen import RunReader
from praxis_core.cli.screen import picture
from praxis_core.errors import ServiceUnreachable
from praxis_core.journal.questions import Questions
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import Orchestrator, RunRequest
from praxis_core.page.reading import Sections
from praxis_core.protocol import operator, protocol, run, step
from praxis_core.settings import PraxisSettings

ASSETS = {"tips": "tips_300_01", "stock": "dye_stock", "plate": "plate_01"}


@step("Fill a column")
async def fill(lh: LiquidHandler, tips: TipRack, stock: Trough, plate: Plate) -> None:
    """Give 100 µL to each well of a column; somebody looks meanwhile."""
    await lh.pick_up_tips(tips["A1:H1"])
    await lh.aspirate([stock] * 8, vols=[100] * 8)
    await lh.dispense(plate["A1:H1"], vols=[100] * 8)
    await operator.confirm("Is the plate clear?")
    await lh.discard_tips()


@protocol
async def watched(
    lh: LiquidHandler, reader: PlateReader, tips: TipRack, stock: Trough, plate: Plate
) -> None:
    """Fill a column and read it."""
    await fill(lh, tips, stock, plate)
    await reader.open()
    await run.bring(plate, "reader")
    await reader.read_absorbance(wavelength=430, use_new_return_type=True)


class Seeing:
    """Keeps what is seen."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.seen: list[Sections] = []

    def showing(self) -> AbstractContextManager[object]:
        """Nothing is drawn."""
        return nullcontext()

    def show(self, before: Sections, now: Sections) -> None:
        """Keep it."""
        self.seen.append(now)
        self.changes += changes(before, now)

    async def until(self, what: str, **values: object) -> dict[str, Any]:
        """Wait until something has changed to this."""
        async with asyncio.timeout(20):
            while True:
                for one in self.changes:
                    if one.what == what and values.items() <= one.value.items():
                        return one.value
                await asyncio.sleep(0.01)


@asynccontextmanager
async def under_way(orchestrator: Orchestrator, run_id: UUID) -> AsyncIterator[asyncio.Task[Any]]:
    """A run that goes on in this process."""
    request = RunRequest(run_id, "watched", watched, "star", assets=ASSETS)
    task = asyncio.create_task(orchestrator.run(request))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> PraxisSettings:
    """Where whoever watches finds everything."""
    return PraxisSettings(
        home=tmp_path, database_url=SecretStr(database_url), redis_url=SecretStr(redis_url)
    )


async def test_a_run_is_seen_until_it_ends(
    orchestrator: Orchestrator,
    journal: Journal,
    settings: PraxisSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """How far it is, what it does, asks and measures, and the wells that are touched."""
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.02)
    run_id, person, view = uuid4(), Questions(journal.database), Seeing()
    async with under_way(orchestrator, run_id) as task:
        async with asyncio.timeout(20):
            while not await person.open(run_id):
                assert not task.done(), task.result()
                await asyncio.sleep(0.02)
        reader = RunReader(settings, run_id, journal)
        at_work = asyncio.create_task(watching.watch(reader.read, view, watching.has_ended))
        question = await view.until("question", title="Is the plate clear?")
        assert question["answers"] == [f"praxis run answer {run_id} yes"]
        seen: Any = view.seen[-1]
        assert seen["progress"]["told"].startswith("step 1 of 1, command 3 of ")
        assert seen["progress"]["step"] == "Fill a column"
        [grid] = seen["grids"]
        assert grid["name"] == "plate_01"
        assert set(grid["touched"]) == {f"{row}1" for row in "ABCDEFGH"}
        assert 0 < grid["cells"]["A1"] < 1
        assert grid["cells"]["A2"] == 0
        await person.answer(question["id"], {}, "ada", "cli")
        last: Any = await at_work
        await task

    assert last["run"]["status"] == "succeeded"
    await view.until("question", id=question["id"], over=True)
    await view.until("step", name="Fill a column", status="succeeded")
    measured = await view.until("measurement", quantity="absorbance 430 nm", asset="plate_01")
    assert measured["count"] == 96
    numbers = [one.value["number"] for one in view.changes if one.what == "command"]
    stored = [one.number for one in await journal.commands(run_id)]
    assert [*dict.fromkeys(numbers)] == stored
    assert last["progress"]["commands"] == last["progress"]["of_commands"] == len(stored)

    await _is_told_to_scripts(run_id, settings, monkeypatch)


async def _is_told_to_scripts(
    run_id: UUID, settings: PraxisSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRAXIS_DATABASE_URL", settings.addresses().database_url)
    monkeypatch.setenv("PRAXIS_HOME", str(settings.home_path))
    words = ["run", "watch", str(run_id)]
    as_json, as_lines = [
        await asyncio.to_thread(CliRunner().invoke, app, [*words, *more])
        for more in (["--json"], [])
    ]
    assert (as_json.exit_code, as_lines.exit_code) == (0, 0), as_json.output
    told = [json.loads(line) for line in as_json.stdout.splitlines()]
    assert {"run", "progress", "step", "command", "measurement", "labware"} <= {
        one["change"] for one in told
    }
    assert "\x1b" not in as_lines.stdout
    assert "absorbance 430 nm of plate_01: 96 values" in as_lines.stdout


async def test_a_workcell_is_seen(
    orchestrator: Orchestrator,
    journal: Journal,
    settings: PraxisSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its runs and what they have, what they ask and how to answer, its commands and its deck."""
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.02)
    run_id, view = uuid4(), Seeing()
    at_work = asyncio.create_task(watching.watch_workcell(settings, "star", view))
    await view.until("device", name="star", state="unknown")
    async with under_way(orchestrator, run_id):
        question = await view.until("question", title="Is the plate clear?")
    assert question["answers"] == [f"praxis run answer {run_id} yes"]
    told = await view.until("run", status="running", steps=["Fill a column"])
    assert "plate_01" in told["has"]
    await view.until("labware", name="plate_01", contents="8 of 96 wells filled, 100 µL each")
    assert any(one.line.startswith("star.dispense: channels 0-7") for one in view.changes)
    at_work.cancel()
    with suppress(asyncio.CancelledError):
        await at_work


async def test_what_cannot_be_read_stays_as_it_was() -> None:
    """Until it can be read again; whoever watches is told both."""
    answers: Iterator[Sections | None] = iter([{"waits": ["x"]}, None, {"waits": ["x"]}])

    async def read() -> Sections:
        if (found := next(answers)) is None:
            raise ServiceUnreachable(
                service="Postgres", address="there", setting="X", what="it is away"
            )
        return found

    patient, view = watching.Patient(read), Seeing()
    looks = [await patient.read() for _ in range(3)]
    for before, now in zip([{}, *looks], looks, strict=False):
        view.show(before, now)

    assert looks[1]["waits"] == ["x"]
    assert not watching.has_ended({**looks[1], "run": {"ended": True}})
    wait, away, back = [one.line for one in view.changes]
    assert (wait, back) == ("x", "All of it can be read again.")
    assert watching.gathered(["devices: x", "runs: x"]) == ["not read now, devices, runs: x"]
    assert away.startswith("Postgres does not answer. This is how it was at ")


def test_wells_are_told_apart_without_colour() -> None:
    """By how full they are; touched ones are in brackets, and of some nobody knows."""
    full = ContainerContents(volume=300, max_volume=300)
    state = AssetManagerState(
        containers={
            "p_well_A1": full,
            "p_well_A2": ContainerContents(volume=1, max_volume=300),
            "p_well_B1": ContainerContents(max_volume=300),
            "p_well_B2": full.model_copy(update={"unknown": "it failed"}),
        },
        tip_spots={"t_tipspot_A1": True, "t_tipspot_A2": None, "t_tipspot_B1": False},
    )
    plate, tips = grids(state, ["p_well_A1", "trough", "t_tipspot_B1"])

    assert [line.plain for line in grid_lines(plate)][2:] == ["A [█] ▁ ", "B  ·  ? "]
    assert [line.plain for line in grid_lines(plate, plain=True)][2:] == ["A [8] 1 ", "B  .  ? "]
    assert [line.plain for line in grid_lines(tips)][2:] == ["A  o  ? ", "B [·]   "]


def test_a_picture_fits_and_the_words_that_answer_are_whole() -> None:
    """Whatever else has no room."""
    answer = "praxis run answer 12345678-1234-1234-1234-123456789012 did-not-happen --question 17"
    command = {"at": "2026-01-01T10:00:00", "outcome": None, "told": "c" * 200}
    seen: Sections = {
        "host": {"answers": False},
        "standing": {"open": True},
        "questions": [{"id": 17, "title": "t" * 100, "text": "", "answers": [answer]}],
        "commands": [{**command, "number": number} for number in range(30)],
        "labware": [{"name": f"p{n}", "place": "here", "contents": "empty"} for n in range(90)],
    }
    for height in (10, 24):
        out = StringIO()
        console = Console(file=out, width=60, height=height, force_terminal=True, color_system=None)
        console.print(picture(seen, console))
        lines = out.getvalue().splitlines()
        assert len(lines) < height
        assert max(map(len, lines)) <= 60
        assert answer.replace(" ", "") in "".join(lines).replace(" ", "")
