"""How commands end and how long they take, told to whoever counts that."""

from __future__ import annotations

from time import perf_counter
from typing import Protocol

from praxis_core.protocol.command import Command, Outcome


class Meter(Protocol):
    """Counts what becomes of commands; in the midst of each, so that it neither waits nor fails."""

    def called(self, command: Command, seconds: float) -> None:
        """Count a call of a device."""

    def ended(self, command: Command, end: Outcome | Exception, watch: Stopwatch) -> None:
        """Count a command that has come to its end; an exception: there is no outcome."""


class Stopwatch:
    """Measures one command, from when its turn has come."""

    __slots__ = ("_before", "_began", "_last", "calls", "told_again")

    def __init__(self) -> None:
        self._began = perf_counter()
        self._before = 0.0
        self._last = 0.0
        self.calls = 0
        """How often its device was called."""
        self.told_again = False
        """Whether it had ended before, and its run was only told so again."""

    def called(self, began: float) -> float:
        """Note that a call has ended which began at ``perf_counter()``; give its seconds."""
        self._last = perf_counter()
        if not self.calls:
            self._before = began - self._began
        self.calls += 1
        return self._last - began

    @property
    def beside(self) -> float:
        """Seconds before the first call and since the last one: what all but the device took."""
        return self._before + perf_counter() - self._last
