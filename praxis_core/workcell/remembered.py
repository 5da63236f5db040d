"""What must be known of devices beyond the end of a host, and the journal does not tell."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import JsonValue


@dataclass(slots=True)
class Remembered:
    """What a host hands on to the next one."""

    out_of_use: dict[str, str] = field(default_factory=dict)
    """Devices that nothing is sent to until a person has looked at them, each with the reason."""
    attributes: dict[str, dict[str, JsonValue]] = field(default_factory=dict)
    """What attributes of backends were before scripts wrote them, by device and name, encoded."""
