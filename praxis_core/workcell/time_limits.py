"""How long a device may take for a command before it is taken for hung."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from praxis_core.protocol.command import Command
from praxis_core.protocol.lifecycle import CommandKind
from praxis_core.workcell.device import Device

_MINUTES = {CommandKind.OBSERVE: 10, CommandKind.REPEATABLE: 15, CommandKind.ONCE: 30}
"""Generous: PyLabRobot's own time limits come first, and a limit that passes costs a visit."""

DAY = 24 * 60 * 60.0
"""Seconds for what takes as long as the device needs."""

_UNLIMITED = frozenset({"run_protocol"})
_SECONDS = ("duration", "seconds", "time")
"""Names of arguments that say how long something is to go on."""

TimeLimit = Callable[[Device, Command, Mapping[str, Any]], float]
"""Gives the seconds for a command; gets its arguments by name."""


def time_limit(device: Device, command: Command, arguments: Mapping[str, Any]) -> float:
    """Give the seconds after which a call that has not ended is in doubt."""
    base = _MINUTES[command.kind] * 60.0
    if command.method in _UNLIMITED:
        return DAY
    timed = device.contains_time(command.method)
    if timed is not None:
        seconds = timed.seconds(dict(arguments))
        return DAY if seconds is None else base + seconds
    asked = [arguments.get(name) for name in _SECONDS]
    return base + sum(float(one) for one in asked if isinstance(one, (int, float)))
