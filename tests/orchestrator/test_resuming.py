"""A run is killed at each of its commands, and goes on: each is done once, and none is missing."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import Plate, TipRack
from pylabrobot.shaking import Shaker

from praxis_core.journal.record import Journal
from praxis_core.orchestrator import RunRequest
from praxis_core.protocol import protocol, run, step
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.state import PraxisState

Stand = Any
TOLD: list[str] = []
ROWS = "ABC"


@step("Fill {row}2")
async def fill(lh: LiquidHandler, tips: TipRack, plate: Plate, row: str, volume: float) -> None:
    """Take a tip, move liquid, put the tip back."""
    await lh.pick_up_tips(tips[f"{row}1"])
    await lh.aspirate(plate[f"{row}1"], vols=[volume])
    await lh.dispense(plate[f"{row}2"], vols=[volume])
    await lh.return_tips()


@step("Stir at {speed}")
async def stir(stirrer: Shaker, state: PraxisState, speed: float) -> None:
    """Stir twice; what is slipping is left alone."""
    try:
        await stirrer.backend.start_shaking(speed=speed)
    except RuntimeError:
        state.increment("slipped")
    await stirrer.backend.start_shaking(speed=state.increment("stirred") + speed)


async def tell() -> int:
    """Do something that no device sees."""
    TOLD.append("told")
    return len(TOLD)


@protocol(name="everything", version="1.0.0")
async def everything(
    lh: LiquidHandler, stirrer: Shaker, tips: TipRack, plate: Plate, state: PraxisState
) -> dict[str, Any]:
    """Use all that a protocol can: steps, branches, errors, state, time, chance, the outside."""
    began = run.now()
    state["volumes"] = [run.random.randrange(5, 50) for _ in ROWS]
    for row, volume in zip(ROWS, state["volumes"], strict=True):
        await fill(lh, tips, plate, row, float(volume))
        state.increment("filled")
    await run.sleep(600)
    slept = run.now()

    async def both(first: float, second: float) -> None:
        await asyncio.gather(stir(stirrer, state, first), stir(stirrer, state, second))

    await asyncio.gather(both(1.0, 13.0), stir(stirrer, state, 100.0), both(200.0, 13.0))
    answer = await run.once("tell somebody", tell)
    await stirrer.backend.stop_shaking()
    await run.record("filled", state["filled"])
    return {
        "began": began.isoformat(),
        "slept": (slept - began).total_seconds() // 600,
        "chance": run.random.random(),
        "answer": answer,
        "state": dict(state),
    }


COMMANDS = 4 * len(ROWS) + 2 * 5 + 1


@pytest.fixture
def request_() -> RunRequest:
    """A run of ``everything``."""
    TOLD.clear()
    return RunRequest(uuid4(), "everything", everything, "stand")


@pytest.mark.parametrize("moment", ["before", "under way", "after"])
async def test_a_run_that_is_killed_at_every_command_does_each_once(
    stand: Stand, journal: Journal, request_: RunRequest, moment: str
) -> None:
    """Killed at its first new command, again and again, it ends as if nothing had happened."""
    kill_at = 2 if moment == "before" else 1
    attempts = 1
    while (result := await stand.attempt(request_, kill_at=kill_at, moment=moment)) is None:
        attempts += 1
        assert attempts <= COMMANDS + 1

    assert attempts >= COMMANDS // 2
    written = await journal.commands(request_.run_id)
    assert len(written) == len(stand.done)
    # What the stirrer had been set to is set again by each attempt that goes on.
    own = [one.key for one in written if not one.command.branch.startswith("r")]
    assert len(own) == len(set(own)) == COMMANDS
    volumes = result.summary["state"]["volumes"]
    assets = stand.runtime.assets
    for row, volume in zip(ROWS, volumes, strict=True):
        assert assets.contents(f"plate_well_{row}1").volume == 200 - volume
        assert assets.contents(f"plate_well_{row}2").volume == volume
    state = result.summary["state"]
    assert (state["filled"], state["stirred"], state["slipped"]) == (3, 5, 2)
    assert (result.summary["slept"], result.summary["answer"], TOLD) == (1, 1, ["told"])
    statuses = {one.status for one in (await journal.attempts(request_.run_id))[:-1]}
    assert statuses <= {RunStatus.FAILED}
    assert (await journal.run(request_.run_id)).status is RunStatus.SUCCEEDED


async def test_a_resumed_run_says_where_it_goes_on_and_starts_no_step_again(
    stand: Stand, journal: Journal, request_: RunRequest
) -> None:
    """One marker stands for what was replayed; complete steps keep their tasks."""
    assert await stand.attempt(request_, kill_at=6) is None
    assert await stand.attempt(request_) is not None

    marker = "resumed: 6 commands replayed, live from command 7 (lh.dispense)"
    assert stand.steps[:3] == ["Fill B2", marker, "Fill C2"]
    events = [event.message for event in await journal.events(request_.run_id)]
    assert events.count(marker) == 1
    steps = await journal.steps(request_.run_id)
    first = [step.path for step in steps if step.attempt == 1]
    second = [step.path for step in steps if step.attempt == 2]
    assert (first, second[:3]) == (["1", "2"], ["1", "2", "3"])
    assert set(second[3:]) == {"aza1", "azb1", "b1", "cza1", "czb1"}
