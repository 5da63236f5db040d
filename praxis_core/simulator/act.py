"""One call of a device, as its physics sees it, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue
from pylabrobot.machines.machine import Machine

from praxis_core.errors import PhysicsRefused
from praxis_core.simulator.truth import DeviceTruth, Draft
from praxis_core.workcell.resource_index import ResourceIndex


@dataclass
class Act:
    """One call at work on a draft of the truth."""

    device: str
    machine: Machine
    resources: ResourceIndex
    draft: Draft
    arguments: Mapping[str, Any]
    """By name, decoded."""
    new_parent: str | None = None
    """What dropped labware will stand on, as the caller says; None: on nothing."""
    failing: frozenset[int] = frozenset()
    """Channels that do nothing, because a fault wants it."""
    lag: float = 0.0
    """Thermal lag of the device, s."""
    done: list[dict[str, JsonValue]] = field(default_factory=list)
    """What happened, for the log: one entry per channel or thing."""
    flags: list[str] = field(default_factory=list)
    """What happened that nobody would have wanted, as drawing air."""
    errors: dict[int, Exception] = field(default_factory=dict)
    """Channels that could not, and why; the others did."""
    holds: float = 0.0
    """How long it takes on the lab's clock, s."""

    def argument(self, *names: str, default: Any = None) -> Any:
        """Give the first of these arguments that the call has."""
        for name in names:
            if name in self.arguments:
                return self.arguments[name]
        return default

    def note(self, **what: JsonValue) -> None:
        """Note one thing that happened."""
        self.done.append(what)

    def crash(self, what: str) -> PhysicsRefused:
        """Make the error of a device that hits what is really there."""
        return PhysicsRefused(device=self.device, what=what)

    def truth_of_device(self) -> DeviceTruth:
        """Give what this device is set to."""
        return self.draft.device(self.device)
