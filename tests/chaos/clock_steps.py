"""A process whose wall clock jumps when it is told to, as after a step of NTP or by hand.

Only what this process reads of the time of day is shifted: ``time.time`` everywhere, and
``datetime.now`` in the modules of Praxis. Nothing that measures a duration jumps, as in reality.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from typing import Any

STEP = signal.SIGUSR1
"""Tells the process that its clock is to jump now."""

_clock = time.time


class _Shift:
    seconds = 0.0


class _Shifted:
    """Stands where a module has ``datetime``: the same, but for ``now``."""

    def now(self, zone: tzinfo | None = None) -> datetime:
        """The shifted time of day."""
        return datetime.now(zone) + timedelta(seconds=_Shift.seconds)

    def __call__(self, *words: Any, **named: Any) -> datetime:
        return datetime(*words, **named)  # noqa: DTZ001  # the caller's business

    def __getattr__(self, name: str) -> Any:
        return getattr(datetime, name)

    def __get_pydantic_core_schema__(self, _source: Any, handler: Callable[[Any], Any]) -> Any:
        return handler(datetime)

    def __instancecheck__(self, one: object) -> bool:
        return isinstance(one, datetime)


def stepping(seconds: float, target: Callable[..., None], *words: Any) -> None:
    """Be a process whose wall clock jumps at each ``STEP``.

    Args:
        seconds: By how much; forward when positive.
        target: What it does otherwise.
        words: Its arguments.
    """

    def step(_number: int, _frame: object) -> None:
        _Shift.seconds += seconds
        os.write(2, f"the clock jumps by {seconds:+.0f} s\n".encode())

    signal.signal(STEP, step)
    time.time = lambda: _clock() + _Shift.seconds
    for name, module in list(sys.modules.items()):
        if name.startswith("praxis_core.") and getattr(module, "datetime", None) is datetime:
            module.datetime = _Shifted()  # type: ignore[attr-defined]
    target(*words)
