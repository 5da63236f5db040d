"""What the journal takes and gives back: frozen data, without a database behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue

from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import Answer, DoubtSubject, RunKind, RunStatus, StepStatus

_WENT_ON = frozenset({RunStatus.INTERRUPTED, RunStatus.PARKED, RunStatus.IN_DOUBT})

UNVERIFIED = "unverified"
"""Who asked, as long as there is no sign-in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWorkcell:
    """One version of a workcell's definition."""

    id: int
    name: str
    version: int
    definition: dict[str, JsonValue]
    content_hash: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredProtocol:
    """One version of a protocol's definition."""

    id: int
    name: str
    version: str
    """The author's semantic version; versions are told apart by ``content_hash``."""
    entrypoint: str
    source_hash: str
    content_hash: str
    definition: dict[str, JsonValue]
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRequest:
    """What a new attempt of a run is begun with."""

    run_id: UUID
    run_name: str
    protocol_id: int
    workcell_id: int
    parameters: Mapping[str, JsonValue]
    assets: Mapping[str, JsonValue]
    simulated: bool
    asked_by: str = UNVERIFIED
    start_snapshot: JsonValue = None
    carried_from: UUID | None = None
    water: bool = False
    """Whether it is done with water."""
    kind: RunKind = RunKind.PROTOCOL
    versions: Mapping[str, str] | None = None
    """Of the programs that carry it out, by their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run as it stands: what was asked for, and its last attempt."""

    run_id: UUID
    name: str
    status: RunStatus
    attempt: int
    protocol: str
    protocol_version: str
    protocol_id: int
    workcell: str
    workcell_version: int
    workcell_id: int
    parameters: dict[str, JsonValue]
    """Of the last attempt: with the defaults of its protocol definition."""
    assets: dict[str, JsonValue]
    simulated: bool
    asked_by: str
    carried_from: UUID | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    parked_until: datetime | None
    """By the workcell's clock; None also while it is parked until somebody resumes it."""
    summary: JsonValue
    """Of the last attempt that ended."""
    error: JsonValue
    water: bool
    """Whether it is done with water in place of everything else."""
    kind: RunKind

    @property
    def by_hand(self) -> bool:
        """Whether a person does it, command by command, and nobody can do it once more."""
        return self.kind is RunKind.MANUAL


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One attempt of a run."""

    run_id: UUID
    number: int
    protocol_id: int
    workcell_id: int
    status: RunStatus
    parameters: dict[str, JsonValue]
    assets: dict[str, JsonValue]
    start_snapshot: JsonValue
    begun_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    error: JsonValue
    versions: dict[str, JsonValue]
    """Of the programs that carried it out, by their names; empty: nobody wrote them down then."""

    @property
    def how(self) -> str:
        """How it ended, in words: one that another went on from has not failed to people."""
        kind = self.error.get("type") if isinstance(self.error, dict) else None
        said = kind if kind in _WENT_ON else self.status.value
        return str(said).replace("_", " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStart:
    """A step that begins."""

    run_id: UUID
    attempt: int
    path: str
    """``"1"``, ``"2"``, and ``"2.1"`` for the first step within the second."""
    name: str
    task_run_id: UUID | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One step of an attempt."""

    run_id: UUID
    attempt: int
    path: str
    name: str
    task_run_id: UUID | None
    status: StepStatus
    started_at: datetime
    ended_at: datetime | None
    error: JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRecord:
    """One command with its outcome; without one it is under way, or in doubt."""

    number: int
    """Ascending in the order in which the intents were written."""
    command: Command
    issued_at: datetime
    outcome: Outcome | None
    epoch: int | None = None
    """Of the host that sent it."""
    tail: bool = False
    """Not replayed: in the aborted tail of its attempt, or said not to have happened."""
    delivered: int | None = None
    """Ascending in the order in which outcomes were given to runs."""

    @property
    def key(self) -> tuple[str, int]:
        """What it is called within its run, whatever the attempt."""
        return self.command.branch, self.command.ordinal


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number that was read or computed."""

    asset: str | None
    """Name of the labware it belongs to."""
    well: str | None
    quantity: str
    value: float
    """Finite: the database refuses NaN and infinities."""
    unit: str
    """Empty when it has none."""
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordedMeasurement(Measurement):
    """A measurement with its place in the run's history."""

    attempt: int
    branch: str | None
    """With ``ordinal`` the command that read it; both None for what the protocol recorded."""
    ordinal: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFileRecord:
    """One file that a run left behind."""

    run_id: UUID
    path: str
    sha256: str
    media_type: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """One line of the log and audit trail."""

    id: int
    run_id: UUID | None
    at: datetime
    kind: str
    message: str
    details: JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A run's right to an asset: a device, or labware."""

    workcell: str
    asset: str
    token: int
    run_id: UUID
    attempt: int
    claimed_at: datetime
    released_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A question to a person, and the answer once there is one."""

    id: int
    run_id: UUID
    attempt: int
    subject: DoubtSubject
    branch: str
    ordinal: int
    raised_at: datetime
    what: str
    choices: tuple[Answer, ...]
    details: JsonValue
    answer: Answer | None
    answered_by: str | None
    answered_at: datetime | None
    answer_details: JsonValue

    @property
    def key(self) -> tuple[str, int]:
        """What it is about within its run."""
        return self.branch, self.ordinal


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What a protocol learned other than from a device."""

    branch: str
    ordinal: int
    kind: str
    """``now``, ``sleep``, ``once``, ``random``, ..."""
    name: str
    value: JsonValue
    attempt: int
    at: datetime
    done_at: datetime | None
    """Of an effect on the outside: when it was done. Without it nobody knows whether it was."""

    @property
    def key(self) -> tuple[str, int, str]:
        """What it is called within its run."""
        return self.branch, self.ordinal, self.kind
