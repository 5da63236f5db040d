"""The workcell's clock, as the process of a run reads it."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

_JITTER_SECONDS = 0.001


@dataclass(order=True, slots=True)
class _Sleeper:
    deadline: datetime
    number: int
    awake: asyncio.Event = field(compare=False, default_factory=asyncio.Event)


class HostClock:
    """Shows the time that the host told last, and lets the host do the waiting.

    Of several sleepers only the one with the earliest deadline makes the host wait: on a simulated
    workcell the clock jumps to whatever is waited for.

    Args:
        wait: Comes back when the workcell's clock shows a time.
    """

    def __init__(self, wait: Callable[[datetime], Awaitable[None]]) -> None:
        self.skipped = 0.0
        self._wait = wait
        self._sleepers: list[_Sleeper] = []
        self._numbers = count()

    def hear(self, skipped: float) -> None:
        """Take up by how many seconds the workcell's clock is ahead of the computer's."""
        # It is read off two clocks one after the other: less would let the time run backwards.
        if abs(skipped - self.skipped) > _JITTER_SECONDS:
            self.skipped = skipped

    def now(self) -> datetime:
        """The time, UTC."""
        return datetime.now(UTC) + timedelta(seconds=self.skipped)

    async def sleep(self, seconds: float) -> None:
        """Wait until ``seconds`` have passed on the workcell's clock."""
        me = _Sleeper(self.now() + timedelta(seconds=max(seconds, 0.0)), next(self._numbers))
        heapq.heappush(self._sleepers, me)
        try:
            await asyncio.sleep(0)  # others who lie down now may want to wake earlier
            while self.now() < me.deadline:
                first = self._sleepers[0]
                await (self._wait(me.deadline) if first is me else first.awake.wait())
        finally:
            self._sleepers.remove(me)
            heapq.heapify(self._sleepers)
            me.awake.set()
