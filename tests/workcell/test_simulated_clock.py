"""On a simulated clock waiting costs no time; work does, and time passes in order."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from praxis_core.workcell.clock import SimulatedClock

START = datetime(2025, 1, 1, tzinfo=UTC)


def seconds_on(clock: SimulatedClock) -> int:
    """Give the time that has passed, without the moments that the test itself took."""
    return round((clock.now() - START).total_seconds())


async def test_an_hour_passes_at_once() -> None:
    """A sleep ends when its time has come, not earlier and not later."""
    clock = SimulatedClock(START)

    await clock.sleep(3600)
    await clock.sleep(0)

    assert seconds_on(clock) == 3600


async def test_sleepers_wake_in_the_order_of_their_deadlines() -> None:
    """Sleeping at the same time takes as long as the longest sleep; short ones repeat within."""
    clock = SimulatedClock(START)
    woken: list[tuple[str, int]] = []

    async def sleeper(name: str, seconds: float, times: int) -> None:
        for _ in range(times):
            await clock.sleep(seconds)
            woken.append((name, seconds_on(clock)))

    await asyncio.gather(sleeper("slow", 25, 1), sleeper("quick", 10, 3), sleeper("quick", 10, 1))

    assert woken == [
        ("quick", 10),
        ("quick", 10),
        ("quick", 20),
        ("slow", 25),
        ("quick", 30),
    ]


async def test_a_cancelled_sleeper_holds_nobody_up() -> None:
    """Others wake at their own time."""
    clock = SimulatedClock(START)
    early = asyncio.create_task(clock.sleep(5))
    late = asyncio.create_task(clock.sleep(10))
    await asyncio.sleep(0)
    early.cancel()

    await late

    assert seconds_on(clock) == 10
