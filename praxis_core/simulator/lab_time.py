"""The clock of the pretend lab: real time, and a jump forward whenever somebody waits."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from datetime import UTC, datetime

from praxis_core.simulator.truth import Seconds, Truth


class LabTime:
    """Real time plus what was skipped.

    Args:
        truth: Keeps how much was skipped.
        skipping: Called with the seconds of each jump before it happens, to write it down.
    """

    def __init__(self, truth: Truth, skipping: Callable[[float], None]) -> None:
        self._truth = truth
        self._skipping = skipping
        self._deadlines: list[Seconds] = []

    def now(self) -> Seconds:
        """The time, in seconds since 1970."""
        return time.time() + self._truth.skipped

    def date(self) -> datetime:
        """The time, UTC."""
        return datetime.fromtimestamp(self.now(), UTC)

    def skip(self, seconds: float) -> None:
        """Jump forward."""
        if seconds > 0:
            self._skipping(seconds)
            self._truth.skipped += seconds

    async def sleep_until(self, deadline: Seconds) -> None:
        """Let the clock reach a time, without waiting for real.

        Of several sleepers the one with the earliest deadline wakes first.
        """
        heapq.heappush(self._deadlines, deadline)
        try:
            await asyncio.sleep(0)
            while (missing := deadline - self.now()) > 0:
                if self._deadlines[0] == deadline:
                    self.skip(missing)
                else:
                    await asyncio.sleep(0)
        finally:
            self._deadlines.remove(deadline)
            heapq.heapify(self._deadlines)
