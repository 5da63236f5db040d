"""Runs without a process, as Prefect knows them: started again, reminded of, or given up.

Whoever answers starts the run again. What nobody does, or what is killed on the way, the process of
the workcells' page does: it looks every few seconds, and each look finds what the last one left.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

from pydantic import JsonValue
from redis.asyncio import Redis

from praxis_core.errors import PraxisError, RunNotFound
from praxis_core.execution.abandoning import abandon
from praxis_core.execution.consent import was_abandoned
from praxis_core.execution.going_on import note, reason_to_go_on
from praxis_core.execution.report_process import begin_report
from praxis_core.journal.questions import Questions
from praxis_core.journal.record import Journal
from praxis_core.journal.records import RunRecord
from praxis_core.locks import AssetLockManager
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.services.prefect_api import FlowRun, PrefectApi
from praxis_core.settings import PraxisSettings

_log = logging.getLogger("praxis.parked")

LOOK_SECONDS = 2.0
"""Between two looks."""

ASKED_SECONDS = 5.0
"""How long Prefect may take to answer."""

LEAVING_SECONDS = 15.0
"""How long a process that has just been parked may take to say so in Prefect."""

LOST = timedelta(minutes=3)
"""How long Prefect may say that a parked run has a process."""

CANCELLED = "cancelled in Prefect"
"""Why a run was given up."""

_SOMEBODY = "Somebody"
"""Prefect does not say who has cancelled."""

_LEAVING = frozenset({"RUNNING", "PENDING"})
_ENDED = frozenset({"FAILED", "CRASHED"})


async def start_again(settings: PraxisSettings, journal: Journal, run_id: UUID) -> bool:
    """Let the worker start a parked run, if what it waited for is there.

    Args:
        settings: Where Prefect is.
        journal: The run history.
        run_id: The run.

    Returns:
        Whether it goes on by itself.

    Raises:
        RunNotFound: Prefect does not know it.
        ServiceError: Prefect does not answer.
    """
    end = asyncio.get_running_loop().time() + LEAVING_SECONDS
    while True:
        run = await journal.run(run_id)
        flow_run = await asyncio.to_thread(_read, settings, run_id)
        if run.status is not RunStatus.PARKED:
            return not run.status.ended
        reason = await reason_to_go_on(journal, run, datetime.now(UTC))
        if flow_run.deployment_id is None or not reason or flow_run.state_type == "CANCELLED":
            return False
        if flow_run.state_type in _LEAVING and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.5)
            continue
        return await _start(settings, journal, run, flow_run)


class ParkedRuns:
    """Looks after all runs that wait without a process.

    Args:
        settings: Where Prefect is.
        journal: The run history.
        redis: Where assets are locked.
    """

    def __init__(self, settings: PraxisSettings, journal: Journal, redis: Redis) -> None:
        self._settings = settings
        self._journal = journal
        self._locks = AssetLockManager(redis, lease_seconds=settings.lease_seconds, journal=journal)

    async def watch(self) -> None:
        """Look again and again; what fails is tried again with the next look."""
        while True:
            try:
                await self.look()
            except PraxisError as error:
                _log.warning("parked runs are not looked after: %s", error)
            except Exception:  # noqa: BLE001  # whatever it is: the next look may succeed
                _log.exception("parked runs are not looked after")
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Do for each parked run what is due."""
        for run in await self._journal.runs_cancelled_with_claims():
            if await was_abandoned(self._journal, run.run_id):
                why = "once more, since that had not come to its end"
                await abandon(self._journal, self._locks, run.run_id, "Praxis", why)
        for run in await self._journal.runs_parked():
            try:
                with suppress(RunNotFound):
                    await self._see_to(run)
            except PraxisError as error:
                _log.warning("parked run %s is as it was: %s", run.run_id, error)

    async def _see_to(self, run: RunRecord) -> None:
        flow_run = await asyncio.to_thread(_read, self._settings, run.run_id)
        if flow_run.state_type in {"CANCELLED", "CANCELLING"}:
            if (await self._journal.run(run.run_id)).status is RunStatus.PARKED:
                await self._give_up(run)
            return
        if not await _start(self._settings, self._journal, run, flow_run):
            await self._remind(run)

    async def _give_up(self, run: RunRecord) -> None:
        await abandon(self._journal, self._locks, run.run_id, _SOMEBODY, CANCELLED)
        _log.warning("run %s is given up: %s", run.run_id, CANCELLED)
        await begin_report(self._settings, self._journal, run.run_id)
        await asyncio.to_thread(_tell, self._settings, run.run_id)

    async def _remind(self, run: RunRecord) -> None:
        """Tell people again of what they have not answered for a while."""
        asked = await Questions(self._journal.database).open(run.run_id)
        events = await self._journal.events(run.run_id)
        told = [one.at for one in events if one.kind in {"asked", "reminded"}]
        every = timedelta(seconds=self._settings.remind_seconds)
        if not asked or not told or datetime.now(UTC) - max(told) < every:
            return
        for question in asked:
            what = f"It still waits for an answer to {question.title!r}"
            _log.warning("%s. To give it: praxis run answer %s", what, run.run_id)
            details: JsonValue = {"question": question.id}
            await self._journal.event(run.run_id, "reminded", what, details)


async def _start(
    settings: PraxisSettings, journal: Journal, run: RunRecord, flow_run: FlowRun
) -> bool:
    """Start a parked run if there is a reason; whether it was started, or is about to be."""
    now = datetime.now(UTC)
    lost = _is_lost(flow_run, now)
    if flow_run.deployment_id is None or (flow_run.state_type in _LEAVING and not lost):
        return False
    if flow_run.state_type == "SCHEDULED" and (flow_run.due is None or flow_run.due <= now):
        return True  # the worker sees to it
    reason = await reason_to_go_on(journal, run, now, lost=lost)
    if not reason or (reason.was_told and flow_run.state_type in _ENDED):
        return False
    if not reason.was_told:
        await note(journal, run, reason)
    return await asyncio.to_thread(_schedule, settings, run.run_id, str(reason))


def _is_lost(flow_run: FlowRun, now: datetime) -> bool:
    """Whether the process of a parked run ended before it could say so in Prefect."""
    if flow_run.state_type == "CRASHED":
        return True
    if flow_run.state_type not in _LEAVING and flow_run.state_name != "Paused":
        return False
    return flow_run.state_at is not None and now - flow_run.state_at > LOST


def _read(settings: PraxisSettings, run_id: UUID) -> FlowRun:
    with PrefectApi(settings, timeout=ASKED_SECONDS) as api:
        return api.read_flow_run(run_id)


def _schedule(settings: PraxisSettings, run_id: UUID, why: str) -> bool:
    with PrefectApi(settings, timeout=ASKED_SECONDS) as api:
        said = api.set_state(run_id, "SCHEDULED", name="AwaitingRetry", message=why)
    return said == "ACCEPT"


def _tell(settings: PraxisSettings, run_id: UUID) -> None:
    with PrefectApi(settings, timeout=ASKED_SECONDS) as api:
        api.give_up(run_id)
