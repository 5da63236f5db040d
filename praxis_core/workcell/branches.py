"""The identity of a command: which branch of the protocol issued it, and as the how-manieth.

Two branches of an ``asyncio.gather`` that end on one device reach it in another order on each run,
so a command cannot be told by the order in which it arrives. Its branch can: the path of asyncio
tasks that led to it (parent's path and child number), which depends only on the protocol's code. A
context variable holds the branch, and a task factory gives each task that protocol code starts the
next child of it.

Tasks that an engine starts while protocol code waits for it (journal, device, Prefect) must not
count; ``outside_protocol`` switches the numbering off around them.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from typing import Any

_log = logging.getLogger(__name__)


class Branch:
    """What a protocol does in one asyncio task, or outside any task of its own.

    Args:
        path: What it is called; see the module.
        parent: The branch whose task started this one's; None: it is the first.
        noticed: Told of each error as soon as one is seen in the tree of branches: when a task
            ends by it, or when one is started while it is handled. Its parent's, if it has one.
    """

    def __init__(
        self,
        path: str = "0",
        parent: Branch | None = None,
        noticed: Callable[[BaseException], None] = lambda _error: None,
    ) -> None:
        self.path = path
        self.noticed: Callable[[BaseException], None] = (
            noticed if parent is None else parent.noticed
        )
        self.cancelled: set[str] = set() if parent is None else parent.cancelled
        """Paths of the branches whose tasks ended by being cancelled; one set for a whole tree."""
        self._parent = parent
        self._commands = 0
        self._children = 0
        self._tasks: set[asyncio.Future[Any]] = set() if parent is None else parent._tasks  # noqa: SLF001
        """Those under way; one set for a whole tree."""
        self.under_way: set[str] = set() if parent is None else parent.under_way
        """Paths of the branches whose tasks are under way; one set for a whole tree."""

    def next_ordinal(self) -> int:
        """Number the next command of this branch, from 0."""
        ordinal = self._commands
        self._commands += 1
        return ordinal

    @property
    def upcoming(self) -> int:
        """The number that its next command is going to have."""
        return self._commands

    def is_ahead(self, path: str, ordinal: int) -> bool:
        """Whether a command comes after all that this branch, and those it is part of, came to.

        Args:
            path: Of the command's branch.
            ordinal: Its number there.
        """
        if path == self.path:
            return ordinal >= self._commands
        if path.startswith(f"{self.path}."):
            return int(path[len(self.path) + 1 :].partition(".")[0]) > self._children
        return self._parent is not None and self._parent.is_ahead(path, ordinal)

    def next_child(self) -> Branch:
        """Begin the branch of a task that this one starts; children are numbered from 1."""
        self._children += 1
        if (handled := sys.exception()) is not None:
            self.noticed(handled)
        return Branch(f"{self.path}.{self._children}", self)

    def follow(self, task: asyncio.Future[Any]) -> None:
        """Remember the task of this branch for as long as it runs."""
        self._tasks.add(task)
        self.under_way.add(self.path)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        self.under_way.discard(self.path)
        if task.cancelled():
            self.cancelled.add(self.path)
        # Not task.exception(): asyncio would no longer warn of an error that nobody asks for.
        elif (error := getattr(task, "_exception", None)) is not None:
            self.noticed(error)

    async def end_tasks(self) -> None:
        """Cancel the tasks that still run, and wait until they have ended."""
        while self._tasks:
            _log.warning("the protocol left %d task(s) running; they end with it", len(self._tasks))
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)


_branch: ContextVar[Branch | None] = ContextVar("praxis_branch", default=None)


def current_branch() -> Branch | None:
    """The branch of the calling protocol code; None outside a protocol."""
    return _branch.get()


@contextmanager
def inside_protocol(branch: Branch) -> Iterator[Branch]:
    """Run what is inside as protocol code of ``branch``; enter it within a running loop."""
    number_tasks(asyncio.get_running_loop())
    with _entered(branch):
        yield branch


@contextmanager
def outside_protocol() -> Iterator[None]:
    """Run what is inside as engine code, whose tasks do not count."""
    with _entered(None):
        yield


@contextmanager
def _entered(branch: Branch | None) -> Iterator[None]:
    before = _branch.get()
    _branch.set(branch)
    try:
        yield
    finally:
        # Not ContextVar.reset: a generator that is closed elsewhere ends in another context.
        _branch.set(before)


class _NumberingTaskFactory:
    """Creates asyncio tasks, each in the next child of the branch that starts it."""

    def __init__(self, inner: Callable[..., asyncio.Future[Any]] | None) -> None:
        self._inner = inner

    def __call__(
        self,
        loop: asyncio.AbstractEventLoop,
        coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        *,
        context: Context | None = None,
        **options: Any,
    ) -> asyncio.Future[Any]:
        context = context if context is not None else copy_context()
        branch = context.get(_branch)
        child = None if branch is None else branch.next_child()
        if child is not None:
            context.run(_branch.set, child)
        if self._inner is not None:
            task = self._inner(loop, coro, context=context, **options)
        else:
            task = asyncio.Task(coro, loop=loop, context=context, **options)
        if child is not None:
            child.follow(task)
        return task


def number_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Make ``loop`` follow branches into tasks; a loop that does already is left alone."""
    factory = loop.get_task_factory()
    if not isinstance(factory, _NumberingTaskFactory):
        loop.set_task_factory(_NumberingTaskFactory(factory))
