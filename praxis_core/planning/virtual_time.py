"""An event loop on which waiting takes no time, and that ends in time itself.

A plan is carried out on a loop of its own, in a thread of its own. Where nothing is ready, its
clock jumps to the next deadline: ``asyncio.sleep`` of an hour costs nothing and counts as an hour,
and two branches that wait at once wait together.
"""

from __future__ import annotations

import asyncio
import ctypes
import selectors
import threading
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from time import monotonic
from typing import Any, TypeVar

Result = TypeVar("Result")

_GRACE_SECONDS = 1.0
"""How long what is broken off may take to end."""


class OutOfTime(BaseException):  # no error of the protocol, which must not catch it
    """The time for a plan is over."""


class NothingComes(BaseException):  # as above
    """What is waited for never comes."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time is its own.

    Args:
        seconds: Of real time, until it breaks off with ``OutOfTime``.
    """

    def __init__(self, seconds: float) -> None:
        self._jumping = _JumpingSelector(monotonic() + seconds)
        super().__init__(self._jumping)
        self._jumping.alone = lambda: getattr(self, "_default_executor", None) is None

    def time(self) -> float:
        """Seconds of this loop, from 0."""
        return self._jumping.now

    def extend(self, seconds: float) -> None:
        """Let what is broken off end."""
        self._jumping.until = monotonic() + seconds


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting for a deadline it lets the time be that of the deadline."""

    def __init__(self, until: float) -> None:
        super().__init__()
        self.now = 0.0
        self.until = until
        self.alone: Callable[[], bool] = lambda: True

    def select(self, timeout: float | None = None) -> list[Any]:
        if monotonic() > self.until:
            raise OutOfTime
        ready: list[Any] = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is not None:
            self.now += timeout
            return ready
        if len(self.get_map()) <= 1 and self.alone():
            raise NothingComes  # only the loop itself could still wake itself
        return list(super().select(max(0.0, self.until - monotonic())))


def run_virtually(main: Callable[[], Coroutine[Any, Any, Result]], seconds: float) -> Result:
    """Carry out a coroutine in a thread of its own, on a loop whose waiting takes no time.

    Raises:
        OutOfTime: it has not ended after so many seconds of real time; it ends now.
        NothingComes: it waits for something that never comes.
        BaseException: what it raised.
    """
    ended: list[Result] = []
    raised: list[BaseException] = []

    def carry_out() -> None:
        try:
            ended.append(_on_loop(main, seconds))
        except BaseException as error:  # noqa: BLE001  # told in the caller's thread
            raised.append(error)

    thread = threading.Thread(
        target=copy_context().run, args=(carry_out,), name="praxis-plan", daemon=True
    )
    thread.start()
    thread.join(seconds + _GRACE_SECONDS)
    for _ in range(10):  # one that never waits is interrupted where it is, whatever it catches
        if not thread.is_alive():
            break
        _interrupt(thread)
        thread.join(_GRACE_SECONDS)
    if raised:
        raise raised[0]
    if not ended:
        raise OutOfTime
    return ended[0]


def _on_loop(main: Callable[[], Coroutine[Any, Any, Result]], seconds: float) -> Result:
    loop = VirtualLoop(seconds)
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main())
    finally:
        try:
            loop.extend(_GRACE_SECONDS)
            _end_tasks(loop)
        finally:
            asyncio.set_event_loop(None)
            loop.close()


def _end_tasks(loop: VirtualLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks))


def _interrupt(thread: threading.Thread) -> None:
    raising = ctypes.pythonapi.PyThreadState_SetAsyncExc
    raising(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(OutOfTime))
