"""A run from open to close: what is recorded, and what is left when something goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.plate_reading import PlateReader
from pylabrobot.resources import Plate, TipRack

from praxis_core.assets.calibration import Calibrations, Taught
from praxis_core.assets.entries import By
from praxis_core.errors import RealHardwareRefused, WorkcellNotFound
from praxis_core.execution.protocol_state import ProtocolState
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import Orchestrator, RunRequest
from praxis_core.protocol import protocol, run, step
from praxis_core.protocol.lifecycle import RunStatus, StepStatus
from praxis_core.state import PraxisState

Gate = asyncio.Event


@step("Touch {column}")
async def touch(lh: LiquidHandler, tips: TipRack, *, column: int) -> str:
    """Take a column of tips and put it back."""
    await lh.pick_up_tips(tips[f"A{column}:B{column}"])
    await lh.return_tips()
    return f"touched {column}"


@protocol(name="touching", version="1.0.0")
async def touching(
    lh: LiquidHandler, tips: TipRack, state: PraxisState, columns: int = 2
) -> dict[str, Any]:
    """Touch columns of tips and count them."""
    for column in range(1, columns + 1):
        await touch(lh, tips, column=column)
        state.increment("touched")
    await run.record("columns", columns)
    return {"columns": columns}


@protocol(name="waiting", version="1.0.0")
async def waiting(lh: LiquidHandler, tips: TipRack) -> None:
    """Take a tip and wait until somebody ends the run."""
    await lh.pick_up_tips(tips["A1"])
    await asyncio.Event().wait()


@protocol(name="carrying", version="1.0.0")
async def carrying(lh: LiquidHandler, reader: PlateReader, plate: Plate) -> None:
    """Bring a plate to the reader by the name of the place."""
    await run.bring(plate, "reader")


@pytest.fixture
def request_() -> RunRequest:
    """A run of ``touching``."""
    return RunRequest(uuid4(), "touch", touching, "star", assets={"tips": "tips_300_01"})


async def test_protocol_state_is_what_the_database_holds(
    orchestrator: Orchestrator, journal: Journal, request_: RunRequest
) -> None:
    """Parameters, bound assets, steps and status come back from the database as one model."""
    await orchestrator.run(request_)

    state = await ProtocolState.load(journal, request_.run_id)
    assert state.status is RunStatus.SUCCEEDED
    assert state.assets == {"lh": "star", "tips": "tips_300_01"}
    assert [(one.path, one.name, one.status) for one in state.steps] == [
        ("1", "Touch 1", StepStatus.SUCCEEDED),
        ("2", "Touch 2", StepStatus.SUCCEEDED),
    ]
    [columns] = await journal.measurements(request_.run_id)
    assert (columns.quantity, columns.value) == ("columns", 2)


async def test_every_command_names_its_step(
    orchestrator: Orchestrator, journal: Journal, request_: RunRequest
) -> None:
    """A command belongs to the step that issued it, and is numbered in its branch."""
    await orchestrator.run(request_)

    commands = [record.command for record in await journal.commands(request_.run_id)]
    assert [(one.step, one.method) for one in commands] == [
        ("1", "pick_up_tips"),
        ("1", "drop_tips"),
        ("2", "pick_up_tips"),
        ("2", "drop_tips"),
    ]
    assert [one.ordinal for one in commands] == [0, 1, 2, 3]


async def test_a_run_starts_from_a_stored_snapshot(
    orchestrator: Orchestrator, journal: Journal, request_: RunRequest
) -> None:
    """What was where before the first command is part of the attempt."""
    await orchestrator.run(request_)

    [attempt] = await journal.attempts(request_.run_id)
    assets = attempt.start_snapshot["assets"]
    assert assets["tip_spots"]["tips_300_01_tipspot_A1"] is True
    assert assets["containers"]["dye_stock"]["volume"] == 50_000
    assert attempt.start_snapshot["attributes"]["star"]["_num_channels"] == 8


async def test_a_run_keeps_what_its_devices_were_taught(
    orchestrator: Orchestrator, journal: Journal, request_: RunRequest
) -> None:
    """In its snapshot and its plan; what is taught later is told when it goes on."""
    values, ada = Calibrations(journal.database), By("ada")
    await values.teach("star", Taught("star", "grip_width"), 84.5, ada)
    await values.teach("star", Taught("reader", "gain"), 3, ada)
    soon = datetime.now(UTC) + timedelta(milliseconds=200)
    await values.teach("star", Taught("star", "z_offset"), 1, ada, soon)
    while not await values.expired("star"):
        pass

    await orchestrator.run(request_)

    kept = {"star/*/*/grip_width": {"version": 1, "value": 84.5}}
    [attempt] = await journal.attempts(request_.run_id)
    assert attempt.start_snapshot["calibration"] == kept
    [planned] = [one for one in await journal.events(request_.run_id) if one.kind == "planned"]
    assert planned.details["calibration"] == kept
    assert "star/*/*/z_offset (version 1) was valid until" in str(planned.details["warnings"])

    await values.teach("star", Taught("star", "grip_width"), 85, ada)
    await orchestrator.run(request_)

    attempts = await journal.attempts(request_.run_id)
    assert attempts[-1].start_snapshot["calibration"] == kept
    events = await journal.events(request_.run_id)
    [changed] = [one for one in events if one.kind == "calibration_changed"]
    assert changed.details["began_with"] == kept
    assert changed.details["goes_on_with"]["star/*/*/grip_width"]["version"] == 2


async def test_a_second_attempt_is_the_same_run(
    orchestrator: Orchestrator, journal: Journal, request_: RunRequest, redis_url: str
) -> None:
    """Prefect's Retry comes with the same id: what is done stays done, and is told again."""
    await orchestrator.run(request_)
    result = await orchestrator.run(request_)

    assert result.attempt == 2
    assert [one.number for one in await journal.attempts(request_.run_id)] == [1, 2]
    assert len(await journal.steps(request_.run_id)) == 4
    with redis.Redis.from_url(redis_url) as client:
        assert PraxisState(request_.run_id, client)["touched"] == 2
    assert {one.command.attempt for one in await journal.commands(request_.run_id)} == {1}


async def test_a_run_may_start_with_the_state_of_another(
    orchestrator: Orchestrator, request_: RunRequest, redis_url: str
) -> None:
    """``carry_from`` copies; the earlier run's state stays as it was."""
    await orchestrator.run(request_)
    heir = replace(request_, run_id=uuid4(), carry_from=request_.run_id)
    with redis.Redis.from_url(redis_url) as client:
        await orchestrator.run(heir)

        assert PraxisState(heir.run_id, client)["touched"] == 4
        assert PraxisState(request_.run_id, client)["touched"] == 2


async def test_a_place_is_named_as_people_name_it(
    orchestrator: Orchestrator, journal: Journal
) -> None:
    """``run.bring`` moves labware to a named place with the workcell's gripper."""
    request = RunRequest(uuid4(), "carry", carrying, "star", assets={"plate": "plate_02"})
    await orchestrator.run(request)

    methods = [record.command.method for record in await journal.commands(request.run_id)]
    assert methods == ["open", "pick_up_resource", "drop_resource"]


async def test_two_runs_on_the_same_assets_follow_each_other(
    orchestrator: Orchestrator, journal: Journal, request_: RunRequest
) -> None:
    """The second waits for the first; their commands never mix."""
    other = replace(request_, run_id=uuid4())
    await asyncio.gather(orchestrator.run(request_), orchestrator.run(other))

    spans = []
    for run_id in (request_.run_id, other.run_id):
        commands = await journal.commands(run_id)
        spans.append((commands[0].issued_at, commands[-1].issued_at))
    first, second = sorted(spans)
    assert first[1] < second[0]


async def test_a_cancelled_run_is_recorded_and_released(
    orchestrator: Orchestrator, journal: Journal, request_: RunRequest
) -> None:
    """Where the deck is set back for every run, all that it had is free again at once."""
    star = (await journal.workcell("star")).definition
    await journal.store_workcell("pretend", {**star, "name": "pretend", "refill": "every_run"})
    request_ = replace(request_, workcell="pretend")
    request = replace(request_, function=waiting)
    task = asyncio.create_task(orchestrator.run(request))
    await _until(lambda: _has_commands(journal, request.run_id))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (await journal.run(request.run_id)).status is RunStatus.CANCELLED
    await orchestrator.run(replace(request_, run_id=uuid4()))


async def test_an_unknown_workcell_is_named_with_those_that_exist(
    orchestrator: Orchestrator, request_: RunRequest
) -> None:
    """Nothing is recorded for a place that does not exist."""
    with pytest.raises(WorkcellNotFound, match=r"'moon'.*star"):
        await orchestrator.run(replace(request_, workcell="moon"))


async def test_a_real_workcell_is_stored_and_refused(
    orchestrator: Orchestrator, journal: Journal, request_: RunRequest
) -> None:
    """Simulated devices only, until commands survive a crash; rehearsing is allowed."""
    star = (await journal.workcell("star")).definition
    await journal.store_workcell("lab", {**star, "name": "lab", "mode": "real"})
    request = replace(request_, workcell="lab")

    with pytest.raises(RealHardwareRefused):
        await orchestrator.run(request)
    assert (await journal.run(request.run_id)).status is RunStatus.REFUSED

    rehearsal = replace(request, run_id=uuid4(), simulate=True)
    await orchestrator.run(rehearsal)
    assert (await journal.run(rehearsal.run_id)).simulated


async def _has_commands(journal: Journal, run_id: UUID) -> bool:
    return bool(await journal.commands(run_id))


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110  # a database sends no event
            await asyncio.sleep(0.02)
