"""Runs whose time has come and that nobody has begun: the worker, or the whole stack, was down."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from praxis_core.services.prefect_api import PrefectApi
from praxis_core.services.worker import WORK_POOL

GRACE = timedelta(seconds=60)
"""A worker that is there has begun a run long before, also on a busy machine."""

CANCELLED = "Nobody was there at its time; left out by: praxis up --skip-missed"


@dataclass(frozen=True)
class Missed:
    """A run that should have begun."""

    run_id: UUID
    deployment: str
    """``flow/deployment``."""
    due: datetime

    def __str__(self) -> str:
        """Say it on one line."""
        at = self.due.astimezone(UTC)
        return f"{self.deployment} was to begin at {at:%Y-%m-%d %H:%M} UTC (run {self.run_id})"


def missed_runs(api: PrefectApi) -> list[Missed]:
    """List the runs that nobody began at their time, the oldest first.

    Those that wait for their turn, because their deployment allows so many at once, are not among
    them.
    """
    late = api.late_runs(WORK_POOL, datetime.now(UTC) - GRACE)
    names = {one.deployment_id: "" for one in late if one.deployment_id is not None}
    names = {deployment: api.deployment_name(deployment) for deployment in names}
    return [
        Missed(one.id, names.get(one.deployment_id or one.id, one.name), one.due)
        for one in late
        if one.due is not None
    ]


def leave_out(api: PrefectApi, missed: list[Missed]) -> None:
    """Cancel runs that nobody began."""
    for one in missed:
        api.set_state(one.run_id, "CANCELLED", name="Cancelled", message=CANCELLED)
