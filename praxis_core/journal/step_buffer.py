"""The rows of steps on their way into the database: many in one statement, none waited for.

A step costs a Prefect task a few milliseconds; two round trips more would be felt in every
protocol. So rows are gathered for a moment and written together. What depends on them waits for
them: a command's intent, a change of the run's status, a reader of the same journal.
"""

from __future__ import annotations

import asyncio
import logging
from uuid import UUID

from pydantic import JsonValue

from praxis_core.errors import JournalError, ServiceUnreachable
from praxis_core.journal import statements
from praxis_core.journal.database import Database
from praxis_core.journal.records import StepStart
from praxis_core.protocol.lifecycle import StepStatus

_log = logging.getLogger(__name__)

GATHER_SECONDS = 0.02
"""How long rows wait for others; a person looking at a run does not notice it."""

_Key = tuple[UUID, int, str]


class StepBuffer:
    """Steps that were begun or ended and are not in the database yet. Belongs to one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._begun: dict[_Key, StepStart] = {}
        self._waiting: dict[_Key, dict[str, JsonValue]] = {}
        self._writing = asyncio.Lock()
        self._gathering: asyncio.Task[None] | None = None
        self._refusals: dict[UUID, JournalError] = {}
        """Of each run's rows, when they were refused; who next writes for that run is told."""

    def began(self, step: StepStart) -> None:
        """Take in that a step was entered.

        Raises:
            JournalError: it is open already, or what was written before was refused.
        """
        self._raise_refusal(step.run_id)
        key = (step.run_id, step.attempt, step.path)
        if key in self._begun:
            raise JournalError(what=f"{_name(key)} is open already")
        self._begun[key] = step
        self._put(step, StepStatus.RUNNING)

    def ended(self, key: _Key, status: StepStatus, error: JsonValue, at: str) -> None:
        """Take in that a step was left.

        Raises:
            JournalError: it is not open, or what was written before was refused.
        """
        self._raise_refusal(key[0])
        step = self._begun.pop(key, None)
        if step is None:
            raise JournalError(what=f"{_name(key)} is not open")
        self._put(step, status, ended_at=at, error=error)

    async def flush(self, run_id: UUID | None = None) -> None:
        """Write what is waiting. Without an answer of Postgres the next call tries again.

        Args:
            run_id: Whose refusals are raised; None: anybody's.

        Raises:
            JournalError: the database refused what was waiting; that is not tried again.
        """
        if self._waiting or self._writing.locked():
            async with self._writing:
                await self._write()
        self._raise_refusal(run_id)

    async def _write(self) -> None:
        rows, self._waiting = self._waiting, {}
        if not rows:
            return
        try:
            await self._write_rows(rows)
        except BaseException:
            # Writing a row again changes nothing; a newer one of the same step replaces it.
            self._waiting = {**rows, **self._waiting}
            raise

    async def _write_rows(self, rows: dict[_Key, dict[str, JsonValue]]) -> None:
        """Write rows together; if they are refused, each run's by themselves."""
        try:
            await self._database.execute(statements.STEPS, {"steps": list(rows.values())})
        except JournalError as refusal:
            runs = {key[0] for key in rows}
            if len(runs) == 1:
                self._refusals[runs.pop()] = refusal
                for key in rows:
                    self._begun.pop(key, None)
                return
            for run_id in runs:
                await self._write_rows({key: rows[key] for key in rows if key[0] == run_id})

    def _raise_refusal(self, run_id: UUID | None) -> None:
        if run_id is None:
            run_id = next(iter(self._refusals), None)
        refusal = None if run_id is None else self._refusals.pop(run_id, None)
        if refusal is not None:
            raise refusal

    def _put(
        self,
        step: StepStart,
        status: StepStatus,
        ended_at: str | None = None,
        error: JsonValue = None,
    ) -> None:
        self._waiting[step.run_id, step.attempt, step.path] = {
            "run_id": str(step.run_id),
            "attempt": step.attempt,
            "path": step.path,
            "name": step.name,
            "task_run_id": str(step.task_run_id) if step.task_run_id else None,
            "status": status.value,
            "started_at": step.at.isoformat(),
            "ended_at": ended_at,
            "error": error,
        }
        if self._gathering is None or self._gathering.done():
            self._gathering = asyncio.create_task(self._write_soon())

    async def _write_soon(self) -> None:
        await asyncio.sleep(GATHER_SECONDS)
        try:
            async with self._writing:
                await self._write()
        except ServiceUnreachable as error:
            _log.warning("steps are not written yet, and will be tried again: %s", error)


def _name(key: _Key) -> str:
    run_id, attempt, path = key
    return f"step {path} of run {run_id}, attempt {attempt},"
