"""A run's clock is its workcell's, whatever the time of day is where the run is."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta

import pytest

from praxis_core.host.clock import HostClock

HOUR = 3600.0


class Waiting:
    """Stands where the host is: it answers at once, and tells nothing more."""

    def __init__(self) -> None:
        self.until: list[datetime] = []

    async def __call__(self, until: datetime) -> None:
        """Take note of what is waited for."""
        await asyncio.sleep(0)
        self.until.append(until)


@pytest.mark.parametrize("step", [-5 * HOUR, 5 * HOUR])
async def test_a_jump_of_the_time_of_day_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    """Neither the time that is shown nor how long is waited."""
    waiting = Waiting()
    clock = HostClock(waiting)
    clock.hear(1000.0, 0.1)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + step)

    before = clock.now()
    await clock.sleep(60)

    assert abs(before.timestamp() - 1000) < 10
    assert [round((one - before).total_seconds(), 1) for one in waiting.until] == [60]


async def test_what_comes_late_does_not_set_the_clock_back() -> None:
    """This process was stopped for five minutes while an answer lay there."""
    clock = HostClock(Waiting())
    clock.hear(1000.0, 0.1)

    clock.hear(700.0, waited=301.0)

    assert clock.now().timestamp() >= 1000


async def test_a_host_whose_clock_was_set_back_is_followed() -> None:
    """It told so at once."""
    clock = HostClock(Waiting())
    clock.hear(1000.0 + HOUR, 0.1)

    clock.hear(1000.0, waited=0.1)

    assert clock.now().timestamp() == pytest.approx(1000, abs=10)


async def test_a_host_that_has_waited_is_believed() -> None:
    """Its clock was set back meanwhile: to wait again would be twice the time."""
    waiting = Waiting()
    clock = HostClock(waiting)

    async with asyncio.timeout(20):
        await clock.sleep(timedelta(hours=1).total_seconds())

    assert len(waiting.until) == 1
