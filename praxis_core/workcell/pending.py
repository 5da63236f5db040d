"""Around the pipetting calls of a protocol: what they want is there, and trackers are left clean.

PyLabRobot 0.2.2 notes what a call is about to do on its trackers, well by well, before it checks
the next well. A call that fails on the fifth leaves four notes behind, and the next good call makes
them true.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import Container, TipSpot, TipTracker, VolumeTracker

from praxis_core.workcell.wanted import Wanted, wanted_by

PIPETTING = (
    "pick_up_tips",
    "drop_tips",
    "aspirate",
    "dispense",
    "pick_up_tips96",
    "drop_tips96",
    "aspirate96",
    "dispense96",
)


Provide = Callable[[Wanted], AbstractAsyncContextManager[None]]


class PendingGuard:
    """Takes back what a failed pipetting call of one liquid handler left pending.

    Args:
        handler: The liquid handler.
        provide: Tells what sees to it that what a call wants is there; None: nobody does.
    """

    def __init__(
        self, handler: LiquidHandler, provide: Callable[[], Provide | None] = lambda: None
    ) -> None:
        self._handler = handler
        self._provide = provide
        self._under_way = 0
        self._failed = False
        for name in PIPETTING:
            setattr(handler, name, self._provided(name, self._guarded(getattr(handler, name))))
        # It takes a part of the deck away, and wants nothing of what is in it.
        handler.pick_up_resource = self._provided("pick_up_resource", handler.pick_up_resource)

    def _provided(
        self, name: str, method: Callable[..., Awaitable[Any]]
    ) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(method)
        async def provided(*args: Any, **kwargs: Any) -> Any:
            provide = self._provide()
            if provide is None:
                return await method(*args, **kwargs)
            async with provide(wanted_by(self._handler, name, args, kwargs)):
                return await method(*args, **kwargs)

        return provided

    def _guarded(self, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(method)
        async def guarded(*args: Any, **kwargs: Any) -> Any:
            self._under_way += 1
            try:
                return await method(*args, **kwargs)
            except BaseException:
                self._failed = True
                raise
            finally:
                self._under_way -= 1
                # Of calls that run at the same time the last one cleans up: their notes are mixed.
                if self._failed and self._under_way == 0:
                    self._failed = False
                    roll_back(self._handler)

        return guarded


def roll_back(handler: LiquidHandler) -> None:
    """Forget everything that is pending on a liquid handler's heads, tips and deck."""
    for tracker in _trackers(handler):
        if not tracker.is_disabled:
            tracker.rollback()


def _trackers(handler: LiquidHandler) -> Iterator[TipTracker | VolumeTracker]:
    for head in (handler.head, handler.head96):
        for tracker in head.values():
            yield tracker  # rolled back before the next line looks at its tip
            if tracker.has_tip:
                yield tracker.get_tip().tracker
    for resource in handler.deck.get_all_children():
        if isinstance(resource, (Container, TipSpot)):
            yield resource.tracker
