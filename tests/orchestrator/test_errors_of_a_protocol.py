"""What a protocol does after an error of its own is its tail, however it comes to do it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import pytest
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import Plate, TipRack
from pylabrobot.shaking import Shaker

from praxis_core.errors import RunNeedsAnswer
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import RunRequest
from praxis_core.protocol import protocol, run, step
from praxis_core.protocol.lifecycle import Answer, RunStatus
from praxis_core.state import PraxisState

Stand = Any
Doing = Coroutine[Any, Any, None]
Stir = Callable[[float], Doing]
Body = Callable[[], Doing]
Shape = Callable[[Stir, Body], Doing]

WRONG: list[str] = []
"""What is wrong with the protocol, until somebody corrects it."""

CLEANING = 99.0


def fail() -> None:
    """Be wrong, until that is corrected."""
    if WRONG:
        raise ValueError("the protocol is wrong")


async def finally_(clean: Stir, body: Body) -> None:
    """Clean up whatever happens."""
    try:
        await body()
    finally:
        if WRONG:
            await clean(CLEANING)


async def except_(clean: Stir, body: Body) -> None:
    """Clean up, and tell in words of one's own."""
    try:
        await body()
    except ValueError:
        await clean(CLEANING)
        raise RuntimeError("it did not work") from None


async def context_manager(clean: Stir, body: Body) -> None:
    """Clean up in the function of an ``async with``."""

    @asynccontextmanager
    async def cleaned() -> AsyncIterator[None]:
        try:
            yield
        finally:
            if WRONG:
                await clean(CLEANING)

    async with cleaned():
        await body()


async def tasks_of_its_own(clean: Stir, body: Body) -> None:
    """Clean up side by side."""
    try:
        await body()
    finally:
        if WRONG:
            await asyncio.gather(clean(CLEANING), clean(CLEANING))


async def with_a_limit(clean: Stir, body: Body) -> None:
    """Clean up within some time."""
    try:
        await body()
    except ValueError:
        await asyncio.wait_for(clean(CLEANING), 60)
        raise


async def branch(clean: Stir, body: Body) -> None:
    """Let the other branches clean up, which did nothing wrong."""

    async def other() -> None:
        try:
            await asyncio.sleep(3600 if WRONG else 0)
        finally:
            if WRONG:
                await clean(CLEANING)

    async with asyncio.TaskGroup() as group:
        group.create_task(other())
        group.create_task(body())


async def left_over(clean: Stir, body: Body) -> None:
    """Leave a task running, which ends with the protocol."""

    async def other() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3600 if WRONG else 0)
        if WRONG:
            await clean(CLEANING)

    task = asyncio.create_task(other())
    await asyncio.sleep(0)
    await body()
    await task


SHAPES: dict[str, Shape] = {
    one.__name__: one
    for one in (
        finally_,
        except_,
        context_manager,
        tasks_of_its_own,
        with_a_limit,
        branch,
        left_over,
    )
}


@step("Stir in a step")
async def in_a_step(stir: Stir, shape: str, body: Body) -> None:
    """Do what a step may do."""
    await SHAPES[shape](stir, body)


@protocol(name="wrong", version="1.0.0")
async def wrong_protocol(
    stirrer: Shaker, state: PraxisState, shape: str, *, stepped: bool
) -> dict[str, Any]:
    """Stir, fail, clean up; when it is right, stir on."""

    async def stir(speed: float) -> None:
        if speed == CLEANING:
            state.increment("cleaned")
            run.now()
        await stirrer.backend.start_shaking(speed=speed)

    async def body() -> None:
        await stir(2.0)
        fail()

    await stir(1.0)
    if stepped:
        await in_a_step(stir, shape, body)
    else:
        await SHAPES[shape](stir, body)
    state["stirred"] = "on"
    now = run.now()
    await stir(3.0)
    return {**state, "time": (run.now() - now).total_seconds() >= 0}


@protocol(name="wrong-tips", version="1.0.0")
async def wrong_tips(lh: LiquidHandler, tips: TipRack, plate: Plate) -> None:
    """Put the tip back although the protocol is wrong."""
    await lh.pick_up_tips(tips["A1"])
    try:
        await lh.aspirate(plate["A1"], vols=[10])
        fail()
        await lh.dispense(plate["A2"], vols=[10])
    finally:
        await lh.return_tips()


@protocol(name="caught", version="1.0.0")
async def caught(stirrer: Shaker) -> None:
    """Fail and deal with it; fail again later, and not deal with it."""
    try:
        await stirrer.backend.start_shaking(speed=1.0)
        {}["dealt with"]
    except KeyError:
        await stirrer.backend.start_shaking(speed=2.0)
    await stirrer.backend.start_shaking(speed=3.0)
    fail()
    await stirrer.backend.start_shaking(speed=4.0)


@pytest.fixture(autouse=True)
def wrong(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the protocol be wrong until the test clears this list."""
    faults = ["a fault"]
    monkeypatch.setitem(globals(), "WRONG", faults)
    return faults


def _request(function: Any, **parameters: Any) -> RunRequest:
    return RunRequest(uuid4(), "a run", function, "stand", parameters=parameters)


@pytest.mark.parametrize("stepped", [False, True], ids=["root", "step"])
async def test_the_corrected_protocol_goes_on_before_the_cleaning_up(
    stand: Stand, journal: Journal, wrong: list[str], *, stepped: bool
) -> None:
    """What was done and learned because of the error is no past of a protocol without it."""
    for shape in SHAPES:
        request = _request(wrong_protocol, shape=shape, stepped=stepped)
        wrong[:], stand.done[:] = ["a fault"], []
        with pytest.raises((ValueError, RuntimeError, ExceptionGroup)):
            await stand.attempt(request)
        assert f"stir {CLEANING}" in stand.done, shape
        wrong.clear()
        stand.done.clear()

        result = await stand.attempt(request)

        assert result.summary == {"stirred": "on", "time": True}, shape
        # What it was set to before the cleaning up is set again.
        assert [one for one in stand.done if one != "stir 2.0"] == ["stir 3.0"], shape
        kept = [one.command.kwargs["speed"] for one in await journal.recorded(request.run_id)]
        assert [speed for speed in kept if speed != 2.0] == [1.0, 3.0], shape


async def test_a_tip_that_was_put_back_after_the_protocols_own_error_is_asked_about(
    stand: Stand, journal: Journal, wrong: list[str]
) -> None:
    """The liquid is in a tip that stands in its rack: a person brings the deck to what it was."""
    request = _request(wrong_tips)
    with pytest.raises(ValueError, match="the protocol is wrong"):
        await stand.attempt(request)
    wrong.clear()
    with pytest.raises(RunNeedsAnswer, match=r"lh\.drop_tips"):
        await stand.attempt(request)
    [doubt] = await journal.open_doubts(request.run_id)
    assert "aspirate" not in doubt.what
    await journal.answer_doubt(doubt.id, Answer.DID_NOT_HAPPEN, "somebody")
    before = len(stand.done)

    await stand.attempt(request)

    assert [one.split()[0] for one in stand.done[before:]] == ["dispense", "drop"]
    assert (await journal.run(request.run_id)).status is RunStatus.SUCCEEDED


async def test_an_error_that_was_dealt_with_stays_in_the_past(
    stand: Stand, journal: Journal, wrong: list[str]
) -> None:
    """And what was done about it, too: only the error that ended the attempt has a tail."""
    request = _request(caught)
    with pytest.raises(ValueError, match="the protocol is wrong"):
        await stand.attempt(request)
    assert len(await journal.recorded(request.run_id)) == 3
    wrong.clear()
    before = len(stand.done)

    await stand.attempt(request)

    assert [one for one in stand.done[before:] if one != "stir 3.0"] == ["stir 4.0"]
