"""A step of a protocol as a Prefect task run."""

from __future__ import annotations

from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.context import TaskRunContext

from praxis_core.execution.active_run import StepBody


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
async def run_step(title: str, body: StepBody) -> None:  # noqa: ARG001  # the task run's name
    """Carry out one step; what it returns stays in the protocol's process."""
    await body(_task_run_id())


def _task_run_id() -> UUID | None:
    context = TaskRunContext.get()
    return context.task_run.id if context else None
