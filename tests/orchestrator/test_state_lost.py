"""Redis forgot a run's state between two attempts: the run stops, and nothing takes its place."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
import redis
from pydantic import SecretStr
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import TipRack
from pylabrobot.shaking import Shaker

from praxis_core.errors import StateLost
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import Orchestrator, RunRequest
from praxis_core.protocol import protocol
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.settings import PraxisSettings
from praxis_core.state import PraxisState


@protocol(name="fails", version="1.0.0")
async def fails(lh: LiquidHandler, tips: TipRack, state: PraxisState) -> None:
    """Remember something, and fail."""
    await lh.pick_up_tips(tips["A1"])
    state["found"] = 7
    raise ValueError("not today")


@protocol(name="remembers", version="1.0.0")
async def remembers(stirrer: Shaker, state: PraxisState) -> None:
    """Remember something, and go on."""
    await stirrer.backend.start_shaking(speed=1.0)
    state["found"] = 7
    await stirrer.backend.stop_shaking()


async def test_a_lost_state_is_not_replaced_however_often_the_run_is_resumed(
    orchestrator: Orchestrator,
    journal: Journal,
    database_url: str,
    redis_url: str,
) -> None:
    """Not by the flag of the very error that says so; and what was archived stays."""
    request = RunRequest(uuid4(), "fails", fails, "star", assets={"tips": "tips_300_01"})
    with pytest.raises(ValueError, match="not today"):
        await orchestrator.run(request)
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()

        for _ in range(2):
            with pytest.raises(StateLost):
                await orchestrator.run(request)
            assert client.dbsize() == 0

    settings = PraxisSettings(database_url=SecretStr(database_url), redis_url=SecretStr(redis_url))
    assert PraxisState.open(request.run_id, settings)["found"] == 7
    assert [one.status for one in await journal.attempts(request.run_id)] == [
        RunStatus.FAILED,
        RunStatus.FAILED,
        RunStatus.FAILED,
    ]
    assert len(await journal.commands(request.run_id)) == 1


async def test_a_lost_state_of_an_interrupted_run_stays_lost(
    stand: Any, journal: Journal, redis_url: str
) -> None:
    """A resume that is refused for it leaves nothing in its place, and the run as it was."""
    request = RunRequest(uuid4(), "remembers", remembers, "stand")
    await stand.attempt(request, kill_at=2)
    await journal.set_status(request.run_id, RunStatus.INTERRUPTED)
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()

        for _ in range(2):
            with pytest.raises(StateLost):
                await stand.attempt(request)
            assert client.dbsize() == 0

    assert (await journal.run(request.run_id)).status is RunStatus.INTERRUPTED
    assert [one.run_id for one in await journal.claims("stand")] == [request.run_id]
