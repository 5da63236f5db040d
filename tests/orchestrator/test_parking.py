"""What ends the process of a run that waits for hours, and what does not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from pylabrobot.shaking import Shaker

from praxis_core.errors import ReplayDivergence, RunParked, SourceChanged
from praxis_core.execution.active_run import ActiveRun
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import RunRequest
from praxis_core.protocol import protocol, run
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.protocol.running import current_run

Stand = Any
HOURS = 8 * 3600
STIR = ["stir 100.0", "stop"]
ANSWERS: list[str] = []


@protocol(name="catching-all", version="1.0.0")
async def catching_all(stirrer: Shaker) -> str:
    """Catch whatever there is, and go on as if nothing had been."""
    await stirrer.backend.start_shaking(speed=100.0)
    with suppress(BaseException):
        await run.sleep(HOURS, park=True)
    with suppress(BaseException):
        await stirrer.backend.stop_shaking()
    return "went on"


@protocol(name="in-branches", version="1.0.0")
async def in_branches(stirrer: Shaker) -> str:
    """Wait in two branches, and clean up in both."""

    async def night(hours: float) -> None:
        try:
            await run.sleep(hours * 3600, park=True)
        finally:
            await asyncio.sleep(0)

    await stirrer.backend.start_shaking(speed=100.0)
    try:
        await asyncio.gather(night(8), night(2))
    finally:
        await stirrer.backend.stop_shaking()
    return "went on"


@protocol(name="short-of-it", version="1.0.0")
async def short_of_it(stirrer: Shaker) -> str:
    """Wait for less than is worth a new process."""
    await stirrer.backend.start_shaking(speed=100.0)
    await run.sleep(30, park=True)
    await stirrer.backend.stop_shaking()
    return "went on"


@protocol(name="asking", version="1.0.0")
async def asking(stirrer: Shaker) -> str:
    """Wait until somebody answers."""
    await stirrer.backend.start_shaking(speed=100.0)
    here = current_run.get()
    assert isinstance(here, ActiveRun)
    while not ANSWERS:
        await here.park()
    await stirrer.backend.stop_shaking()
    return "went on"


@pytest.mark.parametrize("function", [catching_all, in_branches])
async def test_whatever_a_protocol_does_it_is_parked(
    stand: Stand, journal: Journal, function: Callable[..., Awaitable[str]]
) -> None:
    """Nothing of what it does then is done, until it goes on."""
    request = RunRequest(uuid4(), "night", function, "stand")
    with pytest.raises(RunParked) as parked:
        await stand.attempt(request)

    assert stand.done == STIR[:1]
    record = await journal.run(request.run_id)
    assert record.status is RunStatus.PARKED
    assert record.parked_until == parked.value.until
    assert record.error is None
    result = await stand.attempt(request)
    assert result is not None
    assert result.attempt == 2
    assert stand.done[-1] == "stop"
    assert (await journal.run(request.run_id)).parked_until is None


async def test_the_first_deadline_of_several_counts(stand: Stand) -> None:
    """The other branch waits again for what is left."""
    request = RunRequest(uuid4(), "night", in_branches, "stand")
    before = stand.runtime.clock.now()
    with pytest.raises(RunParked) as parked:
        await stand.attempt(request)
    hours = (parked.value.until - before).total_seconds() / 3600
    assert 2 <= hours < 2.1


async def test_a_short_wait_is_waited_for(stand: Stand) -> None:
    """To begin a process takes longer."""
    result = await stand.attempt(RunRequest(uuid4(), "short", short_of_it, "stand"))
    assert result is not None
    assert result.attempt == 1
    assert stand.done == STIR


async def test_devices_of_its_own_process_keep_it(orchestrator: Any, journal: Journal) -> None:
    """They would go with it."""
    await journal.store_workcell("stand", _STIRRER)
    request = RunRequest(uuid4(), "night", in_branches, "stand")
    result = await orchestrator.run(request)
    assert result.attempt == 1


async def test_it_waits_for_a_person_without_an_end(stand: Stand, journal: Journal) -> None:
    """It is parked again when it is resumed too early."""
    ANSWERS.clear()
    request = RunRequest(uuid4(), "asking", asking, "stand")
    for _ in range(2):
        with pytest.raises(RunParked) as parked:
            await stand.attempt(request)
        assert parked.value.until is None
        assert (await journal.run(request.run_id)).status is RunStatus.PARKED
    ANSWERS.append("yes")
    result = await stand.attempt(request)
    assert result is not None
    assert result.attempt == 3


@protocol(name="overnight", version="1.0.0")
async def overnight(stirrer: Shaker) -> str:
    """Stir, wait for the morning, and stop."""
    await stirrer.backend.start_shaking(speed=100.0)
    await run.sleep(HOURS, park=True)
    await stirrer.backend.stop_shaking()
    return "stopped"


@protocol(name="overnight", version="1.1.0")
async def corrected(stirrer: Shaker) -> str:
    """Stir, wait for the morning, and stir once more."""
    await stirrer.backend.start_shaking(speed=100.0)
    await run.sleep(HOURS, park=True)
    await stirrer.backend.start_shaking(speed=50.0)
    await stirrer.backend.stop_shaking()
    return "stirred once more"


@protocol(name="overnight", version="2.0.0")
async def another(stirrer: Shaker) -> str:
    """Stir faster from the beginning."""
    await stirrer.backend.start_shaking(speed=120.0)
    await run.sleep(HOURS, park=True)
    return "never"


async def test_a_run_parked_under_one_version_goes_on_under_the_next(
    stand: Stand, journal: Journal
) -> None:
    """If somebody allows it, and the new one would have done the same up to there."""
    request = RunRequest(uuid4(), "night", overnight, "stand")
    with pytest.raises(RunParked):
        await stand.attempt(request)

    with pytest.raises(SourceChanged):
        await stand.attempt(replace(request, function=corrected))
    with pytest.raises(ReplayDivergence, match=r"120\.0"):
        await stand.attempt(replace(request, function=another, with_current_code=True))
    assert stand.done == STIR[:1]
    result = await stand.attempt(replace(request, function=corrected, with_current_code=True))

    assert result is not None
    assert result.summary == "stirred once more"
    # It is set again before it goes on: the attempt that diverged gave the device back.
    assert stand.done == ["stir 100.0", "stir 100.0", "stir 50.0", "stop"]
    assert (await journal.run(request.run_id)).status is RunStatus.SUCCEEDED


_BACKEND = "pylabrobot.shaking.chatterbox:ShakerChatterboxBackend"
_STIRRER: dict[str, Any] = {
    "name": "stand",
    "devices": {
        "stirrer": {
            "frontend": "pylabrobot.shaking:Shaker",
            "config": {"size_x": 1, "size_y": 1, "size_z": 1, "child_location": [0, 0, 0]},
            "backend": _BACKEND,
            "simulated_backend": _BACKEND,
        }
    },
}
