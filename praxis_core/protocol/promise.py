"""A promise about time between two steps: ``@step("Read", max_gap="10 min", since=mix)``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h|d)(?![a-z])")

MEND = 'write a number and a unit: "90 s", "10 min", "1 h 30 min", "2 d"'
"""How a time that cannot be read is to be written."""


@dataclass(frozen=True, slots=True)
class TimePromise:
    """What a sample goes through in one step comes at most so long after another step."""

    since: Callable[..., Any]
    """The author's function of the earlier step."""
    name: str
    """What the author called the earlier step."""
    seconds: float
    """The most that may lie between them."""


def seconds_in(told: object) -> float | None:
    """Read a time, ``"1 h 30 min"`` or a ``timedelta``; None: it cannot be read, or is not > 0."""
    if isinstance(told, timedelta):
        seconds = told.total_seconds()
    elif isinstance(told, str) and re.fullmatch(f"(?:{_PART.pattern})+\\s*", told):
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(told))
    else:
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def time_told(seconds: float) -> str:
    """Write a time in its two largest units: ``12 min 4 s``."""
    if seconds < _SECONDS["min"]:
        return f"{seconds:.3g} s"
    left = round(seconds)
    parts: list[tuple[int, str]] = []
    for unit in ("d", "h", "min", "s"):
        number, left = divmod(left, int(_SECONDS[unit]))
        if number or parts:
            parts.append((number, unit))
    return " ".join(f"{number} {unit}" for number, unit in parts[:2] if number)
