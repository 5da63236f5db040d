"""A step of a protocol as a Prefect task run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import State
from prefect.context import TaskRunContext
from prefect.exceptions import CancelledRun
from prefect.states import Cancelled

from praxis_core.errors import RunParked
from praxis_core.execution.active_run import StepBody

Ending = Callable[[UUID | None], Awaitable[bool]]
"""Carries out one step; tells whether its run is parked in the midst of it."""


async def run_step(title: str, body: StepBody) -> None:
    """Carry out one step; what it returns stays in the protocol's process."""
    parked: list[BaseException] = []

    async def ending(task_run_id: UUID | None) -> bool:
        try:
            await body(task_run_id)
        except (RunParked, BaseExceptionGroup) as error:
            if not _is_parked(error):
                raise
            parked.append(error)
        return bool(parked)

    try:
        await step_task(title, ending)
    except CancelledRun:
        if not parked:
            raise
    if parked:
        raise parked[0]


# Prefect's default cache policy skips the second of two equal calls once results are persisted, and
# its retries would repeat a step that moved liquid. Neither may decide that one is done again.
@task(
    name="step",
    task_run_name="{title}",
    cache_policy=NO_CACHE,
    retries=0,
    persist_result=False,
    log_prints=False,
)
async def step_task(title: str, ending: Ending) -> State[Any] | None:  # noqa: ARG001  # the task run's name
    """Carry out one step."""
    if await ending(_task_run_id()):
        # What ends without an error and without a result is a crash to Prefect, or goes on for
        # ever. The next attempt of the run makes a task run of its own for the step.
        return Cancelled(name="Parked", message="The run goes on with this step later.")
    return None


def _is_parked(error: BaseException) -> bool:
    return isinstance(error, RunParked) or (
        isinstance(error, BaseExceptionGroup) and error.subgroup(RunParked) is not None
    )


def _task_run_id() -> UUID | None:
    context = TaskRunContext.get()
    return context.task_run.id if context else None
