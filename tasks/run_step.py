"""A step of a protocol as a Prefect task run."""

from __future__ import annotations

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


async def run_step(title: str, body: StepBody) -> None:
    """Carry out one step; what it returns stays in the protocol's process."""
    parked: list[BaseException] = []
    try:
        await _step(title, body, parked)
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
async def _step(
    title: str,  # noqa: ARG001  # the task run's name
    body: StepBody,
    parked: list[BaseException],
) -> State[Any] | None:
    try:
        await body(_task_run_id())
    except (RunParked, BaseExceptionGroup) as error:
        if not _is_parked(error):
            raise
        # To Prefect any other end of a step without an error is a crash; the next attempt of the
        # run makes a task run of its own for it.
        parked.append(error)
        return Cancelled(name="Parked", message="The run goes on with this step later.")
    return None


def _is_parked(error: BaseException) -> bool:
    return isinstance(error, RunParked) or (
        isinstance(error, BaseExceptionGroup) and error.subgroup(RunParked) is not None
    )


def _task_run_id() -> UUID | None:
    context = TaskRunContext.get()
    return context.task_run.id if context else None
