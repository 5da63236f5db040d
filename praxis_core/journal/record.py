"""The journal: how the rest of Praxis writes down and looks up what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import TextClause

from praxis_core.errors import JournalError
from praxis_core.journal import attempts, definitions, rows, statements
from praxis_core.journal.database import Database
from praxis_core.journal.history import History
from praxis_core.journal.records import (
    AttemptRequest,
    Measurement,
    StepRecord,
    StepStart,
    StoredProtocol,
    StoredWorkcell,
)
from praxis_core.journal.step_buffer import StepBuffer
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import CommandKind, RunStatus, StepStatus


class Journal(History):
    """A history that is also written.

    Each method that writes is one transaction. Any of them raises ``JournalError`` when the
    database refuses what it is given, and ``ServiceUnreachable`` when Postgres does not answer.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._steps = StepBuffer(database)

    # --- definitions ------------------------------------------------------------------------------

    async def store_workcell(self, name: str, definition: dict[str, JsonValue]) -> StoredWorkcell:
        """Make ``definition`` the workcell's current one; a new version only when it is new."""
        async with self._database.session() as session, session.begin():
            return rows.workcell(await definitions.store_workcell(session, name, definition))

    async def store_protocol(  # noqa: PLR0913  # the columns
        self,
        *,
        name: str,
        version: str,
        entrypoint: str,
        source_hash: str,
        content_hash: str,
        definition: dict[str, JsonValue],
    ) -> StoredProtocol:
        """Make a definition the protocol's current one; a new version only for a new content hash.

        Args:
            name: The protocol's name.
            version: The author's semantic version.
            entrypoint: ``module:function``.
            source_hash: SHA-256 of the source, hexadecimal.
            content_hash: SHA-256 of the whole definition, hexadecimal.
            definition: The definition as JSON.
        """
        row = {
            "name": name,
            "version": version,
            "entrypoint": entrypoint,
            "source_hash": source_hash,
            "content_hash": content_hash,
            "definition": definition,
        }
        async with self._database.session() as session, session.begin():
            return rows.protocol(await definitions.store_protocol(session, row))

    # --- runs -------------------------------------------------------------------------------------

    async def begin_attempt(self, request: AttemptRequest) -> int:
        """Create the run, or begin the next attempt of one that ended or whose process was killed.

        An attempt that is still open is closed as failed ("interrupted"), with its open steps; what
        its process still writes is refused from then on, except outcomes of commands under way.

        Returns:
            The attempt's number, from 1.

        Raises:
            JournalError: a simulated run would go on as a real one, or the other way round.
        """
        await self.flush()
        async with self._database.session() as session, session.begin():
            return await attempts.begin(session, request)

    async def set_status(
        self, run_id: UUID, status: RunStatus, *, attempt: int | None = None
    ) -> None:
        """Move a run on.

        Args:
            run_id: The run.
            status: Its next status.
            attempt: The attempt that says so; refused when another has begun since.

        Raises:
            ImpossibleTransition: the run cannot go there from where it is.
            RunNotFound: there is no such run.
        """
        values = {"run_id": run_id, "attempt": attempt, "error": None}
        await self._change_status(statements.SET_STATUS, status, values)

    async def start(
        self,
        run_id: UUID,
        *,
        assets: Mapping[str, JsonValue],
        start_snapshot: JsonValue,
        attempt: int | None = None,
    ) -> None:
        """Set a prepared run going, with what it goes on.

        Args:
            run_id: The run.
            assets: Name of the requirement -> name on the workcell.
            start_snapshot: What is where and how much of it.
            attempt: The attempt that says so; refused when another has begun since.

        Raises:
            ImpossibleTransition: the run is not being prepared.
            RunNotFound: there is no such run.
        """
        values = {
            "run_id": run_id,
            "attempt": attempt,
            "error": None,
            "bound": dict(assets),
            "start_snapshot": start_snapshot,
        }
        await self._change_status(statements.START, RunStatus.RUNNING, values)

    async def finish(  # noqa: PLR0913  # what a run leaves behind
        self,
        run_id: UUID,
        status: RunStatus,
        *,
        summary: JsonValue,
        final_state: Mapping[str, JsonValue] | None,
        error: JsonValue | None,
        attempt: int | None = None,
    ) -> None:
        """End a run; steps that are still under way end as failed.

        Args:
            run_id: The run.
            status: One that ends it.
            summary: What a person wants to know about the result.
            final_state: Content of the run's PraxisState, archived here; None: it was out of reach.
            error: What ended it, when it did not succeed.
            attempt: The attempt that says so; refused when another has begun since.

        Raises:
            ImpossibleTransition: the run cannot go there from where it is.
            JournalError: the status is none that ends a run.
            RunNotFound: there is no such run.
        """
        if not status.ended:
            raise JournalError(what=f"a run that is {status} has not ended, so it has no result")
        values = {
            "run_id": run_id,
            "attempt": attempt,
            "summary": summary,
            "final_state": None if final_state is None else dict(final_state),
            "error": error,
        }
        await self._change_status(statements.FINISH, status, values)

    async def step_started(self, step: StepStart) -> None:
        """Write down that a step was entered; with the next intent, or within a moment."""
        self._steps.began(step)

    async def step_ended(  # noqa: PLR0913, PLR0917  # the step's identity and its end
        self,
        run_id: UUID,
        attempt: int,
        path: str,
        status: StepStatus,
        error: JsonValue,
        at: datetime,
    ) -> None:
        """Write down how a step ended; with the next intent, or within a moment.

        Raises:
            JournalError: the step was never started, or has ended already.
        """
        self._steps.ended((run_id, attempt, path), status, error, at.isoformat())

    async def steps(self, run_id: UUID) -> list[StepRecord]:
        """List a run's steps, those included that this journal has not written yet."""
        await self.flush()
        return await super().steps(run_id)

    async def flush(self) -> None:
        """Write the steps that are waiting to be written together."""
        await self._steps.flush()

    async def event(
        self, run_id: UUID | None, kind: str, message: str, details: JsonValue = None
    ) -> None:
        """Add a line to the log and audit trail.

        Args:
            run_id: The run; None for what concerns the installation.
            kind: A word for programs, e.g. ``"device_connected"``: lower case, ``_.-``, digits.
            message: A sentence for people.
            details: Data for programs.
        """
        values = {"run_id": run_id, "kind": kind, "message": message, "details": details}
        await self._database.execute(statements.EVENT, values)

    # --- commands and data ------------------------------------------------------------------------

    async def command_intent(self, command: Command, at: datetime) -> None:
        """Make durable that a command is about to be sent; returns after that.

        May be repeated with the same command, since the answer to a commit can be lost.

        Raises:
            JournalError: another command has this identity, or this one has its outcome already; or
                the attempt has ended.
        """
        await self.flush()
        if await self._database.execute(statements.INTENT, rows.intent_values(command, at)):
            return
        written = await self.command(
            command.run_id, command.attempt, command.branch, command.ordinal
        )
        if written is None or written.command != command or written.outcome is not None:
            raise JournalError(what=f"{_name(command)} is written already, and differs")

    async def command_outcome(
        self, command: Command, outcome: Outcome, measurements: Sequence[Measurement]
    ) -> None:
        """Make durable how a command ended and what it measured, in one transaction.

        May be repeated with the same outcome. A command that observes needs no intent. Accepted
        after the attempt has ended, too: what a device did is true, whoever still waits for it.

        Raises:
            JournalError: there is no intent, or another outcome; a measurement is not finite.
        """
        await self.flush()
        ended = rows.outcome_values(outcome) | rows.measurement_values(measurements)
        values = rows.intent_values(command, outcome.started_at) | ended
        key = {
            name: values[name] for name in ("run_id", "attempt", "branch", "ordinal", "fingerprint")
        }
        observed = command.kind is CommandKind.OBSERVE
        statement, given = (
            (statements.OBSERVED, values) if observed else (statements.OUTCOME, key | ended)
        )
        if await self._database.execute(statement, given):
            return
        written = await self.command(
            command.run_id, command.attempt, command.branch, command.ordinal
        )
        if written is None:
            raise JournalError(what=f"{_name(command)} has an outcome, but no intent")
        if written.command.fingerprint != command.fingerprint:
            raise JournalError(what=f"{_name(command)} is not the one that was written there")
        if written.outcome != outcome:
            raise JournalError(what=f"{_name(command)} has another outcome already")

    async def measure(self, run_id: UUID, attempt: int, measurement: Measurement) -> None:
        """Write down a measurement that belongs to no command."""
        values = {"run_id": run_id, "attempt": attempt}
        columns = rows.measurement_values([measurement])
        await self._database.execute(statements.MEASUREMENT, values | columns)

    async def data_file(self, run_id: UUID, path: str, sha256: str, media_type: str) -> None:
        """Write down that a run left a file; the same content at the same path counts once."""
        values = {"run_id": run_id, "path": path, "sha256": sha256, "media_type": media_type}
        await self._database.execute(statements.DATA_FILE, values)

    # ----------------------------------------------------------------------------------------------

    async def _change_status(
        self, statement: TextClause, status: RunStatus, values: Mapping[str, object]
    ) -> None:
        await self.flush()
        change = {**values, "status": status.value, "ended": status.ended}
        if await self._database.execute(statement, change):
            return
        run = await self.run(UUID(str(values["run_id"])))
        raise JournalError(
            what=f"attempt {values['attempt']} of run {run.run_id} is over; it is at {run.attempt}"
        )


def _name(command: Command) -> str:
    return (
        f"command {command.ordinal} of branch {command.branch} ({command.device}.{command.method}, "
        f"run {command.run_id}, attempt {command.attempt})"
    )
