"""The time of a workcell: real, or simulated so that waiting costs nothing."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Protocol


class Clock(Protocol):
    """Where a workcell and its runs get the time from."""

    def now(self) -> datetime:
        """The time, UTC."""

    async def sleep(self, seconds: float) -> None:
        """Wait until ``seconds`` have passed on this clock."""


class RealClock:
    """The computer's clock."""

    def now(self) -> datetime:
        """The time, UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait for real."""
        await asyncio.sleep(seconds)


class SimulatedClock:
    """The computer's clock, which jumps when somebody waits.

    Work takes the time it takes, so that durations tell something; waiting takes none. Of several
    sleepers the one with the earliest deadline wakes first, so that two tasks which sleep 10 s and
    20 s at the same time together take 20 s, as they would on a real clock.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._start = start.astimezone(UTC) if start else datetime.now(UTC)
        self._began = monotonic()
        self._skipped = timedelta()
        self._deadlines: list[datetime] = []

    def now(self) -> datetime:
        """The simulated time, UTC."""
        return self._start + timedelta(seconds=monotonic() - self._began) + self._skipped

    async def sleep(self, seconds: float) -> None:
        """Let the clock reach the time ``seconds`` from now, without waiting for real."""
        deadline = self.now() + timedelta(seconds=max(seconds, 0.0))
        heapq.heappush(self._deadlines, deadline)
        try:
            await asyncio.sleep(0)
            while (missing := deadline - self.now()) > timedelta():
                if self._deadlines[0] == deadline:
                    self._skipped += missing
                else:
                    await asyncio.sleep(0)
        finally:
            self._deadlines.remove(deadline)
            heapq.heapify(self._deadlines)
