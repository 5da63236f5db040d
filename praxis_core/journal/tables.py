"""The tables of schema ``praxis``: which rows can exist.

Everything here is checked by Postgres itself, whoever writes. What a table cannot say about itself
(which changes are possible, what may be deleted) stands in ``rules``.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Sequence,
    Text,
    UniqueConstraint,
    desc,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column

from praxis_core.journal.columns import (
    JSON_OR_NULL,
    JSON_VALUE,
    Instant,
    branch_path,
    json_is,
    life,
    not_empty,
    one_of,
    sha256,
    word,
)
from praxis_core.protocol.lifecycle import (
    Answer,
    CommandKind,
    DoubtSubject,
    OutcomeStatus,
    RunKind,
    Sent,
    StepStatus,
)

SCHEMA = "praxis"


class Base(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(
        schema=SCHEMA,
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(constraint_name)s",
            "uq": "uq_%(table_name)s_%(constraint_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        },
    )
    type_annotation_map = {str: Text(), datetime: Instant(), int: Integer()}  # noqa: RUF012  # read once by SQLAlchemy


CLAIM_TOKEN = Sequence("claim_token", metadata=Base.metadata)
"""Tokens of claims: a later claim has a higher one."""
COMMAND_DELIVERED = Sequence("command_delivered", metadata=Base.metadata)
"""The order in which outcomes are given to runs."""


class WorkcellRow(Base):
    """One version of a workcell's definition; never changed, only followed by another."""

    __tablename__ = "workcell"
    __table_args__ = (
        UniqueConstraint("name", "version", name="version"),
        UniqueConstraint("name", "content_hash", name="content_hash"),
        Index("uq_workcell_current", "name", unique=True, postgresql_where=text("current")),
        not_empty("name"),
        CheckConstraint("version >= 1", name="version"),
        json_is("definition", "object"),
        sha256("content_hash"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    name: Mapped[str]
    version: Mapped[int]
    definition: Mapped[JsonValue] = mapped_column(JSON_VALUE, nullable=False)
    content_hash: Mapped[str]
    current: Mapped[bool]
    """The version that was stored last: storing an earlier content again makes that one current."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ProtocolRow(Base):
    """One version of a protocol's definition, told apart by its content."""

    __tablename__ = "protocol_definition"
    __table_args__ = (
        UniqueConstraint("name", "content_hash", name="content_hash"),
        Index(
            "uq_protocol_definition_current", "name", unique=True, postgresql_where=text("current")
        ),
        not_empty("name"),
        not_empty("version"),
        not_empty("entrypoint"),
        json_is("definition", "object"),
        sha256("content_hash"),
        sha256("source_hash"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    name: Mapped[str]
    version: Mapped[str]
    """The author's semantic version; not unique, since a source is edited between releases."""
    entrypoint: Mapped[str]
    source_hash: Mapped[str]
    content_hash: Mapped[str]
    definition: Mapped[JsonValue] = mapped_column(JSON_VALUE, nullable=False)
    current: Mapped[bool]
    """The version that was stored last."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class RunRow(Base):
    """One run: what was asked for, and how it stands."""

    __tablename__ = "protocol_run"
    __table_args__ = (
        # The run's status is its last attempt's: at a commit the two rows cannot disagree.
        ForeignKeyConstraint(
            ["id", "attempt", "status"],
            ["praxis.run_attempt.run_id", "praxis.run_attempt.number", "praxis.run_attempt.status"],
            name="last_attempt",
            deferrable=True,
            initially="DEFERRED",
            use_alter=True,
        ),
        Index("ix_protocol_run_created_at", desc("created_at")),
        Index(
            "ix_protocol_run_carried_from",
            "carried_from",
            postgresql_where=text("carried_from IS NOT NULL"),
        ),
        *life(),
        not_empty("name"),
        not_empty("asked_by"),
        one_of("kind", RunKind),
        CheckConstraint("attempt >= 1", name="attempt"),
        CheckConstraint("carried_from <> id", name="carried_from"),
        json_is("parameters", "object"),
        json_is("final_state", "object"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    """The run's accession id: the Prefect flow-run id. No foreign key: Prefect deletes its rows."""
    name: Mapped[str]
    status: Mapped[str]
    attempt: Mapped[int]
    parameters: Mapped[JsonValue] = mapped_column(JSON_VALUE, nullable=False)
    simulated: Mapped[bool]
    asked_by: Mapped[str]
    carried_from: Mapped[UUID | None] = mapped_column(
        ForeignKey("praxis.protocol_run.id", name="carried_from", ondelete="SET NULL")
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    summary: Mapped[JsonValue] = mapped_column(JSON_OR_NULL)
    """Of the last attempt that ended; so is ``final_state``."""
    final_state: Mapped[JsonValue] = mapped_column(JSON_OR_NULL)
    water: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether it is done with water in place of everything else."""
    kind: Mapped[str] = mapped_column(server_default=text("'protocol'"))
    """Whether a protocol is carried out, or what a person does by hand."""
    parked_until: Mapped[datetime | None]
    """By the workcell's clock; None also while it is parked until somebody resumes it."""


class AttemptRow(Base):
    """One attempt of a run: what it was carried out with, and how it ended."""

    __tablename__ = "run_attempt"
    __table_args__ = (
        UniqueConstraint("run_id", "number", "status", name="status"),
        Index(
            "uq_run_attempt_open", "run_id", unique=True, postgresql_where=text("ended_at IS NULL")
        ),
        *life(),
        CheckConstraint("number >= 1", name="number"),
        json_is("parameters", "object"),
        json_is("assets", "object"),
        CheckConstraint(
            "error IS NULL OR status IN ('cancelled', 'failed', 'refused')", name="error"
        ),
        json_is("versions", "object"),
    )

    run_id: Mapped[UUID] = mapped_column(
        ForeignKey("praxis.protocol_run.id", name="run", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    protocol_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("praxis.protocol_definition.id", name="protocol")
    )
    workcell_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("praxis.workcell.id", name="workcell")
    )
    status: Mapped[str]
    parameters: Mapped[JsonValue] = mapped_column(JSON_VALUE, nullable=False)
    """With the defaults of this attempt's protocol definition."""
    assets: Mapped[JsonValue] = mapped_column(JSON_VALUE, nullable=False)
    start_snapshot: Mapped[JsonValue] = mapped_column(JSON_OR_NULL)
    begun_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    error: Mapped[JsonValue] = mapped_column(JSON_OR_NULL)
    versions: Mapped[JsonValue] = mapped_column(JSON_OR_NULL)
    """Of the programs that carry it out, by their names; None: nobody wrote them down then."""


def _of_attempt() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["run_id", "attempt"],
        ["praxis.run_attempt.run_id", "praxis.run_attempt.number"],
        name="attempt",
        ondelete="CASCADE",
    )


class StepRow(Base):
    """One step of an attempt."""

    __tablename__ = "run_step"
    __table_args__ = (
        _of_attempt(),
        one_of("status", StepStatus),
        CheckConstraint(r"path ~ '^[a-z]*[1-9][0-9]*(\.[a-z]*[1-9][0-9]*)*$'", name="path"),
        not_empty("name"),
        CheckConstraint("(ended_at IS NULL) = (status = 'running')", name="ended_at"),
        CheckConstraint("error IS NULL OR status = 'failed'", name="error"),
    )

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    path: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    task_run_id: Mapped[UUID | None]
    """Prefect's task run; no foreign key."""
    status: Mapped[str]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    error: Mapped[JsonValue] = mapped_column(JSON_OR_NULL)


class CommandRow(Base):
    """One command: the intent, and its outcome once it is known."""

    __tablename__ = "command"
    __table_args__ = (
        _of_attempt(),
        ForeignKeyConstraint(
            ["run_id", "attempt", "step"],
            ["praxis.run_step.run_id", "praxis.run_step.attempt", "praxis.run_step.path"],
            name="step",
        ),
        # One command of a run has one intent that counts, whatever attempt wrote it.
        Index(
            "uq_command_once",
            "run_id",
            "branch",
            "ordinal",
            unique=True,
            postgresql_where=text("NOT tail"),
        ),
        # For those who ask by time: rows come in its order, so that it costs next to nothing.
        Index("ix_command_issued_at", "issued_at", postgresql_using="brin"),
        branch_path(),
        CheckConstraint("ordinal >= 0", name="ordinal"),
        not_empty("device"),
        not_empty("method"),
        json_is("args", "array"),
        json_is("kwargs", "object"),
        json_is("deck_changes", "array"),
        one_of("kind", CommandKind),
        sha256("fingerprint"),
        one_of("outcome", OutcomeStatus),
        CheckConstraint(
            "num_nonnulls(outcome, started_at, ended_at, value, attributes) IN (0, 5)",
            name="outcome_complete",
        ),
        CheckConstraint(
            "(error IS NOT NULL) = (outcome IS NOT NULL AND outcome = 'failed')", name="error"
        ),
        json_is("attributes", "object"),
        one_of("sent", Sent),
        CheckConstraint(
            "sent IS NULL OR (outcome IS NOT NULL AND outcome = 'failed')", name="sent_of_failure"
        ),
        CheckConstraint("(delivered IS NOT NULL) = (outcome IS NOT NULL)", name="delivered"),
    )

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    branch: Mapped[str] = mapped_column(primary_key=True)
    ordinal: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    """The order in which intents were written."""
    device: Mapped[str]
    method: Mapped[str]
    args: Mapped[JsonValue] = mapped_column(JSON_VALUE, nullable=False)
    kwargs: Mapped[JsonValue] = mapped_column(JSON_VALUE, nullable=False)
    deck_changes: Mapped[JsonValue] = mapped_column(JSON_VALUE, nullable=False)
    new_parent: Mapped[str | None]
    kind: Mapped[str]
    fingerprint: Mapped[str]
    step: Mapped[str | None]
    task_run_id: Mapped[UUID | None]
    issued_at: Mapped[datetime]
    outcome: Mapped[str | None]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    value: Mapped[JsonValue] = mapped_column(JSON_VALUE, nullable=True)
    error: Mapped[JsonValue] = mapped_column(JSON_OR_NULL)
    attributes: Mapped[JsonValue] = mapped_column(JSON_OR_NULL)
    token: Mapped[int | None] = mapped_column(BigInteger)
    """Of the claim that let it through."""
    epoch: Mapped[int | None] = mapped_column(BigInteger)
    """Of the host that sent it."""
    sent: Mapped[str | None]
    """Of a failed command: how much of it reached the device."""
    tail: Mapped[bool] = mapped_column(server_default=text("false"))
    """Not replayed: in the aborted tail of its attempt, or said not to have happened."""
    delivered: Mapped[int | None] = mapped_column(BigInteger)
    """The order in which outcomes were given to runs."""
    water: Mapped[bool] = column_property(
        select(RunRow.water).where(RunRow.id == run_id).correlate_except(RunRow).scalar_subquery()
    )
    """Of its run."""


class MeasurementRow(Base):
    """One number that was read or computed."""

    __tablename__ = "measurement"
    __table_args__ = (
        _of_attempt(),
        ForeignKeyConstraint(
            ["run_id", "attempt", "branch", "ordinal"],
            [
                "praxis.command.run_id",
                "praxis.command.attempt",
                "praxis.command.branch",
                "praxis.command.ordinal",
            ],
            name="command",
        ),
        Index("ix_measurement_command", "run_id", "attempt", "branch", "ordinal"),
        CheckConstraint("num_nonnulls(branch, ordinal) IN (0, 2)", name="command_complete"),
        CheckConstraint("well IS NULL OR asset IS NOT NULL", name="well"),
        not_empty("quantity"),
        # Postgres sorts NaN above infinity, so this refuses all three.
        CheckConstraint("value > '-Infinity' AND value < 'Infinity'", name="value_finite"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    run_id: Mapped[UUID]
    attempt: Mapped[int]
    branch: Mapped[str | None]
    """With ``ordinal`` the command that read it; both empty for what the protocol recorded."""
    ordinal: Mapped[int | None]
    asset: Mapped[str | None]
    well: Mapped[str | None]
    quantity: Mapped[str]
    value: Mapped[float] = mapped_column(DOUBLE_PRECISION)
    unit: Mapped[str]
    at: Mapped[datetime]


class DataFileRow(Base):
    """One file that a run left behind, told apart by its content."""

    __tablename__ = "data_file"
    __table_args__ = (
        UniqueConstraint("run_id", "path", "sha256", name="content"),
        not_empty("path"),
        sha256("sha256"),
        CheckConstraint("media_type ~ '^[^/ ]+/[^/ ]+'", name="media_type"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    run_id: Mapped[UUID] = mapped_column(
        ForeignKey("praxis.protocol_run.id", name="run", ondelete="CASCADE")
    )
    path: Mapped[str]
    sha256: Mapped[str]
    media_type: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class EventRow(Base):
    """One line of the log and audit trail; without a run: of the installation."""

    __tablename__ = "run_event"
    __table_args__ = (
        Index("ix_run_event_run", "run_id", "id"),
        word("kind"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    run_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("praxis.protocol_run.id", name="run", ondelete="CASCADE")
    )
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    kind: Mapped[str]
    message: Mapped[str]
    details: Mapped[JsonValue] = mapped_column(JSON_OR_NULL)


class ClaimRow(Base):
    """A run's right to an asset of a workcell, from when it was given until its release or loss."""

    __tablename__ = "claim"
    __table_args__ = (
        _of_attempt(),
        Index(
            "uq_claim_open",
            "workcell",
            "asset",
            unique=True,
            postgresql_where=text("released_at IS NULL"),
        ),
        Index("ix_claim_run", "run_id", "token"),
        Index("ix_claim_asset", "workcell", "asset", "token"),
        CheckConstraint("token >= 1", name="token"),
        not_empty("workcell"),
        not_empty("asset"),
    )

    token: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """One for all assets that were claimed together."""
    workcell: Mapped[str]
    """Its name: a claim does not end with a version of the definition."""
    asset: Mapped[str] = mapped_column(primary_key=True)
    """A device or labware, by its name there."""
    run_id: Mapped[UUID]
    attempt: Mapped[int]
    claimed_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    released_at: Mapped[datetime | None]


class HostRow(Base):
    """The newest host of a workcell; what an older one still wants to send is refused."""

    __tablename__ = "workcell_host"
    __table_args__ = (
        not_empty("workcell"),
        CheckConstraint("epoch >= 1", name="epoch"),
        CheckConstraint("pid >= 1", name="pid"),
    )

    workcell: Mapped[str] = mapped_column(primary_key=True)
    epoch: Mapped[int] = mapped_column(BigInteger)
    host: Mapped[UUID]
    pid: Mapped[int]
    since: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class DoubtRow(Base):
    """A question to a person, and the answer once there is one."""

    __tablename__ = "doubt"
    __table_args__ = (
        _of_attempt(),
        Index(
            "uq_doubt_open",
            "run_id",
            "subject",
            "branch",
            "ordinal",
            unique=True,
            postgresql_where=text("answered_at IS NULL"),
        ),
        one_of("subject", DoubtSubject),
        branch_path(),
        CheckConstraint("ordinal >= 0", name="ordinal"),
        not_empty("what"),
        json_is("choices", "array"),
        one_of("answer", Answer),
        not_empty("answered_by"),
        CheckConstraint(
            "num_nonnulls(answer, answered_by, answered_at) IN (0, 3)", name="answer_complete"
        ),
        CheckConstraint("answer_details IS NULL OR answer IS NOT NULL", name="answer_details"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    run_id: Mapped[UUID]
    attempt: Mapped[int]
    subject: Mapped[str]
    branch: Mapped[str]
    """With ``ordinal`` what it is about: the command, or the first of the tail."""
    ordinal: Mapped[int]
    raised_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    what: Mapped[str]
    choices: Mapped[JsonValue] = mapped_column(JSON_VALUE, nullable=False)
    details: Mapped[JsonValue] = mapped_column(JSON_OR_NULL)
    answer: Mapped[str | None]
    answered_by: Mapped[str | None]
    answered_at: Mapped[datetime | None]
    answer_details: Mapped[JsonValue] = mapped_column(JSON_OR_NULL)


class QuestionRow(Base):
    """What a protocol, or somebody who watches it, asks a person; and the answer once there is one.

    A person names either this or a ``doubt`` by its number.
    """

    __tablename__ = "question"
    __table_args__ = (
        _of_attempt(),
        UniqueConstraint("run_id", "key", name="key"),
        Index("ix_question_open", "run_id", postgresql_where=text("answered_at IS NULL")),
        not_empty("key"),
        not_empty("title"),
        json_is("form", "object"),
        not_empty("answered_by"),
        word("via"),
        CheckConstraint(
            "num_nonnulls(answer, answered_by, answered_at, via) IN (0, 4)", name="answer_complete"
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """Of the sequence that numbers ``doubt``."""
    run_id: Mapped[UUID]
    attempt: Mapped[int]
    """The one that asked first."""
    key: Mapped[str]
    """What asks, within its run: the same in every attempt."""
    title: Mapped[str]
    text: Mapped[str]
    """More about it, Markdown; may be empty."""
    form: Mapped[JsonValue] = mapped_column(JSON_VALUE, nullable=False)
    """JSON schema of an answer, which is an object."""
    asked_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    answer: Mapped[JsonValue] = mapped_column(JSON_OR_NULL)
    answered_by: Mapped[str | None]
    """Who said to be so: nobody has signed in."""
    answered_at: Mapped[datetime | None]
    via: Mapped[str | None]
    """How the answer came: ``prefect``, ``command-line``."""


class LearnedRow(Base):
    """What a protocol learned other than from a device; replay gives it the same again."""

    __tablename__ = "learned"
    __table_args__ = (
        _of_attempt(),
        branch_path(),
        CheckConstraint("ordinal >= 0", name="ordinal"),
        word("kind"),
    )

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    branch: Mapped[str] = mapped_column(primary_key=True)
    ordinal: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    value: Mapped[JsonValue] = mapped_column(JSON_VALUE, nullable=False)
    attempt: Mapped[int]
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    done_at: Mapped[datetime | None]
    """Of an effect on the outside: when it was done. Without it nobody knows whether it was."""
