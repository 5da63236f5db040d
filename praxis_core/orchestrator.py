"""The orchestrator: one run from open to close, in the six phases of a protocol's life.

1. *Load*: the workcell definition, the protocol definition, the run's PraxisState; of a run that
   was under way, what its earlier attempts left.
2. *Initialise*: parameters and assets are checked together, assets are locked and claimed, the run
   is planned on what it got, devices are connected and their states confirmed. Whatever fails up
   to here refuses the run: nothing has moved.
3. *Execute*: the protocol function runs; each step is written down as it begins and ends. A run
   that was under way is given what is known, and goes on after it.
4. *Data*: measurements are in the database as they come; a CSV of them is written beside it.
5. *Errors*: recorded in the database and flagged in PraxisState under ``error``; what has to be
   done anew is set aside, and what may have happened is asked about.
6. *Complete*: status, summary and PraxisState are archived; devices disconnected, locks released.

It knows nothing of Prefect: how a step is carried out is passed in as ``run_step``.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from pydantic import JsonValue

from praxis_core.assets.calibration import Calibrations
from praxis_core.errors import ImpossibleTransition
from praxis_core.execution.active_run import StepRunner, run_directly, step_position
from praxis_core.execution.attempt import Attempt, load
from praxis_core.execution.belongings import Belongings
from praxis_core.execution.closing import Closing
from praxis_core.execution.course import Course
from praxis_core.execution.page import RunPage
from praxis_core.execution.past import refuse_unanswered
from praxis_core.execution.performance import Performance
from praxis_core.execution.plain_data import json_object, summary_of
from praxis_core.execution.request import RunRequest, RunResult
from praxis_core.execution.trail import Trail
from praxis_core.journal.record import Journal
from praxis_core.locks import AssetLockManager
from praxis_core.planning.checks import CheckedRequest
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.redis_connection import connect, connect_async
from praxis_core.settings import PraxisSettings
from praxis_core.state import PraxisState
from praxis_core.to_the_end import to_the_end
from praxis_core.workcell.bench import Bench, local_link
from praxis_core.workcell.definition import WorkcellDefinition, WorkcellMode
from praxis_core.workcell.link import Attached, Link
from praxis_core.workcell.live_status import LiveStatus

__all__ = ["LinkFor", "Orchestrator", "RunPage", "RunRequest", "RunResult"]

LinkFor = Callable[[WorkcellDefinition, int], Link]
"""Makes the link to the devices of a workcell in a version of its definition."""


class Orchestrator:
    """Runs protocols; one instance serves any number of runs, one after the other or together.

    Args:
        journal: The run history.
        settings: Where state and locks are.
        run_step: How a step is carried out.
        link_for: How devices are reached; None: they are made in this process for each attempt.
        page: Where people follow the run; None: nowhere but in the journal.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        settings: PraxisSettings,
        run_step: StepRunner = run_directly,
        link_for: LinkFor | None = None,
        page: RunPage | None = None,
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._run_step = run_step
        self._link_for = link_for
        self._page = page or RunPage()
        redis_url = settings.addresses().redis_url
        self._redis = connect(redis_url)
        self._aredis = connect_async(redis_url)
        self._locks = AssetLockManager(
            self._aredis, lease_seconds=settings.lease_seconds, journal=journal
        )

    async def close(self) -> None:
        """Close the connections to Redis."""
        await self._aredis.aclose()
        self._redis.close()

    async def run(self, request: RunRequest) -> RunResult:
        """Carry out one run from open to close, or go on with one that was under way.

        Raises:
            RunNeedsAnswer, RunNotResumable, SourceChanged: the run cannot go on as it is.
            RunParked: it waits without a process; no error. Another attempt goes on at its time.
            CommandInDoubt: nobody knows what a command did; the run waits for an answer.
            HostLost, HostNotRunning: its host cannot be reached; the run is interrupted.
            PraxisError: the run was refused; nothing has moved.
            Exception: whatever the protocol raised, after it was recorded.
        """
        state = PraxisState(request.run_id, self._redis)
        attempt = await load(self._journal, request, state)
        closing = Closing(attempt, journal=self._journal, settings=self._settings)
        try:
            await to_the_end(attempt.begin(self._journal))
            if attempt.water:
                await self._page.with_water()
            value = await self._initialise_and_execute(attempt)
            summary = summary_of(value)
        # The flow process's home of the broad handler: what ended the run is recorded, and goes on.
        except BaseException as error:
            if attempt.number:
                await to_the_end(closing.after_error(error))
            if attempt.parked is not None:
                await to_the_end(self._page.parked(attempt.parked))
                raise attempt.parked from None
            raise
        await to_the_end(closing.complete(RunStatus.SUCCEEDED, summary))
        return RunResult(request.run_id, attempt.number, summary)

    async def _initialise_and_execute(self, attempt: Attempt) -> Any:
        """Phases 2 and 3, and the release of everything that was taken for them."""
        course = attempt.course = Course(self._link(attempt), Trail())
        bench = _bench(attempt, course)
        async with self._initialised(attempt, bench) as (checked, attached):
            performance = Performance(
                attempt,
                course,
                checked,
                bench,
                journal=self._journal,
                run_step=self._run_step,
                page=self._page,
                park_over_seconds=self._settings.park_over_seconds,
                park_asking_seconds=self._settings.park_asking_seconds,
                remind_seconds=self._settings.remind_seconds,
            )
            return await performance.carry_out(attached)

    @asynccontextmanager
    async def _initialised(
        self, attempt: Attempt, bench: Bench
    ) -> AsyncIterator[tuple[CheckedRequest, Attached]]:
        """Phase 2: what the run needs is its own, as it expects it, and it is running."""
        await attempt.prepare_state(self._journal, self._carried(attempt))
        limit = self._settings.lock_wait_seconds
        belongings = Belongings(
            attempt,
            bench,
            journal=self._journal,
            locks=self._locks,
            page=self._page,
            wait_seconds=math.inf if limit is None else limit,
        )
        async with belongings.held() as (checked, attached):
            attempt.progress.assets = dict(checked.assets)
            attempt.progress.status = RunStatus.RUNNING
            await self._start(attempt, checked, attached)
            yield checked, attached

    async def _start(self, attempt: Attempt, checked: CheckedRequest, attached: Attached) -> None:
        """Let the run be running, unless it has just been asked about.

        Raises:
            RunNeedsAnswer: it has: a host may find out what it does not know at any time.
        """
        taught = await self._taught(attempt, checked)
        past = attempt.past
        try:
            await self._journal.start(
                attempt.run_id,
                assets=json_object(checked.assets),
                start_snapshot=past.first.start_snapshot if past else _snapshot(attached, taught),
                attempt=attempt.number,
            )
        except ImpossibleTransition:
            await refuse_unanswered(self._journal, attempt.run_id)
            raise

    async def _taught(self, attempt: Attempt, checked: CheckedRequest) -> dict[str, JsonValue]:
        """Say what is taught of the run's devices; that it changed since the run began is told."""
        values = Calibrations(self._journal.database)
        taught = await values.stamp(attempt.workcell.name, checked.asset_names)
        if attempt.past is not None and taught != attempt.past.taught:
            details: JsonValue = {"began_with": {**attempt.past.taught}, "goes_on_with": {**taught}}
            what = "What its devices were taught is otherwise than when the run began."
            await self._journal.event(attempt.run_id, "calibration_changed", what, details)
        return taught

    def _link(self, attempt: Attempt) -> Link:
        """The way to the devices; a rehearsal on a real workcell makes its own."""
        workcell = attempt.workcell
        if self._link_for is not None and workcell.mode is WorkcellMode.SIMULATED:
            return self._link_for(workcell, attempt.workcell_version)
        return local_link(
            workcell,
            simulate=attempt.simulated,
            journal=self._journal,
            live=LiveStatus(self._aredis, workcell.name),
        )

    def _carried(self, attempt: Attempt) -> PraxisState | None:
        """The state that a run which begins carries on from."""
        other = attempt.request.carry_from
        if attempt.past is not None or other is None:
            return None
        return PraxisState.open(other, self._settings)


def _bench(attempt: Attempt, course: Course) -> Bench:
    """What the attempt works on."""
    return Bench(
        attempt.workcell,
        run_id=attempt.run_id,
        attempt=attempt.number,
        simulate=attempt.simulated,
        step=step_position,
        link=course.link,
        execute=course.execute,
        water=attempt.water,
    )


def _snapshot(attached: Attached, taught: dict[str, JsonValue]) -> JsonValue:
    """What a run starts from: what is where; what its devices are like, and were taught."""
    attributes: dict[str, JsonValue] = {
        name: dict(values) for name, values in attached.attributes.items()
    }
    return {"assets": attached.assets, "attributes": attributes, "calibration": taught}
