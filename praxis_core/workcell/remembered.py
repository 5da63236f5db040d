"""What must be known of devices beyond the end of a host, and the journal does not tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import JsonValue

from praxis_core.workcell.devices import Devices


@dataclass(slots=True)
class Remembered:
    """What a host hands on to the next one."""

    out_of_use: dict[str, str] = field(default_factory=dict)
    """Devices that nothing is sent to until a person has looked at them, each with the reason."""
    attributes: dict[str, dict[str, JsonValue]] = field(default_factory=dict)
    """What attributes of backends were before scripts wrote them, by device and name, encoded."""


class Handover:
    """Says what the next host has to know of the devices, and takes it from the one before.

    Args:
        devices: The devices.
    """

    def __init__(self, devices: Devices) -> None:
        self._devices = devices
        self.changed: Callable[[], None] = _nothing
        """Called when ``remembered`` may say something else."""

    def remembered(self) -> Remembered:
        """Say what the next host has to know."""
        devices = self._devices.values()
        return Remembered(
            {one.name: one.quarantine for one in devices if one.quarantine is not None},
            {one.name: one.originals for one in devices if one.originals},
        )

    def remember(self, known: Remembered) -> None:
        """Know what an earlier host knew."""
        for name, device in self._devices.items():
            device.remember(known.attributes.get(name, {}))
            device.quarantine = known.out_of_use.get(name)


def _nothing() -> None:
    """Nobody wants to hear of it."""
