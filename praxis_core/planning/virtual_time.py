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
from concurrent.futures import Executor
from contextvars import copy_context
from time import monotonic
from typing import Any, TypeVar, TypeVarTuple

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class OutOfTime(BaseException):  # no error of the protocol, which must not catch it
    """The time for a plan is over."""


class StillRunning(OutOfTime):
    """The time is over, and the plan is stuck in a call that nothing interrupts."""


class NothingComes(BaseException):  # as above
    """What is waited for never comes, or is looked for again and again and does not come."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time is its own.

    Args:
        seconds: Of real time, until it breaks off with ``OutOfTime``.
        waits: How often its time may pass until ``came`` is called; ``NothingComes`` then.
    """

    def __init__(self, seconds: float, waits: int) -> None:
        self._jumping = _JumpingSelector(monotonic() + seconds, waits)
        super().__init__(self._jumping)

    def time(self) -> float:
        """Seconds of this loop, from 0."""
        return self._jumping.now

    def came(self) -> None:
        """Note that something happened: it may wait as often as before."""
        self._jumping.waited = 0

    def run_in_executor(
        self,
        executor: Executor | None,  # noqa: ARG002  # as the base class has it
        func: Callable[[*Arguments], Result],
        *args: *Arguments,
    ) -> asyncio.Future[Result]:
        """Do at once, in this thread, what is meant for another one: it stays within the plan."""
        future: asyncio.Future[Result] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  # whatever it raises is its result
            future.set_exception(error)
        return future

    def extend(self, seconds: float) -> None:
        """Let what is broken off end."""
        self._jumping.until = monotonic() + seconds
        self.came()


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting for a deadline it lets the time be that of the deadline."""

    def __init__(self, until: float, waits: int) -> None:
        super().__init__()
        self.now = 0.0
        self.until = until
        self.waited = 0
        self._waits = waits

    def select(self, timeout: float | None = None) -> list[Any]:
        if monotonic() > self.until:
            raise OutOfTime
        ready: list[Any] = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is not None:
            self.now += timeout
            self.waited += 1
            if self.waited > self._waits:
                raise NothingComes
            return ready
        if len(self.get_map()) <= 1:
            raise NothingComes  # only the loop itself could still wake itself
        return list(super().select(max(0.0, self.until - monotonic())))


def run_virtually(
    main: Callable[[], Coroutine[Any, Any, Result]],
    seconds: float,
    grace: float = 1.0,
    waits: int = 100_000,
) -> Result:
    """Carry out a coroutine in a thread of its own, on a loop whose waiting takes no time.

    Args:
        main: Makes the coroutine.
        seconds: How long it may take, of real time.
        grace: How long what is broken off may take to end; ten times it is asked to.
        waits: How often it may wait until something happens; see ``VirtualLoop.came``.

    Raises:
        OutOfTime: it has not ended after so many seconds of real time; it ends now.
        StillRunning: nor can it be ended: it will go on when its call returns.
        NothingComes: it waits for something that never comes.
        BaseException: what it raised.
    """
    ended: list[Result] = []
    raised: list[BaseException] = []

    def carry_out() -> None:
        try:
            ended.append(_on_loop(main, VirtualLoop(seconds, waits), grace))
        except BaseException as error:  # noqa: BLE001  # told in the caller's thread
            raised.append(error)

    thread = threading.Thread(
        target=copy_context().run, args=(carry_out,), name="praxis-plan", daemon=True
    )
    thread.start()
    thread.join(seconds + grace)
    for _ in range(10):  # one that never waits is interrupted where it is, whatever it catches
        if not thread.is_alive():
            break
        _interrupt(thread)
        thread.join(grace)
    if thread.is_alive():
        raise StillRunning
    if raised:
        raise raised[0]
    return ended[0]


def _on_loop(
    main: Callable[[], Coroutine[Any, Any, Result]], loop: VirtualLoop, grace: float
) -> Result:
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main())
    finally:
        try:
            loop.extend(grace)
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
