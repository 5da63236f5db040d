"""What a protocol did in one attempt, in the order it did it, and where its error came up.

When an attempt ends by an error, everything from the command that raised it on is the *tail*:
PyLabRobot asks for tip presence after an error, ``finally`` blocks discard tips. A resumed run goes
on before the tail; what of it may have happened is asked about.

An error that no command raised is a protocol's own. When it came up nobody says; but whoever acts
because of it acts while Python handles it (``finally``, ``except``, ``async with``), or after the
task that raised it has ended. So each error is noted at the first deed, or at the first task that
is started, while it is handled, and at the end of its task.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from uuid import uuid4

from praxis_core.workcell.raised import command_of

_POSITION = "__praxis_position__"


COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that a protocol did: a command, or something it learned."""

    kind: str
    """``COMMAND``, or what kind of thing was learned."""
    branch: str
    ordinal: int
    name: str = ""
    """For people."""


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of an attempt that is not replayed."""

    deeds: tuple[Deed, ...]
    state: int
    """``PraxisState.last_recorded`` when it began."""

    @property
    def commands(self) -> list[Deed]:
        """The commands among the deeds."""
        return [deed for deed in self.deeds if deed.kind == COMMAND]


class Trail:
    """The deeds of one attempt, replayed ones included.

    Args:
        state_mark: Tells how far the run's state has been used: ``PraxisState.last_recorded``.
    """

    def __init__(self, state_mark: Callable[[], int] = lambda: 0) -> None:
        self.state_mark = state_mark
        self._name = uuid4().hex
        """An exception object may live longer than an attempt."""
        self._deeds: list[Deed] = []
        self._marks: list[int] = []
        self._commands: dict[tuple[str, int], int] = {}
        self._cancelled: tuple[int, int] | None = None
        self._is_deaf = False

    def add(self, deed: Deed) -> int:
        """Note a deed that begins; give its position."""
        self.notice_handled()
        position = len(self._deeds)
        self._deeds.append(deed)
        self._marks.append(self.state_mark())
        if deed.kind == COMMAND:
            self._commands[deed.branch, deed.ordinal] = position
        return position

    def blame(self, error: BaseException, position: int | None = None) -> None:
        """Note in an error with which deed things went wrong; None: after all of them.

        An error that says so already keeps what it says: it came up further inside.
        """
        if self._found(error) is None:
            place = self._place(len(self._deeds) if position is None else position)
            # Past the error's own __setattr__: it may be a frozen dataclass.
            BaseException.__setattr__(error, _POSITION, (self._name, *place))

    def notice(self, error: BaseException) -> None:
        """Note that an error has come up by now."""
        if not self._is_deaf:
            self.blame(error)

    def notice_handled(self) -> None:
        """Note the error, if there is one, because of which the calling protocol code acts."""
        handled = sys.exception()
        if handled is not None:
            self.notice(handled)

    def cancelled(self, *, replaying: bool = False) -> None:
        """Note that the attempt is cancelled now; what is under way ends as it should.

        Args:
            replaying: It is still being given what was done before, and that stays as it is,
                whatever the protocol does because it is cancelled.
        """
        if replaying:
            self._is_deaf = True
        elif self._cancelled is None:
            self._cancelled = self._place(len(self._deeds))

    def tail_of(self, error: BaseException) -> Tail | None:
        """Give what was done from the point on at which an error began.

        None when the error does not say where it came up, and nothing was done because of it.
        """
        found = [place for one in chain(error) if (place := self._found(one)) is not None]
        if isinstance(error, asyncio.CancelledError) and self._cancelled is not None:
            found.append(self._cancelled)
        if not found:
            return None
        position, state = min(found)
        return Tail(tuple(self._deeds[position:]), state)

    def _place(self, position: int) -> tuple[int, int]:
        known = position < len(self._marks)
        return position, self._marks[position] if known else self.state_mark()

    def _found(self, error: BaseException) -> tuple[int, int] | None:
        match getattr(error, _POSITION, None):
            case (self._name, int(position), int(state)):
                return position, state
        command = command_of(error)
        if command is None or command not in self._commands:
            return None
        return self._place(self._commands[command])


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error, the ones in it, and the ones that led to it."""
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += _next(one)


def _next(error: BaseException) -> Iterable[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        yield from error.exceptions
    for cause in (error.__cause__, error.__context__):
        if cause is not None:
            yield cause
