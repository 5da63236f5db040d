"""The command: one awaited method of a PyLabRobot backend, as a value that crosses processes.

Nothing here knows PyLabRobot: arguments and results are JSON (``praxis_core.labware.encoding``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue

from praxis_core.labware.encoded_error import EncodedError
from praxis_core.protocol.lifecycle import CommandKind, OnError, OutcomeStatus, Sent


@dataclass(frozen=True, slots=True)
class DeckChange:
    """One change of the run's deck, for the runtime's to follow; numbered without gaps per run."""

    number: int
    resource: str
    parent: str | None
    """Name of the new parent; None: taken off the deck."""
    location: tuple[float, float, float] | None
    """Position in the parent, mm."""
    definition: JsonValue = None
    """How to make the resource, when it is new: ``labware.factories.encode_resource``."""
    rotation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Rotation in the parent around x, y and z, degrees."""


@dataclass(frozen=True, slots=True)
class Command:
    """One call across the hardware boundary. (run, attempt, branch, ordinal) is its identity."""

    run_id: UUID
    attempt: int
    branch: str
    """Path of asyncio tasks that led here: "0", "0.1", ... (parent's path and child number)."""
    ordinal: int
    """Position among the commands of its branch, from 0."""
    device: str
    method: str
    args: tuple[JsonValue, ...]
    kwargs: dict[str, JsonValue]
    kind: CommandKind
    fingerprint: str
    """SHA-256 of device, method and arguments, without what may differ between equal calls."""
    step: str | None = None
    """Path of the step it belongs to; None: the root step."""
    task_run_id: UUID | None = None
    deck_changes: tuple[DeckChange, ...] = ()
    new_parent: str | None = None
    """What labware that is gripped or put down is going to stand on, as far as the call tells:
    PyLabRobot's own drop has a coordinate only."""
    token: int | None = None
    """Of the claim on the device that lets it through; None: nobody else can want the device."""
    water: bool = field(default=False, compare=False)
    """Whether its run is done with water: what it moves is water, and leaves no lineage."""
    on_error: OnError | None = field(default=None, compare=False)
    """What its protocol wants when it fails; None: what its workcell says."""

    @property
    def name(self) -> str:
        """Name it for people."""
        return f"{self.device}.{self.method} (branch {self.branch}, {self.ordinal})"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended, as the device side saw it."""

    status: OutcomeStatus
    started_at: datetime
    ended_at: datetime
    value: JsonValue = None
    error: EncodedError | None = None
    attributes: dict[str, JsonValue] = field(default_factory=dict)
    """Plain attributes of the backend that changed, for the shadow on the protocol's side."""
    sent: Sent | None = None
    """Of a failed command: how much of it reached the device."""
