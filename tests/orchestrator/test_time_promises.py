"""What comes later than its protocol promises is flagged, whenever it was that time passed."""

from __future__ import annotations

import asyncio
import csv
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.plate_reading import PlateReader
from pylabrobot.resources import Plate, TipRack, Trough
from typer.testing import CliRunner

from praxis_core.cli import app
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import Orchestrator, RunRequest
from praxis_core.protocol import protocol, run, step
from praxis_core.protocol.lifecycle import RunStatus

Stand = Any
KIND = "promise_broken"


@step("Fill column {column}")
async def fill(lh: LiquidHandler, tips: TipRack, stock: Trough, plate: Plate, column: int) -> None:
    """Give 100 µL to each well of a column."""
    await lh.pick_up_tips(tips[f"A{column}:H{column}"])
    await lh.aspirate([stock] * 8, vols=[100] * 8)
    await lh.dispense(plate[f"A{column}:H{column}"], vols=[100] * 8)
    await lh.discard_tips()


@step("Read", max_gap="10 min", since=fill)
async def read(reader: PlateReader) -> list[list[float]]:
    """Read the whole plate."""
    [reading] = await reader.read_absorbance(wavelength=430, use_new_return_type=True)
    data: list[list[float]] = reading["data"]
    return data


@protocol
async def slow(
    lh: LiquidHandler, reader: PlateReader, tips: TipRack, stock: Trough, plate: Plate
) -> None:
    """Fill two columns, and read the first too late, for a reason that no plan knows."""
    await fill(lh, tips, stock, plate, 1)
    await reader.open()
    await run.bring(plate, "reader")
    first = await read(reader)
    if first[0][0] > 0:
        await run.sleep(7 * 60)
    await run.bring(plate, "carrier 1, site 1")
    await fill(lh, tips, stock, plate, 2)
    await run.bring(plate, "reader")
    await run.sleep(7 * 60)
    await read(reader)


async def test_wells_that_came_too_late_are_flagged(
    orchestrator: Orchestrator,
    journal: Journal,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the audit trail, in the data file and where a person looks; the run goes on."""
    assets = {"tips": "tips_300_01", "stock": "dye_stock", "plate": "plate_01"}
    request = RunRequest(uuid4(), "slow", slow, "star", assets=assets)
    result = await orchestrator.run(request)

    assert (await journal.run(result.run_id)).status is RunStatus.SUCCEEDED
    [event] = [one for one in await journal.events(result.run_id) if one.kind == KIND]
    assert event.message.startswith("plate_01 A1:H1: 'Read' came 14 min")
    assert isinstance(event.details, dict)
    assert event.details["samples"] == {"plate_01": [f"{row}1" for row in "ABCDEFGH"]}

    [file] = await journal.data_files(result.run_id)
    rows = list(csv.DictReader(_lines(file.path)))
    flagged = [one["well"] for one in rows if one["flag"]]
    assert flagged == [f"{row}1" for row in "ABCDEFGH"]
    assert len({one["time"] for one in rows}) == 2
    assert all(one["flag"].startswith("late: Read 14 min") for one in rows if one["flag"])

    monkeypatch.setenv("PRAXIS_DATABASE_URL", database_url)
    monkeypatch.setenv("PRAXIS_HOME", str(tmp_path))
    shown = await asyncio.to_thread(CliRunner().invoke, app, ["run", "show", str(result.run_id)])
    assert event.message in shown.output
    assert sum(line.count("*") for line in shown.output.splitlines()) == 8
    told = await asyncio.to_thread(
        CliRunner().invoke, app, ["run", "show", "--json", str(result.run_id)]
    )
    measured = json.loads(told.output)["measurements"]
    assert len([one for one in measured if one["flag"]]) == 8


def _lines(file: str) -> list[str]:
    return Path(file).read_text().splitlines()


@step("Give")
async def give(lh: LiquidHandler, tips: TipRack, plate: Plate) -> None:
    """Move liquid from A1 to A2."""
    await lh.pick_up_tips(tips["A1"])
    await lh.aspirate(plate["A1"], vols=[10])
    await lh.dispense(plate["A2"], vols=[10])


@step("Take back", max_gap="10 min", since=give)
async def take_back(lh: LiquidHandler, plate: Plate) -> None:
    """Move it back."""
    await lh.aspirate(plate["A2"], vols=[10])
    await lh.dispense(plate["A1"], vols=[10])


@protocol
async def there_and_back(lh: LiquidHandler, tips: TipRack, plate: Plate) -> None:
    """Nothing in it takes long."""
    await give(lh, tips, plate)
    await take_back(lh, plate)
    await lh.return_tips()


@pytest.mark.parametrize(("kill_at", "pause", "late"), [(4, 3600, True), (4, 60, False)])
async def test_what_passes_while_a_run_is_dead_counts(
    stand: Stand, journal: Journal, kill_at: int, pause: float, late: bool
) -> None:
    """Recorded times are compared; what one attempt has told, the next does not tell again."""
    request = RunRequest(uuid4(), "there and back", there_and_back, "stand")
    assert await stand.attempt(request, kill_at=kill_at, moment="before") is None
    await stand.runtime.clock.sleep(pause)
    # Killed again, after the command that came too late was told.
    assert await stand.attempt(request, kill_at=2) is None
    assert await stand.attempt(request) is not None

    found = [one for one in await journal.events(request.run_id) if one.kind == KIND]
    if late:
        [event] = found
        assert event.message.startswith("plate A2: 'Take back' came 1 h")
    else:
        assert found == []
