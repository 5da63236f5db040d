"""The journal: how the rest of Praxis writes down and looks up what happened."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import TextClause

from praxis_core.errors import JournalError, ServiceUnreachable
from praxis_core.journal import attempts, claims, definitions, doubts, rows, statements
from praxis_core.journal.command_writer import AssetValues, CommandWriter
from praxis_core.journal.database import Database
from praxis_core.journal.history import History
from praxis_core.journal.records import (
    AttemptRequest,
    CommandRecord,
    Doubt,
    Measurement,
    RecordedMeasurement,
    StepRecord,
    StepStart,
    StoredProtocol,
    StoredWorkcell,
)
from praxis_core.journal.step_buffer import StepBuffer
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import Answer, DoubtSubject, RunStatus, StepStatus

_Written = TypeVar("_Written")

RETRY_SECONDS = 0.1
"""Between two attempts to write, while Postgres does not answer."""


class Journal(History):
    """A history that is also written.

    Each method that writes is one transaction. Any of them raises ``JournalError`` when the
    database refuses what it is given, and ``ServiceUnreachable`` when Postgres does not answer.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._steps = StepBuffer(database)
        self.writer = CommandWriter(database)
        """Intents and outcomes on their way; outcomes need not be waited for there."""

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
        await self._steps.flush(request.run_id)
        await self.settled()
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

    async def park(self, run_id: UUID, until: datetime | None, *, attempt: int) -> None:
        """Let a running run wait without a process; its claims stay.

        Args:
            run_id: The run.
            until: When it goes on, by the workcell's clock; None: when somebody resumes it.
            attempt: The attempt that says so; refused when another has begun since.

        Raises:
            ImpossibleTransition: the run is not running.
            RunNotFound: there is no such run.
        """
        values = {"run_id": run_id, "attempt": attempt, "error": None, "parked_until": until}
        await self._change_status(statements.PARK, RunStatus.PARKED, values)

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
            final_state: Content of the run's PraxisState, archived here; None: it was out of reach,
                and what an earlier attempt left here stays.
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
        """Write the steps that are waiting to be written together; a restart is waited for."""
        await self._patiently(self._steps.flush)

    async def flush_of(self, run_id: UUID) -> None:
        """Write the steps of one run that are waiting; at once done when there are none."""
        await self._patiently(partial(self._steps.flush, run_id))

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

    # --- claims and hosts -------------------------------------------------------------------------

    async def claim_devices(
        self,
        workcell: str,
        devices: Collection[str],
        *,
        run_id: UUID,
        attempt: int,
        take_over: bool,
    ) -> int:
        """Give devices to an attempt of a run: all under one fresh token, or none.

        What earlier attempts of the same run had, and what runs have that ended, is replaced; from
        then on no command with an older token passes.

        Args:
            workcell: Its name.
            devices: Their names.
            run_id: The run.
            attempt: Its open attempt.
            take_over: Whether a run that is interrupted or in doubt gives way; both audit trails
                say so.

        Returns:
            The token that the commands carry.

        Raises:
            DeviceClaimed: another run keeps one of them.
            JournalError: the attempt has ended.
        """
        async with self._database.session() as session, session.begin():
            return await claims.claim(
                session, workcell, devices, run_id=run_id, attempt=attempt, take_over=take_over
            )

    async def claim_assets(
        self,
        workcell: str,
        assets: Collection[str],
        *,
        run_id: UUID,
        attempt: int,
        take_over: bool,
    ) -> int:
        """Do as ``claim_devices``, but what a failed or cancelled run still has is reserved for it.

        Raises:
            DeviceClaimed: another run keeps one of them.
            JournalError: the attempt has ended.
        """
        async with self._database.session() as session, session.begin():
            return await claims.claim(
                session,
                workcell,
                assets,
                run_id=run_id,
                attempt=attempt,
                take_over=take_over,
                keep_reserved=True,
            )

    async def kept_from(
        self, workcell: str, assets: Collection[str], *, run_id: UUID, take_over: bool
    ) -> dict[str, tuple[UUID, datetime]]:
        """Tell which assets a run has or would be refused by ``claim_assets``, and since when."""
        async with self._database.session() as session:
            return await claims.kept_from(
                session, workcell, assets, run_id=run_id, take_over=take_over
            )

    async def release_claims(
        self,
        run_id: UUID,
        attempt: int | None = None,
        devices: Collection[str] | None = None,
        *,
        token: int | None = None,
    ) -> frozenset[str]:
        """Release what a run has: all, or only an attempt's, some devices, or what has one token.

        Returns:
            What was released now.
        """
        async with self._database.session() as session, session.begin():
            return await claims.release(session, run_id, attempt, devices, token=token)

    async def stage_set(self, workcell: str, run_id: UUID, names: Collection[str] | None) -> None:
        """Write down that things are put back to what the definition says, for a new run.

        Args:
            workcell: Its name.
            run_id: The new run.
            names: Devices and labware; None: all there are. ``overtaken_by`` tells it those who had
                left something there.
        """
        what = "all" if names is None else ", ".join(sorted(names))
        message = f"workcell {workcell}: put back to its beginning for run {run_id}: {what}"
        details: JsonValue = {
            "workcell": workcell,
            "run": str(run_id),
            "names": None if names is None else [*sorted(names)],
        }
        await self.event(None, claims.STAGE_SET, message, details)

    async def begin_host(self, workcell: str, host: UUID, pid: int) -> int:
        """Make a host the newest of its workcell; no command of an older one passes any more.

        Returns:
            Its epoch.
        """
        values = {"workcell": workcell, "host": host, "pid": pid}
        [(epoch,)] = await self._database.execute(statements.HOST, values)
        return int(epoch)

    # --- doubts -----------------------------------------------------------------------------------

    async def mark_tail(self, run_id: UUID, from_number: int) -> list[CommandRecord]:
        """Set aside what the last attempt did from the command of this number on.

        Returns:
            These commands in the order of their intents.
        """
        await self.settled()
        async with self._database.session() as session, session.begin():
            marked = await doubts.mark_tail(session, run_id, from_number)
            return sorted(map(rows.command, marked), key=lambda record: record.number)

    async def set_aside(self, run_id: UUID, branch: str, ordinal: int) -> None:
        """Let a command count as not done, so that it is carried out when it comes up again."""
        await self.settled()
        async with self._database.session() as session, session.begin():
            await doubts.set_aside(session, run_id, branch, ordinal)

    async def raise_doubt(  # noqa: PLR0913, PLR0917  # the columns
        self,
        run_id: UUID,
        attempt: int,
        subject: DoubtSubject,
        branch: str,
        ordinal: int,
        what: str,
        choices: Sequence[Answer],
        details: JsonValue = None,
    ) -> Doubt:
        """Ask a person; the run is in doubt from then on, unless it has ended already.

        May be repeated: while a question about the same is open, that one stays.

        Args:
            run_id: The run.
            attempt: The attempt in which it came up.
            subject: What it is about.
            branch: With ``ordinal`` the command, the effect, or the first command of the tail.
            ordinal: See ``branch``.
            what: The question for people.
            choices: What may be answered.
            details: Data for programs.
        """
        await self.settled()
        values: dict[str, JsonValue] = {
            "attempt": attempt,
            "subject": subject.value,
            "branch": branch,
            "ordinal": ordinal,
            "what": what,
            "choices": [choice.value for choice in choices],
            "details": details,
        }
        async with self._database.session() as session, session.begin():
            return rows.doubt(await doubts.raise_doubt(session, run_id, values))

    async def answer_doubt(
        self, doubt: int, answer: Answer, by: str, details: JsonValue = None
    ) -> Doubt:
        """Write down what a person (or the device) says, and do what it means.

        A command that happened has its outcome then, and one that did not is set aside. The same
        holds for an outside effect, whose result is ``details``. ``abort`` cancels the run, answers
        its other questions, too, and releases what it has.

        Args:
            doubt: The question's id.
            answer: One of its choices.
            by: Who says so.
            details: Data for programs.

        Raises:
            AnswerRefused: that is none of the choices.
            NothingToAnswer: it was answered before.
        """
        await self.settled()
        async with self._database.session() as session, session.begin():
            return rows.doubt(await doubts.answer(session, doubt, answer, by, details))

    async def learn(  # noqa: PLR0913, PLR0917  # the columns
        self,
        run_id: UUID,
        attempt: int,
        branch: str,
        ordinal: int,
        kind: str,
        name: str,
        value: JsonValue,
    ) -> JsonValue:
        """Write down what a protocol learned; what was written first at this place counts.

        Returns:
            What counts.

        Raises:
            JournalError: the attempt has ended.
        """
        key = {"run_id": run_id, "branch": branch, "ordinal": ordinal, "kind": kind}
        row = {"attempt": attempt, "name": name, "value": value}
        learn = partial(self._database.execute, statements.LEARN, key | row)
        [(counts,)] = await self._patiently(learn)
        first: JsonValue = counts
        return first

    async def learn_done(
        self, run_id: UUID, branch: str, ordinal: int, kind: str, value: JsonValue
    ) -> None:
        """Write down that an effect on the outside was done, with its result.

        Raises:
            JournalError: it was never begun, or is done already.
        """
        key = {"run_id": run_id, "branch": branch, "ordinal": ordinal, "kind": kind}
        if not await self._database.execute(statements.LEARN_DONE, key | {"value": value}):
            raise JournalError(what=f"{kind} {ordinal} of branch {branch} of {run_id} never began")

    # --- commands and data ------------------------------------------------------------------------

    async def command_intent(
        self, command: Command, at: datetime, *, epoch: int | None = None
    ) -> None:
        """Make durable that a command is about to be sent; returns after that.

        May be repeated with the same command, since the answer to a commit can be lost.

        Args:
            command: The command; with a token, its claim is checked in the same transaction.
            at: When it was asked for.
            epoch: Of the host that is about to send it, checked in the same transaction.

        Raises:
            ClaimLost: the device belongs to somebody else by now.
            HostReplaced: the workcell has a newer host.
            JournalError: another command has this identity, or this one has its outcome already; or
                the attempt has ended.
        """
        await self.flush_of(command.run_id)
        await self.writer.intent(command, at, epoch=epoch)

    async def command_outcome(
        self,
        command: Command,
        outcome: Outcome,
        measurements: Sequence[Measurement],
        assets: AssetValues | None = None,
    ) -> None:
        """Make durable how a command ended and what it measured; returns after that.

        May be repeated with the same outcome. A command that observes needs no intent. Accepted
        after the attempt has ended, too: what a device did is true, whoever still waits for it.
        Without an answer of Postgres it is kept, and written when there is one. What it changed of
        ``assets`` (``assets.entries``) is in the same transaction.

        Raises:
            JournalError: there is no intent, or another outcome; a measurement is not finite.
        """
        await self.flush_of(command.run_id)
        await self.writer.ended(command, outcome, measurements, assets)

    async def take_outcome(
        self,
        command: Command,
        outcome: Outcome,
        measurements: Sequence[Measurement],
        assets: AssetValues | None = None,
    ) -> None:
        """Take in how a command ended; returns before that is durable.

        It is written before any intent that comes after it, else within a moment. What Postgres
        refuses is raised by the next intent of the attempt, or by ``settled_of``.

        Raises:
            JournalError: a value cannot be stored.
        """
        await self.flush_of(command.run_id)
        self.writer.outcome(command, outcome, measurements, assets)

    def take_assets(self, assets: AssetValues, of: Command | None = None) -> None:
        """Take in what changed of assets other than with an outcome; as ``take_outcome``.

        Args:
            assets: What changed (``assets.entries``).
            of: The command that did it, which is in doubt, or was; None: none did.
        """
        self.writer.assets_changed(assets, of)

    async def settled(self) -> None:
        """Wait until every outcome that was taken in is durable."""
        await self.writer.settled()

    async def settled_of(self, run_id: UUID, attempt: int) -> None:
        """Wait until every outcome is durable, at the end of an attempt.

        Raises:
            JournalError: one of the attempt's was refused, and nobody has been told yet.
            ServiceUnreachable: Postgres does not answer; all is kept and written later.
        """
        await self.writer.settled()
        self.writer.raise_refused(run_id, attempt)

    async def commands(self, run_id: UUID) -> list[CommandRecord]:
        """List a run's commands in the order of their intents."""
        await self.settled()
        return await super().commands(run_id)

    async def command(
        self, run_id: UUID, attempt: int, branch: str, ordinal: int
    ) -> CommandRecord | None:
        """Look up one command; None when it was never written."""
        await self.settled()
        return await super().command(run_id, attempt, branch, ordinal)

    async def recorded(self, run_id: UUID) -> list[CommandRecord]:
        """List what counts of a run's commands, over all attempts, in the order of their intents.

        Without those that were set aside; with those that have no outcome (yet).
        """
        await self.settled()
        return await super().recorded(run_id)

    async def find_command(self, run_id: UUID, branch: str, ordinal: int) -> CommandRecord | None:
        """Look up the one command that counts at this place of a run, whatever its attempt."""
        await self.settled()
        return await super().find_command(run_id, branch, ordinal)

    async def measurements(self, run_id: UUID) -> list[RecordedMeasurement]:
        """List a run's measurements in the order in which they were written."""
        await self.settled()
        return await super().measurements(run_id)

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

    async def _patiently(self, write: Callable[[], Awaitable[_Written]]) -> _Written:
        """Write what comes to the same when it is written twice, as patiently as a command."""
        limit = time.monotonic() + self.writer.patience
        while True:
            try:
                return await write()
            except ServiceUnreachable:
                if time.monotonic() > limit:
                    raise
                await asyncio.sleep(RETRY_SECONDS)

    async def _change_status(
        self, statement: TextClause, status: RunStatus, values: Mapping[str, object]
    ) -> None:
        await self._steps.flush(UUID(str(values["run_id"])))
        await self.settled()
        change = {**values, "status": status.value, "ended": status.ended}
        if await self._database.execute(statement, change):
            return
        run = await self.run(UUID(str(values["run_id"])))
        raise JournalError(
            what=f"attempt {values['attempt']} of run {run.run_id} is over; it is at {run.attempt}"
        )
