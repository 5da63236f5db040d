"""The one border between rows and records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import cast

from pydantic import JsonValue
from sqlalchemy import select

from praxis_core.journal.records import (
    AttemptRecord,
    Claim,
    CommandRecord,
    DataFileRecord,
    Doubt,
    EventRecord,
    Learned,
    Measurement,
    RecordedMeasurement,
    RunRecord,
    StepRecord,
    StoredProtocol,
    StoredWorkcell,
)
from praxis_core.journal.tables import (
    AttemptRow,
    ClaimRow,
    CommandRow,
    DataFileRow,
    DoubtRow,
    EventRow,
    LearnedRow,
    MeasurementRow,
    ProtocolRow,
    RunRow,
    StepRow,
    WorkcellRow,
)
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.protocol.command import Command, DeckChange, Outcome
from praxis_core.protocol.lifecycle import (
    Answer,
    CommandKind,
    DoubtSubject,
    OutcomeStatus,
    RunKind,
    RunStatus,
    Sent,
    StepStatus,
)


def _object(value: JsonValue) -> dict[str, JsonValue]:
    """A JSON object; the database refuses anything else in these columns."""
    return cast("dict[str, JsonValue]", value)


def workcell(row: WorkcellRow) -> StoredWorkcell:
    """Make the record of a workcell's version."""
    return StoredWorkcell(
        id=row.id,
        name=row.name,
        version=row.version,
        definition=_object(row.definition),
        content_hash=row.content_hash,
        created_at=row.created_at,
    )


def protocol(row: ProtocolRow) -> StoredProtocol:
    """Make the record of a protocol's version."""
    return StoredProtocol(
        id=row.id,
        name=row.name,
        version=row.version,
        entrypoint=row.entrypoint,
        source_hash=row.source_hash,
        content_hash=row.content_hash,
        definition=_object(row.definition),
        created_at=row.created_at,
    )


RUNS = (
    select(RunRow, AttemptRow, ProtocolRow, WorkcellRow)
    .join(AttemptRow, (AttemptRow.run_id == RunRow.id) & (AttemptRow.number == RunRow.attempt))
    .join(ProtocolRow, ProtocolRow.id == AttemptRow.protocol_id)
    .join(WorkcellRow, WorkcellRow.id == AttemptRow.workcell_id)
)
"""The rows that ``run`` is made from."""


def run(row: RunRow, last: AttemptRow, protocol: ProtocolRow, workcell: WorkcellRow) -> RunRecord:
    """Make the record of a run from its row and those of its last attempt."""
    return RunRecord(
        run_id=row.id,
        name=row.name,
        status=RunStatus(row.status),
        attempt=row.attempt,
        protocol=protocol.name,
        protocol_version=protocol.version,
        protocol_id=protocol.id,
        workcell=workcell.name,
        workcell_version=workcell.version,
        workcell_id=workcell.id,
        parameters=_object(last.parameters),
        assets=_object(last.assets),
        simulated=row.simulated,
        asked_by=row.asked_by,
        carried_from=row.carried_from,
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        parked_until=row.parked_until,
        summary=row.summary,
        error=last.error,
        water=row.water,
        kind=RunKind(row.kind),
    )


def attempt(row: AttemptRow) -> AttemptRecord:
    """Make the record of an attempt."""
    return AttemptRecord(
        run_id=row.run_id,
        number=row.number,
        protocol_id=row.protocol_id,
        workcell_id=row.workcell_id,
        status=RunStatus(row.status),
        parameters=_object(row.parameters),
        assets=_object(row.assets),
        start_snapshot=row.start_snapshot,
        begun_at=row.begun_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        error=row.error,
        versions=_object(row.versions or {}),
    )


def step(row: StepRow) -> StepRecord:
    """Make the record of a step."""
    return StepRecord(
        run_id=row.run_id,
        attempt=row.attempt,
        path=row.path,
        name=row.name,
        task_run_id=row.task_run_id,
        status=StepStatus(row.status),
        started_at=row.started_at,
        ended_at=row.ended_at,
        error=row.error,
    )


def command(row: CommandRow) -> CommandRecord:
    """Make the record of a command."""
    changes = cast("list[dict[str, JsonValue]]", row.deck_changes)
    return CommandRecord(
        number=row.number,
        command=Command(
            run_id=row.run_id,
            attempt=row.attempt,
            branch=row.branch,
            ordinal=row.ordinal,
            device=row.device,
            method=row.method,
            args=tuple(cast("list[JsonValue]", row.args)),
            kwargs=_object(row.kwargs),
            kind=CommandKind(row.kind),
            fingerprint=row.fingerprint,
            step=row.step,
            task_run_id=row.task_run_id,
            deck_changes=tuple(_deck_change(change) for change in changes),
            new_parent=row.new_parent,
            token=row.token,
            water=row.water,
        ),
        issued_at=row.issued_at,
        outcome=_outcome(row),
        epoch=row.epoch,
        tail=row.tail,
        delivered=row.delivered,
    )


def _deck_change(data: dict[str, JsonValue]) -> DeckChange:
    location = cast("list[float] | None", data["location"])
    around_x, around_y, around_z = cast("list[float]", data["rotation"])
    return DeckChange(
        number=cast("int", data["number"]),
        resource=cast("str", data["resource"]),
        parent=cast("str | None", data["parent"]),
        location=None if location is None else (location[0], location[1], location[2]),
        definition=data["definition"],
        rotation=(around_x, around_y, around_z),
    )


def _outcome(row: CommandRow) -> Outcome | None:
    if row.outcome is None or row.started_at is None or row.ended_at is None:
        return None
    return Outcome(
        status=OutcomeStatus(row.outcome),
        started_at=row.started_at,
        ended_at=row.ended_at,
        value=row.value,
        error=None if row.error is None else _encoded_error(_object(row.error)),
        attributes=_object(row.attributes),
        sent=None if row.sent is None else Sent(row.sent),
    )


def _encoded_error(data: dict[str, JsonValue]) -> EncodedError:
    return EncodedError(
        type=cast("str", data["type"]), message=cast("str", data["message"]), args=data["args"]
    )


def measurement(row: MeasurementRow) -> RecordedMeasurement:
    """Make the record of a measurement."""
    return RecordedMeasurement(
        asset=row.asset,
        well=row.well,
        quantity=row.quantity,
        value=row.value,
        unit=row.unit,
        at=row.at,
        attempt=row.attempt,
        branch=row.branch,
        ordinal=row.ordinal,
    )


def data_file(row: DataFileRow) -> DataFileRecord:
    """Make the record of a file."""
    return DataFileRecord(
        run_id=row.run_id,
        path=row.path,
        sha256=row.sha256,
        media_type=row.media_type,
        created_at=row.created_at,
    )


def event(row: EventRow) -> EventRecord:
    """Make the record of an event."""
    return EventRecord(
        id=row.id,
        run_id=row.run_id,
        at=row.at,
        kind=row.kind,
        message=row.message,
        details=row.details,
    )


def claim(row: ClaimRow) -> Claim:
    """Make the record of a claim."""
    return Claim(
        workcell=row.workcell,
        asset=row.asset,
        token=row.token,
        run_id=row.run_id,
        attempt=row.attempt,
        claimed_at=row.claimed_at,
        released_at=row.released_at,
    )


def doubt(row: DoubtRow) -> Doubt:
    """Make the record of a doubt."""
    return Doubt(
        id=row.id,
        run_id=row.run_id,
        attempt=row.attempt,
        subject=DoubtSubject(row.subject),
        branch=row.branch,
        ordinal=row.ordinal,
        raised_at=row.raised_at,
        what=row.what,
        choices=tuple(Answer(choice) for choice in cast("list[str]", row.choices)),
        details=row.details,
        answer=None if row.answer is None else Answer(row.answer),
        answered_by=row.answered_by,
        answered_at=row.answered_at,
        answer_details=row.answer_details,
    )


def learned(row: LearnedRow) -> Learned:
    """Make the record of what a protocol learned."""
    return Learned(
        branch=row.branch,
        ordinal=row.ordinal,
        kind=row.kind,
        name=row.name,
        value=row.value,
        attempt=row.attempt,
        at=row.at,
        done_at=row.done_at,
    )


def command_key(command: Command) -> dict[str, object]:
    """The columns that say which command it is."""
    return {
        "run_id": command.run_id,
        "attempt": command.attempt,
        "branch": command.branch,
        "ordinal": command.ordinal,
    }


def intent_values(command: Command, at: datetime, epoch: int | None = None) -> dict[str, object]:
    """The columns of a command's intent."""
    return command_key(command) | {
        "device": command.device,
        "method": command.method,
        "args": command.args,
        "kwargs": command.kwargs,
        "deck_changes": [asdict(change) for change in command.deck_changes],
        "new_parent": command.new_parent,
        "kind": command.kind.value,
        "fingerprint": command.fingerprint,
        "step": command.step,
        "task_run_id": command.task_run_id,
        "issued_at": at,
        "token": command.token,
        "epoch": epoch,
    }


def outcome_values(outcome: Outcome) -> dict[str, object]:
    """The columns of a command's outcome."""
    return {
        "outcome": outcome.status.value,
        "started_at": outcome.started_at,
        "ended_at": outcome.ended_at,
        "value": outcome.value,
        "error": None if outcome.error is None else asdict(outcome.error),
        "attributes": outcome.attributes,
        "sent": None if outcome.sent is None else outcome.sent.value,
    }


def measurement_values(measurements: Sequence[Measurement]) -> dict[str, list[object]]:
    """The columns of several measurements."""
    return {
        "assets": [one.asset for one in measurements],
        "wells": [one.well for one in measurements],
        "quantities": [one.quantity for one in measurements],
        "values": [one.value for one in measurements],
        "units": [one.unit for one in measurements],
        "times": [one.at for one in measurements],
    }
