"""What goes wrong on request: faults of devices, and processes killed at a chosen point."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import JsonValue
from pylabrobot.liquid_handling.errors import ChannelizedError

from praxis_core.errors import LabRefused
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.labware.encoding import decode_error

DEATH_SECONDS = 10.0
"""How long a killed process may take to be dead."""


class How(StrEnum):
    """In which way a call fails."""

    BEFORE = "before"
    """An error, and nothing happened."""
    AFTER = "after"
    """It happened, and an error all the same."""
    HALF = "half"
    """The last half of its channels did nothing, and the error names them."""
    HANG = "hang"
    """Nothing happens, and no answer comes, until ``release``."""
    HANG_AFTER = "hang_after"
    """It happened, and no answer comes until ``release``."""
    DROP = "drop"
    """The connection breaks; the device finishes what it was told."""
    DROP_BEFORE = "drop_before"
    """The connection breaks before the device heard anything."""
    WRONG_READING = "wrong_reading"
    """It happened, and the answer is another than it should be."""


@dataclass
class Fault:
    """One fault that is waiting for its call."""

    device: str
    how: How
    nth: int = 1
    """Counted over the calls that it matches."""
    method: str | None = None
    """None: any."""
    channels: frozenset[int] = frozenset()
    """Only these fail; empty: the whole call, or as ``how`` says."""
    error: EncodedError | None = None
    """What is raised; None: a ``ChannelizedError`` for channels, else a ``RuntimeError``."""
    value: JsonValue = None
    """The wrong reading, encoded; None: one that differs."""

    def failing(self, channels: list[int]) -> frozenset[int]:
        """Say which of the channels of a call do nothing."""
        if self.how is How.HALF:
            return self.channels or frozenset(channels[(len(channels) + 1) // 2 :])
        return self.channels if self.how is How.BEFORE else frozenset()

    def raised(self, failing: frozenset[int]) -> Exception:
        """Make the error that the device answers."""
        if self.error is not None:
            asked: Exception = decode_error(self.error)
            return asked
        named = failing or self.channels
        text = f"fault on request: {self.how}"
        if named:
            channels: Exception = ChannelizedError(
                {number: RuntimeError(text) for number in sorted(named)}
            )
            return channels
        return RuntimeError(text)


def fault_of(request: dict[str, Any]) -> Fault:
    """Read a fault from a control message.

    Raises:
        LabRefused: it is no fault.
    """
    try:
        given = {name: value for name, value in request.items() if value is not None}
        given["how"] = How(given["how"])
        given["channels"] = frozenset(given.get("channels", ()))
        if "error" in given:
            given["error"] = EncodedError(**given["error"])
        return Fault(**given)
    except (KeyError, TypeError, ValueError) as error:
        raise LabRefused(request="fail", what=str(error)) from None


@dataclass
class FaultPlan:
    """The faults that are waiting."""

    waiting: list[Fault] = field(default_factory=list)

    def take(self, device: str, method: str) -> Fault | None:
        """Count a call, and give the fault whose turn it is."""
        due = None
        for fault in list(self.waiting):
            if fault.device != device or fault.method not in {None, method}:
                continue
            fault.nth -= 1
            if fault.nth <= 0 and due is None:
                self.waiting.remove(fault)
                due = fault
        return due


@dataclass
class KillPoint:
    """A process that is to be killed when a point is reached."""

    pid: int
    at: str
    """``"before_effect"`` or ``"after_effect"``."""
    nth: int | None = None
    """Counted over effects from now on; None: the tag decides."""
    tag: str | None = None


@dataclass
class KillPoints:
    """The kills that are waiting."""

    waiting: list[KillPoint] = field(default_factory=list)

    def reached(self, at: str, tag: str | None, *, effect: bool) -> None:
        """Kill the processes whose point this is, and go on when they are dead."""
        for point in list(self.waiting):
            if point.at != at:
                continue
            if point.nth is not None and effect:
                point.nth -= 1
            if (point.nth is not None and point.nth <= 0 and effect) or (
                point.tag is not None and point.tag == tag
            ):
                self.waiting.remove(point)
                kill(point.pid)


def kill(pid: int) -> None:
    """Send SIGKILL and wait until the process is dead; one that is dead already is fine."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            os.kill(pid, signal.SIGKILL)
            select.select([handle], [], [], DEATH_SECONDS)
        finally:
            os.close(handle)


def wrong(value: JsonValue) -> JsonValue:
    """Make a reading that is not the right one: other numbers, the opposite of yes and no."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value * 10 + 99
    if isinstance(value, list):
        return [wrong(item) for item in value]
    if isinstance(value, dict):
        return {name: item if name == "time" else wrong(item) for name, item in value.items()}
    return value
