"""Runs that ended without writing it down: what Prefect knows of them."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from uuid import UUID

import psutil

from praxis_core.errors import RunNotFound, ServiceError
from praxis_core.journal.records import RunRecord
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.services.prefect_api import FlowRun, PrefectApi
from praxis_core.settings import PraxisSettings

ASKED_SECONDS = 3.0
"""The history is shown all the same when Prefect does not answer."""


def lost_runs(settings: PraxisSettings, runs: Iterable[RunRecord]) -> dict[UUID, FlowRun]:
    """Find the runs that go on in the history and have ended in Prefect: their process is dead."""
    lost: dict[UUID, FlowRun] = {}
    with PrefectApi(settings, timeout=ASKED_SECONDS) as api:
        for run in runs:
            if run.by_hand or not _should_go_on(run):
                continue
            try:
                flow_run = api.read_flow_run(run.run_id)
            except RunNotFound:
                continue
            except ServiceError:
                break
            if is_lost(run, flow_run):
                lost[run.run_id] = flow_run
    return lost


def is_lost(run: RunRecord, flow_run: FlowRun) -> bool:
    """Whether a run goes on in the history and has ended in Prefect."""
    return flow_run.ended and _should_go_on(run)


def is_gone(run: RunRecord) -> bool:
    """Whether the process of what is done by hand has ended; False where it cannot be seen."""
    process, began = run.parameters.get("process"), run.parameters.get("process_began")
    if run.parameters.get("computer") != socket.gethostname() or not isinstance(process, int):
        return False
    try:
        there = psutil.Process(process)
        return there.create_time() != began or there.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _should_go_on(run: RunRecord) -> bool:
    # One that is in doubt or interrupted has stopped, and says so.
    return run.status in {RunStatus.PREPARING, RunStatus.RUNNING, RunStatus.PARKED}
