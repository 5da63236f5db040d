"""``praxis run resume`` and ``abandon``: what people do about a run that stopped."""

from __future__ import annotations

import asyncio
import getpass
from contextlib import suppress
from time import monotonic, sleep
from typing import Annotated
from uuid import UUID

import psutil
import typer

from praxis_core.cli import deciding
from praxis_core.cli.console import AsJson, console, print_json
from praxis_core.cli.lost import is_gone
from praxis_core.cli.opening import journal, run_id_of
from praxis_core.cli.result import by_whom
from praxis_core.cli.starting import announce, follow_deployed, run_here
from praxis_core.cli.stopping import cancel_in_prefect, known_run
from praxis_core.errors import (
    RequestError,
    RunNeedsAnswer,
    RunNotFound,
    RunNotResumable,
)
from praxis_core.execution.abandoning import abandon as give_up
from praxis_core.execution.consent import allow_current_code
from praxis_core.execution.past import require_resumable
from praxis_core.execution.report_process import begin_report
from praxis_core.journal.records import Doubt, RunRecord
from praxis_core.locks import AssetLockManager
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.redis_connection import connect_async
from praxis_core.services.prefect_api import FlowRun, PrefectApi
from praxis_core.settings import PraxisSettings

RunId = Annotated[str, typer.Argument(help="Id of the run, or its first characters.")]

HOOK_SECONDS = 30.0
"""How long the end of what Prefect does after a crash is waited for."""

_GONE = frozenset({RunStatus.INTERRUPTED, RunStatus.IN_DOUBT, RunStatus.PARKED})


def resume(
    run: RunId,
    *,
    with_current_code: Annotated[
        bool,
        typer.Option(
            "--with-current-code",
            help="Go on although the protocol's code has changed; stops if it would have done "
            "anything else so far.",
        ),
    ] = False,
    skip: deciding.Skip = None,
    redo: deciding.Redo = None,
    value: deciding.Value = None,
    set_: deciding.Set = None,
    by: deciding.By = None,
    anyway: deciding.Anyway = False,
    until: deciding.Until = None,
    step_by_step: deciding.StepByStep = False,
    detach: Annotated[bool, typer.Option(help="Do not wait for the run's end.")] = False,
    as_json_: AsJson = False,
) -> None:
    """Go on with a run that is parked, was interrupted, failed or was cancelled, where it was."""
    settings = PraxisSettings()
    run_id = asyncio.run(run_id_of(settings, run))
    record, entrypoint = asyncio.run(_resumable(settings, run_id))
    with PrefectApi(settings) as api:
        flow_run = api.read_flow_run(run_id)
    _refuse_while_it_works(record, flow_run)
    if skip or redo or set_ or value is not None:
        work = deciding.decide(
            settings, run_id, skip, redo, value, changed=set_ or (), anyway=anyway, by=by
        )
        asyncio.run(work)
    if with_current_code:
        asyncio.run(_allow(settings, run_id))
    if stop := deciding.asked_stop(until, step_by_step=step_by_step):
        asyncio.run(deciding.stop_after(settings, run_id, stop))
    if flow_run.deployment_id is None:
        words = [entrypoint, "--resume", str(run_id)]
        run_here(
            settings, words, {}, detach=detach, as_json_=as_json_, after_attempt=record.attempt
        )
        return
    _hand_to_worker(settings, flow_run)
    if detach:
        announce(run_id, as_json_=as_json_, resumed=True)
    else:
        follow_deployed(settings, run_id, as_json_=as_json_, after_attempt=record.attempt)


async def _resumable(settings: PraxisSettings, run_id: UUID) -> tuple[RunRecord, str]:
    """Give the run and its protocol's entrypoint.

    Raises:
        RunNeedsAnswer: it waits for a person.
        RunNotResumable: it cannot go on.
    """
    async with journal(settings) as records:
        run = await known_run(settings, records, run_id)
        if run.status is RunStatus.SUCCEEDED:
            what = "it has succeeded. To do it once more, start a new one: praxis run start"
            raise RunNotResumable(run_id=run_id, what=what)
        if run.by_hand:
            await require_resumable(records, run)
        for doubt in await records.open_doubts(run_id):
            raise RunNeedsAnswer(run_id=run_id, what=doubt.what, choices=_choices(run_id, doubt))
        await require_resumable(records, run)
        return run, (await records.protocol(run.protocol)).entrypoint


async def _allow(settings: PraxisSettings, run_id: UUID) -> None:
    async with journal(settings) as records:
        await allow_current_code(records, run_id, getpass.getuser())


def _refuse_while_it_works(run: RunRecord, flow_run: FlowRun) -> None:
    """Two processes of one run would do no harm, but the older one would say that it failed."""
    # Of a run that Prefect calls ended, a process for its hooks may still be there for a moment.
    deadline = monotonic() + (HOOK_SECONDS if flow_run.ended else 0.0)
    while (pid := _process_of(run.run_id)) is not None and monotonic() < deadline:
        sleep(0.5)
    if pid is not None:
        what = f"process {pid} still works on it; wait for it, or end it with: kill {pid}"
        raise RunNotResumable(run_id=run.run_id, what=what)
    if run.status not in _GONE and not run.status.ended and not flow_run.ended:
        what = f"it is {run.status}. When its process is gone, it soon shows as interrupted"
        raise RunNotResumable(run_id=run.run_id, what=what)


def _process_of(run_id: UUID) -> int | None:
    for candidate in psutil.process_iter():
        with suppress(psutil.Error):
            if candidate.environ().get("PREFECT__FLOW_RUN_ID") == str(run_id):
                return candidate.pid
    return None


def _hand_to_worker(settings: PraxisSettings, flow_run: FlowRun) -> None:
    with PrefectApi(settings) as api:
        message = "Resumed with praxis run resume."
        said = api.set_state(flow_run.id, "SCHEDULED", name="AwaitingRetry", message=message)
    if said != "ACCEPT":
        what = f"Prefect, where it is {flow_run.state_name}, does not start it again ({said})"
        raise RunNotResumable(run_id=flow_run.id, what=what)


def abandon(
    run: RunId,
    *,
    why: Annotated[str, typer.Option(help="The reason, for the audit trail.")] = "",
    as_json_: AsJson = False,
) -> None:
    """Give up a run that stopped or failed, for good: what it had is free for others."""
    settings = PraxisSettings()
    run_id = asyncio.run(run_id_of(settings, run))
    status, by_hand = asyncio.run(_abandon(settings, run_id, why))
    if not by_hand:
        cancel_in_prefect(settings, run_id)
    if as_json_:
        print_json({"run_id": str(run_id), "status": status.value})
    else:
        console.print(f"Run {run_id} is {_words(status)}, and what it had is free.")
        console.print("Its labware is as it left it. What is in it: praxis assets show NAME")


async def _abandon(settings: PraxisSettings, run_id: UUID, why: str) -> tuple[RunStatus, bool]:
    redis = connect_async(settings.addresses().redis_url)
    try:
        async with journal(settings) as records:
            run = await known_run(settings, records, run_id)
            if not run.status.ended and not await records.open_doubts(run_id):
                _refuse_unless_gone(settings, run)
            locks = AssetLockManager(redis, lease_seconds=settings.lease_seconds, journal=records)
            status = await give_up(records, locks, run_id, getpass.getuser(), why)
            await begin_report(settings, records, run_id)
            return status, run.by_hand
    finally:
        await redis.aclose()


def _refuse_unless_gone(settings: PraxisSettings, run: RunRecord) -> None:
    """A run that works is cancelled in Prefect, where its process hears of it."""
    if run.status in _GONE:
        return
    if run.by_hand:
        if not is_gone(run):
            what = f"run {run.run_id} is {_words(run.status)}. {by_whom(run)}. It ends there with "
            raise RequestError(what=what + "await wc.close(), or with that process")
        return
    with PrefectApi(settings) as api, suppress(RunNotFound):
        if not api.read_flow_run(run.run_id).ended:
            what = f"run {run.run_id} is {run.status}; cancel it on its page: "
            raise RequestError(what=what + api.run_url(run.run_id))


def _choices(run_id: UUID, doubt: Doubt) -> str:
    words = "|".join(choice.value.replace("_", "-") for choice in doubt.choices)
    return f"praxis run answer {run_id} {words}"


def _words(status: RunStatus) -> str:
    return status.value.replace("_", " ")
