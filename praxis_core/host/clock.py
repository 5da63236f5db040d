"""The workcell's clock, as the process of a run reads it."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from time import monotonic, time

_STEP_SECONDS = 1.0
"""By more than this a clock does not run slower; it was set back."""


@dataclass(order=True, slots=True)
class _Sleeper:
    deadline: datetime
    number: int
    awake: asyncio.Event = field(compare=False, default_factory=asyncio.Event)


class HostClock:
    """Shows the time that the host told, goes on from there, and lets the host do the waiting.

    The computer's own time of day plays no part: it may jump, or differ from the host's.

    Of several sleepers only the one with the earliest deadline makes the host wait: on a simulated
    workcell the clock jumps to whatever is waited for.

    Args:
        wait: Comes back when the workcell's clock shows a time.
    """

    def __init__(self, wait: Callable[[datetime], Awaitable[None]]) -> None:
        self._ahead = time() - monotonic()
        self._heard = False
        self._wait = wait
        self._sleepers: list[_Sleeper] = []
        self._numbers = count()

    def hear(self, told: float, waited: float) -> None:
        """Take up what time the host says it is.

        Args:
            told: Seconds since 1970 on the workcell's clock.
            waited: For how many seconds the answer was waited for: it may be that old.
        """
        ours = monotonic() + self._ahead
        set_back = told + waited < ours - _STEP_SECONDS
        # What comes late says an earlier time: the time does not run backwards by that.
        if told > ours or set_back or not self._heard:
            self._ahead, self._heard = told - monotonic(), True

    def now(self) -> datetime:
        """The time, UTC."""
        return datetime.fromtimestamp(monotonic() + self._ahead, UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait until ``seconds`` have passed on the workcell's clock."""
        me = _Sleeper(self.now() + timedelta(seconds=max(seconds, 0.0)), next(self._numbers))
        heapq.heappush(self._sleepers, me)
        try:
            await asyncio.sleep(0)  # others who lie down now may want to wake earlier
            while self.now() < me.deadline:
                first = self._sleepers[0]
                if first is me:
                    # Whatever the clock shows after that: the host has waited for it.
                    await self._wait(me.deadline)
                    return
                await first.awake.wait()
        finally:
            self._sleepers.remove(me)
            heapq.heapify(self._sleepers)
            me.awake.set()
