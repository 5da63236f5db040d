"""What a running protocol gets when it asks for its run: steps, clock, measurements, transport."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any
from uuid import UUID

from pydantic import JsonValue

from praxis_core.execution.plain_data import describe_error
from praxis_core.execution.protocol_state import ProtocolState, StepProgress
from praxis_core.journal.record import Journal
from praxis_core.journal.records import Measurement, StepStart
from praxis_core.protocol.lifecycle import StepStatus
from praxis_core.protocol.running import StepCall
from praxis_core.workcell.branches import (
    Branch,
    current_branch,
    inside_protocol,
    outside_protocol,
)
from praxis_core.workcell.clock import Clock
from praxis_core.workcell.replica import Replica

StepBody = Callable[[UUID | None], Awaitable[None]]
"""Carries out one step; its argument is the id of the engine's task run, if there is one."""

StepRunner = Callable[[str, StepBody], Awaitable[None]]
"""How a step is carried out: as a Prefect task, or directly. Gets the step's title and its body."""


async def run_directly(title: str, body: StepBody) -> None:  # noqa: ARG001  # a StepRunner
    """Carry a step out without any engine."""
    await body(None)


@dataclass(frozen=True, slots=True)
class StepPosition:
    """Which step the calling code is in."""

    path: str
    task_run_id: UUID | None


_position: ContextVar[StepPosition | None] = ContextVar("praxis_step", default=None)


def step_position() -> tuple[str | None, UUID | None]:
    """Path and task-run id of the step the caller is in; (None, None) in the root step."""
    here = _position.get()
    return (here.path, here.task_run_id) if here else (None, None)


class ActiveRun:
    """The orchestrator's side of ``praxis_core.run``."""

    def __init__(
        self,
        *,
        progress: ProtocolState,
        journal: Journal,
        replica: Replica,
        clock: Clock,
        run_step: StepRunner,
    ) -> None:
        self._progress = progress
        self._journal = journal
        self._replica = replica
        self._clock = clock
        self._run_step = run_step
        self._children: Counter[str] = Counter()
        self._random = Random(progress.run_id.int)  # noqa: S311  # repeatable on purpose

    @property
    def run_id(self) -> UUID:
        """The run's accession id."""
        return self._progress.run_id

    @property
    def random(self) -> Random:
        """Random numbers seeded by the run's id."""
        return self._random

    def now(self) -> datetime:
        """The time on the run's clock, UTC."""
        return self._clock.now()

    async def sleep(self, seconds: float) -> None:
        """Wait on the run's clock."""
        await self._clock.sleep(seconds)

    async def record(
        self, quantity: str, value: float, *, unit: str, asset: str | None, well: str | None
    ) -> None:
        """Write one measurement."""
        await self._journal.measure(
            self.run_id,
            self._progress.attempt,
            Measurement(
                asset=asset, well=well, quantity=quantity, value=value, unit=unit, at=self.now()
            ),
        )

    async def bring(self, resource: Any, place: str) -> None:
        """Move labware to a named place of the workcell."""
        await self._replica.bring(resource, place)

    async def step(self, call: StepCall) -> Any:
        """Carry out one step and report its beginning and its end."""
        path = self._next_path()
        branch = current_branch() or Branch()
        result: list[Any] = []

        async def body(task_run_id: UUID | None) -> None:
            await self._started(path, call.name, task_run_id)
            token = _position.set(StepPosition(path, task_run_id))
            try:
                with inside_protocol(branch):
                    result.append(await call.invoke())
            except BaseException as error:
                await self._ended(path, StepStatus.FAILED, describe_error(error))
                raise
            finally:
                _position.reset(token)
            await self._ended(path, StepStatus.SUCCEEDED)

        # Tasks that the engine starts around the step are not the protocol's.
        with outside_protocol():
            await self._run_step(call.name, body)
        # What the step returned never enters the engine, which would read meaning into some values.
        return result[0]

    def _next_path(self) -> str:
        parent, _ = step_position()
        self._children[parent or ""] += 1
        number = str(self._children[parent or ""])
        return f"{parent}.{number}" if parent else number

    async def _started(self, path: str, name: str, task_run_id: UUID | None) -> None:
        at = self.now()
        await self._journal.step_started(
            StepStart(
                run_id=self.run_id,
                attempt=self._progress.attempt,
                path=path,
                name=name,
                task_run_id=task_run_id,
                at=at,
            )
        )
        self._progress.step_started(
            StepProgress(
                path=path,
                name=name,
                status=StepStatus.RUNNING,
                task_run_id=task_run_id,
                started_at=at,
            )
        )

    async def _ended(
        self, path: str, status: StepStatus, error: dict[str, JsonValue] | None = None
    ) -> None:
        at = self.now()
        await self._journal.step_ended(self.run_id, self._progress.attempt, path, status, error, at)
        self._progress.step_ended(path, status, at, error)
