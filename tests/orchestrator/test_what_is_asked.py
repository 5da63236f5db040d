"""A run that ended by an error goes on before it, or asks first; a changed protocol is refused."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from threading import current_thread, main_thread
from typing import Any
from uuid import uuid4

import pytest
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import Plate, TipRack
from pylabrobot.shaking import Shaker

from praxis_core.errors import (
    CommandInDoubt,
    DeviceQuarantined,
    RunNeedsAnswer,
    RunNotResumable,
    SourceChanged,
)
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import RunRequest
from praxis_core.protocol import protocol, run
from praxis_core.protocol.lifecycle import Answer, DoubtSubject, RunStatus
from praxis_core.state import PraxisState
from praxis_core.workcell.link import Attaching

Stand = Any
WRONG: list[str] = []
"""What goes wrong outside the protocol, until the test mends it."""


@protocol(name="stirring", version="1.0.0")
async def stirring(stirrer: Shaker, state: PraxisState, times: int = 1) -> dict[str, Any]:
    """Stir, too fast at first; repeatable all of it."""
    state.increment("begun")
    try:
        await stirrer.backend.start_shaking(speed=1.0)
        if WRONG:
            await stirrer.backend.start_shaking(speed=13.0)
        await stirrer.backend.start_shaking(speed=2.0)
    finally:
        state.increment("stopped")
        await run.sleep(5)
        await stirrer.backend.stop_shaking()
    return dict(state)


@protocol(name="dropping", version="1.0.0")
async def dropping(lh: LiquidHandler, stirrer: Shaker, tips: TipRack, plate: Plate) -> None:
    """Put the tip back when something goes wrong."""
    await lh.pick_up_tips(tips["A1"])
    try:
        await lh.aspirate(plate["A1"], vols=[10])
        await stirrer.backend.start_shaking(speed=13.0 if WRONG else 3.0)
        await lh.dispense(plate["A2"], vols=[10])
    finally:
        await lh.return_tips()


@protocol(name="ordering", version="1.0.0")
async def ordering(stirrer: Shaker) -> str:
    """Reach for the outside, which may hang."""
    await stirrer.backend.start_shaking(speed=1.0)
    ordered: str = await run.once("order tips", order)
    await stirrer.backend.stop_shaking()
    return ordered


@protocol(name="doubtful", version="1.0.0")
async def doubtful(lh: LiquidHandler, stirrer: Shaker) -> str:
    """Catch what nobody may catch."""
    await stirrer.backend.start_shaking(speed=1.0)
    for _ in range(2):
        with suppress(Exception):
            await lh.backend.dispense96(None)
    with suppress(Exception):
        await stirrer.backend.stop_shaking()
    return "as if nothing had happened"


@protocol(name="waiting", version="1.0.0")
async def waiting(stirrer: Shaker) -> str:
    """Wait for somebody who cancels the run, and stop then."""
    await stirrer.backend.start_shaking(speed=1.0)
    if current_thread() is main_thread():  # and not in the plan
        BEGAN.set()
    try:
        if WRONG:
            await asyncio.Event().wait()
        await stirrer.backend.start_shaking(speed=2.0)
    finally:
        await stirrer.backend.stop_shaking()
    return "waited"


async def order() -> str:
    """Fail, as long as the test wants it to."""
    if WRONG:
        raise TimeoutError("the shop does not answer")
    return "ordered"


BEGAN = asyncio.Event()


@pytest.fixture(autouse=True)
def wrong(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let things go wrong until the test clears this list."""
    culprits = ["outside"]
    monkeypatch.setitem(globals(), "WRONG", culprits)
    return culprits


def _request(function: Any) -> RunRequest:
    return RunRequest(uuid4(), "a run", function, "stand")


async def test_a_tail_without_lasting_effects_is_done_anew(
    stand: Stand, journal: Journal, wrong: list[str]
) -> None:
    """What came after the error is forgotten: commands, pauses and the run's state."""
    request = _request(stirring)
    with pytest.raises(RuntimeError, match="slipped"):
        await stand.attempt(request)
    assert (await journal.run(request.run_id)).status is RunStatus.FAILED
    assert not await journal.open_doubts(request.run_id)
    counts = [one.command.kwargs for one in await journal.recorded(request.run_id)]
    assert counts == [{"speed": 1.0}]

    wrong.clear()
    result = await stand.attempt(request)

    assert result.summary == {"begun": 1, "stopped": 1}
    assert [one for one in stand.done if one == "stir 2.0"] == ["stir 2.0"]


async def test_a_tail_that_moved_something_is_asked_about(
    stand: Stand, journal: Journal, wrong: list[str]
) -> None:
    """The tip is back in its rack: only a person knows what to do about that."""
    request = _request(dropping)
    with pytest.raises(RuntimeError, match="slipped"):
        await stand.attempt(request)
    wrong.clear()
    with pytest.raises(RunNeedsAnswer, match=r"lh\.drop_tips"):
        await stand.attempt(request)
    assert len(await journal.attempts(request.run_id)) == 1

    [doubt] = await journal.open_doubts(request.run_id)
    assert doubt.subject is DoubtSubject.TAIL
    await journal.answer_doubt(doubt.id, Answer.DID_NOT_HAPPEN, "somebody")
    before = len(stand.done)
    await stand.attempt(request)

    done = [one.split()[0] for one in stand.done[before:]]
    assert done[-3:] == ["stir", "dispense", "drop"]
    assert "aspirate" not in done


async def test_an_outside_effect_that_failed_is_asked_about(
    stand: Stand, journal: Journal, wrong: list[str]
) -> None:
    """It may have happened; when it did not, it is brought about."""
    request = _request(ordering)
    with pytest.raises(TimeoutError):
        await stand.attempt(request)
    wrong.clear()
    with pytest.raises(RunNeedsAnswer, match="order tips"):
        await stand.attempt(request)
    [doubt] = await journal.open_doubts(request.run_id)
    await journal.answer_doubt(doubt.id, Answer.DID_NOT_HAPPEN, "somebody")

    assert (await stand.attempt(request)).summary == "ordered"


@pytest.mark.parametrize("answer", [Answer.HAPPENED, Answer.ABORT])
async def test_a_command_in_doubt_stops_the_run_whatever_it_catches(
    stand: Stand, journal: Journal, answer: Answer
) -> None:
    """Nothing more is sent; the run waits for an answer, and goes on after it."""
    request = _request(doubtful)
    with pytest.raises(CommandInDoubt, match="dispense96"):
        await stand.attempt(request)
    assert (await journal.run(request.run_id)).status is RunStatus.IN_DOUBT
    assert stand.done == ["stir 1.0", "dispense with all"]
    with pytest.raises(RunNeedsAnswer, match="dispense96"):
        await stand.attempt(request)

    [doubt] = await journal.open_doubts(request.run_id)
    await journal.answer_doubt(doubt.id, answer, "somebody")
    if answer is Answer.ABORT:
        assert (await journal.run(request.run_id)).status is RunStatus.CANCELLED
        assert not await journal.claims("stand")
        return
    with pytest.raises(CommandInDoubt, match="dispense96"):
        await stand.attempt(request)  # the second of them
    [first, _] = await journal.attempts(request.run_id)
    assert first.error == {
        "type": "in_doubt",
        "message": "This attempt stopped and waited for an answer; a new attempt began.",
    }
    assert [one for one in stand.done if one == "dispense with all"] == ["dispense with all"] * 2


async def test_a_question_asked_while_an_attempt_begins_stops_it_in_doubt(
    stand: Stand, journal: Journal, wrong: list[str]
) -> None:
    """Another host may still find out what it does not know; the claims stay the run's."""
    request = _request(stirring)
    with pytest.raises(RuntimeError):
        await stand.attempt(request)
    wrong.clear()
    before = list(stand.done)

    async def ask(asking: Attaching) -> None:
        await journal.raise_doubt(
            asking.run_id, 1, DoubtSubject.COMMAND, "0", 1, "Did it stir?", [Answer.HAPPENED]
        )

    stand.once_attached = ask
    with pytest.raises(RunNeedsAnswer, match=r"Did it stir\?.* happened"):
        await stand.attempt(request)

    assert (await journal.run(request.run_id)).status is RunStatus.IN_DOUBT
    assert [one.run_id for one in await journal.claims("stand")] == [request.run_id]
    assert [one for one in stand.done[len(before) :] if one.startswith("stir ")] == []


@pytest.mark.parametrize("ended", [False, True], ids=["interrupted", "failed"])
async def test_a_resume_that_is_refused_leaves_the_run_as_it_was(
    stand: Stand, journal: Journal, wrong: list[str], *, ended: bool
) -> None:
    """One that had stopped keeps its devices; both can be resumed when the reason is gone."""
    request = _request(stirring)
    if ended:
        with pytest.raises(RuntimeError):
            await stand.attempt(request)
    else:
        wrong.clear()
        await stand.attempt(request, kill_at=2)
        await journal.set_status(request.run_id, RunStatus.INTERRUPTED)
    wrong.clear()

    async def refuse(asking: Attaching) -> None:
        await stand.runtime.detach(asking.run_id, RunStatus.INTERRUPTED)
        raise DeviceQuarantined(workcell="stand", device="stirrer", what="its plug is out")

    alone, stand.once_attached = stand.once_attached, refuse
    with pytest.raises(DeviceQuarantined):
        await stand.attempt(request)

    status = (await journal.run(request.run_id)).status
    assert status is (RunStatus.FAILED if ended else RunStatus.INTERRUPTED)
    claimed = [one.run_id for one in await journal.claims("stand")]
    assert claimed == ([] if ended else [request.run_id])
    stand.once_attached = alone
    assert (await stand.attempt(request)).summary == {"begun": 1, "stopped": 1}


async def test_a_cancelled_run_goes_on_before_its_cleaning_up(
    stand: Stand, journal: Journal, wrong: list[str]
) -> None:
    """What it did because it was cancelled is forgotten."""
    BEGAN.clear()
    request = _request(waiting)
    running = asyncio.create_task(stand.attempt(request))
    await BEGAN.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await journal.run(request.run_id)).status is RunStatus.CANCELLED
    assert len(await journal.recorded(request.run_id)) == 1
    wrong.clear()

    assert (await stand.attempt(request)).summary == "waited"
    assert [one for one in stand.done if one == "stir 2.0"] == ["stir 2.0"]


async def test_other_code_goes_on_only_when_somebody_says_so(
    stand: Stand, wrong: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And then only from the same past; other parameters are another run."""
    request = _request(stirring)
    with pytest.raises(RuntimeError):
        await stand.attempt(request)
    wrong.clear()
    with pytest.raises(RunNotResumable, match="times"):
        await stand.attempt(replace(request, parameters={"times": 2}))
    changed = replace(vars(stirring)["__praxis__"], version="1.0.1")
    monkeypatch.setitem(vars(stirring), "__praxis__", changed)
    with pytest.raises(SourceChanged):
        await stand.attempt(request)
    assert await stand.attempt(replace(request, with_current_code=True)) is not None


async def test_another_run_on_the_devices_ends_the_chance_to_go_on(
    stand: Stand, wrong: list[str]
) -> None:
    """The deck is no longer as the run left it."""
    request = _request(stirring)
    with pytest.raises(RuntimeError):
        await stand.attempt(request)
    wrong.clear()
    await stand.attempt(_request(stirring))
    with pytest.raises(RunNotResumable, match="has had its devices since"):
        await stand.attempt(request)
