"""A protocol that raises: what was done stays known, the error too; the devices are safe."""

from __future__ import annotations

from uuid import uuid4

import pytest
import redis
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import TipRack

from praxis_core import redis_keys
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import Orchestrator, RunRequest
from praxis_core.protocol import protocol, step
from praxis_core.protocol.lifecycle import RunStatus, StepStatus
from praxis_core.state import PraxisState


class ClotInChannelError(Exception):
    """Something a protocol may raise."""


@step("Pick up")
async def pick_up(lh: LiquidHandler, tips: TipRack) -> None:
    """Take a tip."""
    await lh.pick_up_tips(tips["A1"])


@step("Put back")
async def put_back(lh: LiquidHandler) -> None:
    """Return the tip."""
    await lh.return_tips()


@step("Break")
async def break_off() -> None:
    """Fail."""
    raise ClotInChannelError("clot in channel 3")


@protocol(name="three-steps", version="1.0.0")
async def three_steps(lh: LiquidHandler, tips: TipRack) -> None:
    """Two steps that work and one that does not."""
    await pick_up(lh, tips)
    await put_back(lh)
    await break_off()


async def test_a_failed_run_keeps_what_was_done(
    orchestrator: Orchestrator, journal: Journal, redis_url: str
) -> None:
    """Steps 1 and 2 are in the history, the error is in the database and in the run's state."""
    run_id = uuid4()
    request = RunRequest(run_id, "break", three_steps, "star", assets={"tips": "tips_300_01"})

    with pytest.raises(ClotInChannelError):
        await orchestrator.run(request)

    run = await journal.run(run_id)
    assert run.status is RunStatus.FAILED
    assert run.error["message"] == "clot in channel 3"
    assert [step.status for step in await journal.steps(run_id)] == [
        StepStatus.SUCCEEDED,
        StepStatus.SUCCEEDED,
        StepStatus.FAILED,
    ]
    with redis.Redis.from_url(redis_url) as client:
        assert PraxisState(run_id, client)["error"]["message"] == "clot in channel 3"
        states = client.hgetall(redis_keys.workcell_status("star"))
        assert all(b"disconnected" in state for state in states.values())
