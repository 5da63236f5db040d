"""What a run waits for, as far as the database, Prefect and its workcell's host can tell."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from praxis_core.cli.lost import ASKED_SECONDS
from praxis_core.errors import HostNotRunning, PraxisError, RunNotBegun, RunNotFound, ServiceError
from praxis_core.host.asking import ask_host
from praxis_core.journal.records import RunRecord
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.services.prefect_api import FlowRun, PrefectApi
from praxis_core.settings import PraxisSettings

_TO_COME = frozenset({"SCHEDULED", "PENDING"})

_AT_WORK = frozenset({RunStatus.PREPARING, RunStatus.RUNNING})


def in_prefect(settings: PraxisSettings, run_id: UUID) -> FlowRun | None:
    """Give a run as Prefect knows it; None when Prefect does not, or does not answer."""
    with suppress(RunNotFound, ServiceError), PrefectApi(settings, timeout=ASKED_SECONDS) as api:
        return api.read_flow_run(run_id)
    return None


def not_in_history(settings: PraxisSettings, run_id: UUID) -> RunNotFound:
    """Tell why the database does not know a run: it has not begun, or there is none."""
    flow_run = in_prefect(settings, run_id)
    if flow_run is None:
        return RunNotFound(run_id=run_id)
    if flow_run.ended:
        said = (flow_run.state_message or "").rstrip(".")
        mend = "Start it anew: praxis run start, or Retry on its page"
        return RunNotBegun(run_id=run_id, what=f"{flow_run.state_name}: {said}. {mend}")
    mend = "When this lasts, see whether the worker runs: praxis status"
    return RunNotBegun(run_id=run_id, what=f"{flow_run.state_name}. {mend}")


def status_words(run: RunRecord) -> str:
    """Say how a run stands; of one that is parked, until when, by its workcell's clock."""
    words = run.status.value.replace("_", " ")
    if run.status is not RunStatus.PARKED:
        return words
    until = f"{run.parked_until:%Y-%m-%d %H:%M:%S}" if run.parked_until else "somebody answers"
    return f"{words} until {until}"


def waits_for(settings: PraxisSettings, run: RunRecord, flow_run: FlowRun | None) -> str | None:
    """Tell what must come before a run goes on by itself; None: nothing is known."""
    if run.status is RunStatus.PARKED and (
        flow_run is None or flow_run.state_name in {"Parked", "Suspended"}
    ):
        return _parked(run)
    if flow_run is not None and flow_run.state_type in _TO_COME:
        return (
            f"Attempt {run.attempt + 1} waits for the worker, in Prefect it is "
            f"{flow_run.state_name}. When this lasts: praxis status"
        )
    if run.status not in _AT_WORK or (flow_run is not None and flow_run.ended):
        return None
    return _at_work(settings, run)


def _parked(run: RunRecord) -> str:
    by_itself = "It goes on by itself then" if run.parked_until else "With the answer it goes on"
    return (
        "It waits without a process, and keeps what it has; its devices stay as they are set. "
        f"{by_itself}. Let it go on now: praxis run resume {run.run_id}. "
        f"Give it up, and make its devices safe: praxis run abandon {run.run_id}"
    )


def _at_work(settings: PraxisSettings, run: RunRecord) -> str | None:
    try:
        ask_host(settings, run.workcell, "/health")
    except HostNotRunning:
        return (
            f"It waits up to {settings.host_wait_seconds:g} s for the host of workcell "
            f"{run.workcell}, which does not answer. Its watchdog starts it again; when there is "
            "no watchdog: praxis up"
        )
    except PraxisError:
        return None
    if run.status is RunStatus.PREPARING:
        return (
            "Its assets are being locked, its devices taken up and compared with what is known "
            f"of them; who has them: praxis workcell show {run.workcell}"
        )
    return None
