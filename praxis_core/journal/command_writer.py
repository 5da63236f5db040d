"""Intents and outcomes on their way into the database: in their order, many in one transaction.

A commit costs a millisecond or two, a row next to nothing. So everything that waits is committed
together, and an outcome waits a moment for the intent that mostly follows it. What was taken in is
kept until it is committed: after a lost connection it is written again, and nothing counts twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import select

from praxis_core.errors import JournalError, PraxisError, ServiceUnreachable
from praxis_core.journal import rows, statements
from praxis_core.journal.database import Database, refused
from praxis_core.journal.pipeline import Pipeline, Prepared, Values
from praxis_core.journal.records import CommandRecord, Measurement
from praxis_core.journal.tables import CommandRow
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import CommandKind, OutcomeStatus, Sent

_log = logging.getLogger(__name__)

PATIENCE_SECONDS = 15.0
"""How long an intent waits for a Postgres that does not answer; a restart takes a few seconds."""
STATEMENT_SECONDS = 30.0
"""How long a statement may take (``database``); one that takes longer has no answer."""
CLOSING_SECONDS = 3.0
"""How long the end of a process waits for it."""
GATHER_SECONDS = 0.005
"""How long an outcome waits for the next intent; a protocol asks for it within this time."""
TOGETHER = 200
"""Statements in one transaction; more would keep the first ones waiting."""
_PAUSES = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Seconds between attempts to connect; the last one from then on."""
_DEADLOCK = "40P01"
_LOST = ("08", "57P")
"""How the SQLSTATEs begin with which Postgres ends a connection."""
_PASSES = ("25006", "40", "53", "55P03", "57", "58")
"""Those of a full disk, of a lock and of what else is no fault of a row: an outcome waits."""

_INTENT = Prepared.of("intent", statements.INTENT)
_OUTCOME = Prepared.of("outcome", statements.OUTCOME)
_MEASURED = Prepared.of("measured", statements.MEASURED)
_OBSERVED = Prepared.of("observed", statements.OBSERVED)
_CHANGED = Prepared.of("changed", statements.CHANGE)
_CHANGED_BY = Prepared.of("changed_by_command", statements.CHANGE_BY_COMMAND)
_WITH_ASSETS = {
    _OUTCOME: Prepared.of("outcome_of_assets", statements.OUTCOME_OF_ASSETS),
    _MEASURED: Prepared.of("measured_of_assets", statements.MEASURED_OF_ASSETS),
    _OBSERVED: Prepared.of("observed_of_assets", statements.OBSERVED_OF_ASSETS),
}
_WITH_CONTENTS = Prepared.of("outcome_of_contents", statements.OUTCOME_OF_CONTENTS)
_PREPARED = (
    _INTENT,
    _CHANGED,
    _CHANGED_BY,
    _WITH_CONTENTS,
    *_WITH_ASSETS,
    *_WITH_ASSETS.values(),
)


AssetValues = Mapping[str, object]
"""What a command changed of assets, as ``assets.entries`` writes it; under ``only_contents`` stands
whether nothing was moved, and no doubt came or went."""


@dataclass(eq=False, slots=True)
class _Waiting:
    """Something that is to be written, and who waits for it."""

    done: asyncio.Future[None]
    since: float
    statement: Prepared | None = None
    """None: nothing is written, somebody only waits until everything before it is."""
    values: Values = ()
    command: Command | None = None
    outcome: Outcome | None = None
    """None: it is the intent."""
    bare: Callable[[], tuple[Prepared, dict[str, object]]] | None = None
    """Makes the same outcome without what it changed of assets, if it changed something."""
    of_assets: bool = False
    """Only what changed of assets, which nobody waits for."""
    withdrawn: bool = False
    """An intent that was given up: if it was written all the same, nothing was sent."""
    written: bool = False

    @property
    def kept(self) -> bool:
        """Whether it is written whatever happens; what is not kept is given up after a while."""
        return self.outcome is not None or self.of_assets

    @property
    def due(self) -> bool:
        """Whether it is still to be written."""
        return not self.written and (self.kept or not self.done.cancelled())

    def finish(self, refusal: PraxisError | None) -> None:
        """Tell who waits for it how it ended."""
        self.written = True
        if self.done.done():
            return
        if refusal is None or self.withdrawn:
            self.done.set_result(None)
        else:
            self.done.set_exception(refusal)


class CommandWriter:
    """Writes the commands of all runs of one process. Belongs to one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[_Waiting] = deque()
        self._connection: Pipeline | None = None
        self._writing: asyncio.Task[None] | None = None
        self._soon: asyncio.TimerHandle | None = None
        self._refused: dict[tuple[UUID, int], PraxisError] = {}
        """Outcomes that nobody waited for and Postgres refused; the next intent is told."""
        self.patience = PATIENCE_SECONDS
        self.assets_refused = 0
        """How often Postgres refused what changed of assets."""
        database.before_close(self.close)

    @property
    def waiting(self) -> int:
        """How much is not committed yet."""
        return len(self._waiting)

    @property
    def waiting_seconds(self) -> float:
        """For how long the first of it has waited."""
        return time.monotonic() - self._waiting[0].since if self._waiting else 0.0

    async def intent(self, command: Command, at: datetime, *, epoch: int | None = None) -> None:
        """Make durable that a command is about to be sent; returns after that.

        Raises:
            ClaimLost, HostReplaced, JournalError: it must not be sent.
            ServiceUnreachable: Postgres does not answer; it must not be sent.
        """
        self.raise_refused(command.run_id, command.attempt)
        values = _INTENT.values(rows.intent_values(command, at, epoch))
        self._no_longer_withdrawn(command)
        waiting = self._put(statement=_INTENT, values=values, command=command)
        self._write_now()
        try:
            await self._written(waiting)
        except (asyncio.CancelledError, ServiceUnreachable) as error:
            self._withdraw(command, str(error) or "The caller was cancelled; nothing was sent.")
            raise

    def outcome(
        self,
        command: Command,
        outcome: Outcome,
        measurements: Sequence[Measurement],
        assets: AssetValues | None = None,
    ) -> asyncio.Future[None]:
        """Take in how a command ended; written before any intent that comes after it.

        Args:
            command: The command.
            outcome: How it ended.
            measurements: What it measured.
            assets: What it changed of assets (``assets.entries``): in the same transaction, and
                only where the outcome is not there already.

        Returns:
            Done when it is durable. Nobody needs to wait: a refusal is raised by the
            attempt's next intent.

        Raises:
            JournalError: a value cannot be stored.
        """
        statement, columns = _ended(command, outcome, measurements, assets)
        waiting = self._put(
            statement=statement, values=statement.values(columns), command=command, outcome=outcome
        )
        if assets is not None:
            waiting.bare = partial(_ended, command, outcome, measurements)
        waiting.done.add_done_callback(partial(self._remember_refusal, command))
        self._write_soon()
        return waiting.done

    def assets_changed(self, assets: AssetValues, of: Command | None = None) -> None:
        """Take in what changed of assets other than with an outcome, in its turn among these.

        Args:
            assets: What changed (``assets.entries``).
            of: The command that did it, which is in doubt, or was; None: none did.
        """
        statement = _CHANGED if of is None else _CHANGED_BY
        columns = dict(assets)
        if of is not None:
            columns |= rows.command_key(of)
        waiting = self._put(statement=statement, values=statement.values(columns), of_assets=True)
        waiting.done.add_done_callback(self._count_refusal)
        self._write_soon()

    def _count_refusal(self, done: asyncio.Future[None]) -> None:
        refusal = None if done.cancelled() else done.exception()
        if refusal is not None:
            self.assets_refused += 1
            _log.error("what changed of assets is not written: %s", refusal)

    async def ended(
        self,
        command: Command,
        outcome: Outcome,
        measurements: Sequence[Measurement],
        assets: AssetValues | None = None,
    ) -> None:
        """Take in how a command ended and wait until it is durable.

        Raises:
            JournalError: it is refused.
            ServiceUnreachable: Postgres does not answer; it is kept and written later.
        """
        written = self.outcome(command, outcome, measurements, assets)
        await self.settled()
        try:
            await asyncio.shield(written)
        finally:
            self._refused.pop((command.run_id, command.attempt), None)

    async def settled(self) -> None:
        """Wait until everything that was taken in is durable (or was refused).

        Raises:
            ServiceUnreachable: Postgres does not answer; all is kept and written later.
        """
        if self._waiting:
            waiting = self._put()
            self._write_now()
            await self._written(waiting)

    def raise_refused(self, run_id: UUID, attempt: int) -> None:
        """Tell an attempt once what was refused that nobody waited for.

        Raises:
            JournalError: something was.
        """
        told = self._refused.pop((run_id, attempt), None)
        if told is not None:
            raise told

    async def close(self) -> None:
        """Write what is left, if Postgres answers, and close the connection."""
        self.patience = min(self.patience, CLOSING_SECONDS)
        with suppress(ServiceUnreachable):
            await self.settled()
        if self._soon is not None:
            self._soon.cancel()
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait([self._writing])
        for left in self._waiting:
            _log.error("an outcome could not be written before the end: %s", left.command)
            left.done.cancel()
        self._waiting.clear()
        await self._disconnect()

    # ----------------------------------------------------------------------------------------------

    def _put(self, **what: Any) -> _Waiting:
        loop = asyncio.get_running_loop()
        waiting = _Waiting(done=loop.create_future(), since=time.monotonic(), **what)
        self._waiting.append(waiting)
        return waiting

    async def _written(self, waiting: _Waiting) -> None:
        """Wait for what is not kept; given up here only if Postgres hangs, else where it failed."""
        limit = self.patience + STATEMENT_SECONDS
        try:
            async with asyncio.timeout(limit):
                await waiting.done
        except TimeoutError as error:
            no_answer = psycopg.OperationalError(f"no answer for {limit:.0f} s")
            raise self._database.unreachable(no_answer) from error

    def _write_now(self) -> None:
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all())
            self._writing.add_done_callback(self._stopped)

    def _stopped(self, writing: asyncio.Task[None]) -> None:
        """Leave nobody waiting for a task that a fault of this module has ended."""
        error = None if writing.cancelled() else writing.exception()
        if error is not None:
            _log.error("commands cannot be written", exc_info=error)
            left, self._waiting = self._waiting, deque()
            for one in left:
                one.finish(JournalError(what=f"the writer of commands has ended: {error!r}"))

    def _write_soon(self) -> None:
        busy = self._writing is not None and not self._writing.done()
        if not busy and self._soon is None:
            loop = asyncio.get_running_loop()
            self._soon = loop.call_later(GATHER_SECONDS, self._write_now)

    async def _write_all(self) -> None:
        """Write batch after batch until only outcomes are left that came in meanwhile."""
        failures = 0
        while self._waiting:
            batch = [self._waiting[n] for n in range(min(TOGETHER, len(self._waiting)))]
            try:
                await self._write([one for one in batch if one.due])
            except ServiceUnreachable as error:
                await self._disconnect()
                self._give_up_old(error)
                await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
                failures += 1
                continue
            failures = 0
            for _ in batch:
                self._waiting.popleft()
            if all(one.kept and not one.withdrawn for one in self._waiting):
                break
        self._writing = None
        if self._waiting:
            self._write_soon()

    async def _write(self, batch: Sequence[_Waiting]) -> None:
        """Write a batch in one transaction; if that is refused, each in one of its own.

        Raises:
            ServiceUnreachable: some of it may be written; all of it may be written again.
        """
        try:
            counts = await self._execute(batch)
        except psycopg.Error:
            await self._write_singly(batch)
            return
        for one, count in zip(batch, counts, strict=True):
            await self._resolve(one, count)

    async def _write_singly(self, batch: Sequence[_Waiting]) -> None:
        for one in batch:
            try:
                [count] = await self._execute([one])
            except psycopg.Error as error:
                if one.kept and (error.sqlstate or "").startswith(_PASSES):
                    raise self._database.unreachable(error) from error
                if one.bare is not None:
                    await self._write_bare(one, one.bare, error)
                one.finish(refused(error))
            else:
                await self._resolve(one, count)

    async def _write_bare(
        self,
        one: _Waiting,
        bare: Callable[[], tuple[Prepared, dict[str, object]]],
        error: psycopg.Error,
    ) -> None:
        """Write at least that a command was done, whatever is wrong with what is told of assets."""
        self.assets_refused += 1
        name = "a command" if one.command is None else one.command.name
        _log.error("what %s changed of assets is not written", name, exc_info=error)
        one.statement, columns = bare()
        one.values, one.bare = one.statement.values(columns), None
        with suppress(psycopg.Error):
            await self._execute([one])

    async def _execute(self, batch: Sequence[_Waiting]) -> list[int]:
        """Carry statements out in one transaction and one round trip.

        Returns:
            The number of rows that each has written.

        Raises:
            psycopg.Error: one of them is refused, so nothing is written.
            ServiceUnreachable: all of them may be written.
        """
        work = [(one.statement, one.values) for one in batch if one.statement is not None]
        if not work:
            return [1] * len(batch)
        connection = await self._connected()
        try:
            counts = iter(await connection.execute(work))
        except psycopg.Error as error:
            if connection.closed or (error.sqlstate or "").startswith(_LOST):
                raise self._database.unreachable(error) from error
            if error.sqlstate == _DEADLOCK and len(batch) == 1:
                return await self._execute(batch)
            raise
        return [1 if one.statement is None else next(counts) for one in batch]

    async def _connected(self) -> Pipeline:
        if self._connection is None or self._connection.closed:
            await self._disconnect()
            connection = await self._database.connect()
            try:
                # To plan a statement takes longer than to carry it out.
                await connection.execute("SET plan_cache_mode = force_generic_plan")
                self._connection = Pipeline(connection)
                await self._connection.prepare(_PREPARED)
            except psycopg.Error as error:
                raise self._database.unreachable(error) from error
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _resolve(self, one: _Waiting, count: int) -> None:
        """Tell who waits; where no row was written, look whether it is there already.

        Raises:
            ServiceUnreachable: that could not be seen.
        """
        refusal: PraxisError | None = None
        if count == 0 and not one.withdrawn and one.command is not None:
            try:
                refusal = await self._difference(one.command, one.outcome)
            except JournalError as error:
                refusal = error
        if refusal is not None and one.bare is not None:
            self.assets_refused += 1
        one.finish(refusal)

    async def _difference(self, command: Command, outcome: Outcome | None) -> JournalError | None:
        """What is the matter with a row that was there already; None: it is the same."""
        written = await self._find(command)
        if outcome is None:
            same = written is not None and written.command == command and not written.tail
            if same and written is not None and written.outcome is None:
                return None
            return JournalError(what=f"{_name(command)} is written already, and differs")
        if written is None:
            return JournalError(what=f"{_name(command)} has an outcome, but no intent")
        if written.command.fingerprint != command.fingerprint:
            return JournalError(what=f"{_name(command)} is not the one that was written there")
        if written.outcome != outcome:
            return JournalError(what=f"{_name(command)} has another outcome already")
        return None

    async def _find(self, command: Command) -> CommandRecord | None:
        query = select(CommandRow).where(
            CommandRow.run_id == command.run_id,
            CommandRow.attempt == command.attempt,
            CommandRow.branch == command.branch,
            CommandRow.ordinal == command.ordinal,
        )
        async with self._database.session() as session:
            row = await session.scalar(query)
        return None if row is None else rows.command(row)

    # --- without Postgres -------------------------------------------------------------------------

    def _give_up_old(self, error: ServiceUnreachable) -> None:
        """Let go who has waited too long. Outcomes stay, and nothing of an intent was sent."""
        limit = time.monotonic() - self.patience
        left: deque[_Waiting] = deque()
        for one in self._waiting:
            if one.kept or one.since > limit:
                left.append(one)
                continue
            if not one.done.done():
                one.done.set_exception(error)
        self._waiting = left

    def _withdraw(self, command: Command, why: str) -> None:
        """Close an intent that was given up: if it is written, it must not stay in doubt."""
        self._waiting.append(_withdrawal(command, why))
        self._write_soon()

    def _no_longer_withdrawn(self, command: Command) -> None:
        for one in self._waiting:
            if one.withdrawn and one.command == command:
                one.finish(None)

    def _remember_refusal(self, command: Command, done: asyncio.Future[None]) -> None:
        refusal = None if done.cancelled() else done.exception()
        if isinstance(refusal, PraxisError):
            _log.error("the outcome of %s is not written: %s", command.name, refusal)
            self._refused[command.run_id, command.attempt] = refusal


def _withdrawal(command: Command, why: str) -> _Waiting:
    """How an intent ended that was given up, for when it is there all the same."""
    now = datetime.now(UTC)
    kind = ServiceUnreachable
    outcome = Outcome(
        OutcomeStatus.FAILED,
        now,
        now,
        error=EncodedError(f"{kind.__module__}:{kind.__qualname__}", why),
        sent=Sent.NONE,
    )
    statement, columns = _ended(command, outcome, ())
    values = statement.values(columns)
    done = asyncio.get_running_loop().create_future()
    return _Waiting(done, time.monotonic(), statement, values, command, outcome, withdrawn=True)


def _ended(
    command: Command,
    outcome: Outcome,
    measurements: Sequence[Measurement],
    assets: AssetValues | None = None,
) -> tuple[Prepared, dict[str, object]]:
    """Choose the statement that writes an outcome, and give its columns."""
    columns = rows.intent_values(command, outcome.started_at) | rows.outcome_values(outcome)
    statement = _OUTCOME
    if measurements or command.kind is CommandKind.OBSERVE:
        statement = _OBSERVED if command.kind is CommandKind.OBSERVE else _MEASURED
        columns |= rows.measurement_values(measurements)
    if assets is None:
        return statement, columns
    columns |= assets
    if statement is _OUTCOME and assets["only_contents"]:
        return _WITH_CONTENTS, columns
    return _WITH_ASSETS[statement], columns


def _name(command: Command) -> str:
    return (
        f"command {command.ordinal} of branch {command.branch} ({command.device}.{command.method}, "
        f"run {command.run_id}, attempt {command.attempt})"
    )
