"""What a running protocol gets when it asks for its run: steps, clock, measurements, transport."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from random import Random
from typing import Any
from uuid import UUID

from pydantic import JsonValue

from praxis_core.execution.asking import Asking
from praxis_core.execution.learned import Learning
from praxis_core.execution.leaving_out import LeavingOut
from praxis_core.execution.plain_data import describe_error
from praxis_core.execution.protocol_state import ProtocolState, StepProgress
from praxis_core.execution.step_paths import StepPaths
from praxis_core.execution.timeliness import Timeliness
from praxis_core.execution.trail import Trail
from praxis_core.journal.record import Journal
from praxis_core.journal.records import Measurement, StepRecord, StepStart
from praxis_core.protocol.asking import Asked
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
    branch: str
    """Path of the asyncio tasks that led to it."""


_position: ContextVar[StepPosition | None] = ContextVar("praxis_step", default=None)


def step_position() -> tuple[str | None, UUID | None]:
    """Path and task-run id of the step the caller is in; (None, None) in the root step."""
    here = _position.get()
    return (here.path, here.task_run_id) if here else (None, None)


class ActiveRun:
    """The orchestrator's side of ``praxis_core.run``.

    Args:
        progress: How far the run is, for people.
        journal: Where it is written down.
        replica: The workcell as the run sees it.
        clock: The workcell's time.
        run_step: How a step is carried out.
        learning: What the protocol learns.
        trail: What it did, in its order.
        asking: How people are asked.
        done: Steps that earlier attempts completed, by their paths.
        timeliness: Watches what steps promise about time; None: they promise nothing.
        after_step: Called with the path and the name of each step that is complete.
        leaving_out: What of it is left out.
    """

    def __init__(  # noqa: PLR0913  # what a protocol may ask for, by name
        self,
        *,
        progress: ProtocolState,
        journal: Journal,
        replica: Replica,
        clock: Clock,
        run_step: StepRunner,
        learning: Learning,
        trail: Trail,
        asking: Asking,
        done: Mapping[str, StepRecord],
        timeliness: Timeliness | None = None,
        after_step: Callable[[str, str], Awaitable[None]],
        leaving_out: LeavingOut,
    ) -> None:
        self._progress = progress
        self._journal = journal
        self._replica = replica
        self._clock = clock
        self._run_step = run_step
        self._learning = learning
        self._trail = trail
        self._asking = asking
        self._done = done
        self._timeliness = timeliness
        self._after_step = after_step
        self._leaving_out = leaving_out
        self._paths = StepPaths()

    @property
    def run_id(self) -> UUID:
        """The run's accession id."""
        return self._progress.run_id

    @property
    def water(self) -> bool:
        """Whether it is done with water in place of everything else."""
        return self._progress.water

    @property
    def random(self) -> Random:
        """Random numbers seeded by the run's id and the calling branch."""
        return self._learning.random()

    def now(self) -> datetime:
        """The time on the run's clock, UTC; at a replay what it was the first time."""
        return self._learning.now()

    async def sleep(self, seconds: float, *, park: bool = False) -> None:
        """Wait on the run's clock; at a replay only for what is left."""
        await self._learning.sleep(seconds, park=park)

    async def park(self, until: datetime | None = None) -> None:
        """Wait for what somebody else brings about; see ``Learning.park``."""
        await self._learning.park(until)

    async def once(self, name: str, effect: Callable[[], Any]) -> Any:
        """Bring about an outside effect once in the life of the run."""
        return await self._learning.once(name, effect)

    async def ask(self, asked: Asked) -> JsonValue:
        """Ask the people at the bench, once in the life of the run."""
        return await self._learning.answer(asked.title, partial(self._asking.answer, asked))

    async def record(
        self, quantity: str, value: float, *, unit: str, asset: str | None, well: str | None
    ) -> None:
        """Write one measurement."""
        self._learning.refuse_when_parked()
        at = self._clock.now()
        measured = Measurement(
            asset=asset, well=well, quantity=quantity, value=value, unit=unit, at=at
        )
        with outside_protocol():
            await self._journal.measure(self.run_id, self._progress.attempt, measured)

    async def bring(self, resource: Any, place: str) -> None:
        """Move labware to a named place of the workcell."""
        await self._replica.bring(resource, place)

    async def step(self, call: StepCall) -> Any:
        """Carry out one step and report its beginning and its end.

        A step that an earlier attempt completed is gone through again, without the engine.
        """
        self._learning.refuse_when_parked()
        branch = current_branch() or Branch()
        path = self._next_path(branch)
        done = self._done.get(path)
        if done is not None and done.name == call.name:
            return await self._again(call, branch, done)
        result: list[Any] = []

        async def body(task_run_id: UUID | None) -> None:
            await self._started(path, call.name, task_run_id, self._clock.now())
            position = StepPosition(path, task_run_id, branch.path)
            result.append(await self._inside(call, branch, position))
            await self._ended(path, StepStatus.SUCCEEDED, self._clock.now())

        # Tasks that the engine starts around the step are not the protocol's.
        with outside_protocol():
            await self._run_step(call.name, body)
            await self._after_step(path, call.name)
        # What the step returned never enters the engine, which would read meaning into some values.
        return result[0]

    async def _again(self, call: StepCall, branch: Branch, done: StepRecord) -> Any:
        position = StepPosition(done.path, done.task_run_id, branch.path)
        # What is done for the step starts tasks of its own.
        with outside_protocol():
            await self._started(done.path, done.name, done.task_run_id, done.started_at)
            result = await self._inside(call, branch, position)
            ended = done.ended_at or self._clock.now()
            await self._ended(done.path, StepStatus.SUCCEEDED, ended)
            await self._after_step(done.path, done.name)
        return result

    async def _inside(self, call: StepCall, branch: Branch, position: StepPosition) -> Any:
        """Call the function of a step as the code of the branch that called it."""
        token = _position.set(position)
        try:
            with inside_protocol(branch), self._timed(call):
                result = await self._leaving_out.step(position.path, call.invoke)
        except BaseException as error:
            if self._learning.is_parked:
                raise  # it goes on in the next attempt
            if isinstance(error, Exception):
                self._trail.blame(error)
            failed = describe_error(error)
            await self._ended(position.path, StepStatus.FAILED, self._clock.now(), failed)
            raise
        else:
            if self._timeliness is not None:
                await self._timeliness.write()
            return result
        finally:
            _position.reset(token)

    def _timed(self, call: StepCall) -> AbstractContextManager[None]:
        watched = self._timeliness
        return nullcontext() if watched is None else watched.promises.during(call)

    def _next_path(self, branch: Branch) -> str:
        parent = _position.get()
        if parent is None:
            return self._paths.next(None, "0", branch.path)
        return self._paths.next(parent.path, parent.branch, branch.path)

    async def _started(self, path: str, name: str, task_run_id: UUID | None, at: datetime) -> None:
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
        self,
        path: str,
        status: StepStatus,
        at: datetime,
        error: dict[str, JsonValue] | None = None,
    ) -> None:
        await self._journal.step_ended(self.run_id, self._progress.attempt, path, status, error, at)
        self._progress.step_ended(path, status, at, error)
