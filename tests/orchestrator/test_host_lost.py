"""A run whose host cannot be reached stops where it is, keeps what it has, and can go on."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
import redis
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import Plate, TipRack

from praxis_core.errors import HostLost
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import RunRequest
from praxis_core.protocol import protocol
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.state import PraxisState

Stand = Any


@protocol(name="moving", version="1.0.0")
async def moving(
    lh: LiquidHandler, tips: TipRack, plate: Plate, state: PraxisState, *, careful: bool
) -> str:
    """Move liquid; deal with every error, or put the tip back at least."""
    state.increment("begun")
    try:
        await lh.pick_up_tips(tips["A1"])
        await lh.aspirate(plate["A1"], vols=[10])
        await lh.dispense(plate["A2"], vols=[10])
    except Exception:
        if not careful:
            raise
    finally:
        await lh.return_tips()
    return "moved"


@pytest.mark.parametrize("careful", [False, True])
async def test_a_run_without_its_host_is_interrupted(
    stand: Stand, journal: Journal, redis_url: str, *, careful: bool
) -> None:
    """Whatever its protocol does about it: nothing is set aside, asked, or free for others."""
    request = RunRequest(uuid4(), "a run", moving, "stand", {"careful": careful})

    with pytest.raises(HostLost, match=f"praxis run resume {request.run_id}"):
        await stand.attempt(request, kill_at=2, moment="host lost")

    found = await journal.run(request.run_id)
    assert found.status is RunStatus.INTERRUPTED
    assert {one.asset for one in await journal.claims("stand")} == {"lh", "tips", "plate"}
    assert not await journal.open_doubts(request.run_id)
    events = {one.kind: one.message for one in await journal.events(request.run_id)}
    assert "did not come back" in events["host_lost"]
    with redis.Redis.from_url(redis_url) as client:
        state = PraxisState(request.run_id, client)
        assert state["begun"] == 1
        assert "HostLost" in state["error"]["type"]

    assert (await stand.attempt(request)).summary == "moved"
    assert [one.split()[0] for one in stand.done] == ["pick", "aspirate", "dispense", "drop"]
