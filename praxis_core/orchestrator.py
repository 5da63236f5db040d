"""The orchestrator: one run from open to close, in the six phases of a protocol's life.

1. *Load*: the workcell definition, the protocol definition, the run's PraxisState.
2. *Initialise*: parameters and assets are checked together, assets are locked, devices connected
   and their states confirmed. Whatever fails up to here refuses the run: nothing has moved.
3. *Execute*: the protocol function runs; each step is written down as it begins and ends.
4. *Data*: measurements are in the database as they come; a CSV of them is written beside it.
5. *Errors*: recorded in the database and flagged in PraxisState under ``error``.
6. *Complete*: status, summary and PraxisState are archived; devices disconnected, locks released.

It knows nothing of Prefect: how a step is carried out is passed in as ``run_step``.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pydantic import JsonValue

from praxis_core.errors import PraxisError, ServiceError, StateError
from praxis_core.execution.active_run import (
    ActiveRun,
    StepRunner,
    run_directly,
    step_position,
)
from praxis_core.execution.data_file import write_measurements
from praxis_core.execution.plain_data import describe_error, json_object, summary_of
from praxis_core.execution.protocol_state import ProtocolState
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest
from praxis_core.locks import AssetLockManager
from praxis_core.planning.checks import CheckedRequest, check_request
from praxis_core.protocol.definition import ProtocolDefinition, define
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.protocol.running import current_run
from praxis_core.redis_connection import connect, connect_async
from praxis_core.settings import PraxisSettings
from praxis_core.state import PraxisState
from praxis_core.to_the_end import to_the_end
from praxis_core.workcell.bench import Bench, local_link
from praxis_core.workcell.definition import WorkcellDefinition, WorkcellMode
from praxis_core.workcell.live_status import LiveStatus

_log = logging.getLogger(__name__)

ERROR_FLAG = "error"
"""Key of PraxisState under which other programs see that, and why, the attempt failed."""

LOCK_WAIT_SECONDS = 3600.0
"""How long a run waits for assets that another run holds before it is refused."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """Who wants what to run where."""

    run_id: UUID
    run_name: str
    function: Any
    """The protocol: an async function marked with ``@protocol``."""
    workcell: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    assets: Mapping[str, str | list[str] | None] = field(default_factory=dict)
    simulate: bool = False
    carry_from: UUID | None = None
    asked_by: str = "unverified"


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run that succeeded leaves."""

    run_id: UUID
    attempt: int
    summary: JsonValue
    """What the protocol returned, as the database keeps it."""


@dataclass(frozen=True, slots=True)
class _OpenedRun:
    """What belongs together while one run is under way."""

    request: RunRequest
    definition: ProtocolDefinition
    workcell: WorkcellDefinition
    attempt: AttemptRequest
    progress: ProtocolState
    """Its attempt is 0 until that exists."""
    state: PraxisState


class Orchestrator:
    """Runs protocols; one instance serves any number of runs, one after the other or together."""

    def __init__(
        self,
        *,
        journal: Journal,
        settings: PraxisSettings,
        run_step: StepRunner = run_directly,
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._run_step = run_step
        redis_url = settings.addresses().redis_url
        self._redis = connect(redis_url)
        self._aredis = connect_async(redis_url)
        self._locks = AssetLockManager(self._aredis, lease_seconds=settings.lease_seconds)

    async def close(self) -> None:
        """Close the connections to Redis."""
        await self._aredis.aclose()
        self._redis.close()

    async def run(self, request: RunRequest) -> RunResult:
        """Carry out one run from open to close.

        Raises:
            PraxisError: the run was refused; nothing has moved.
            Exception: whatever the protocol raised, after it was recorded.
        """
        opened = await self._load(request)
        try:
            await to_the_end(self._begin(opened))
            value = await self._initialise_and_execute(opened)
            summary = summary_of(value)
        # The flow process's home of the broad handler: what ended the run is recorded, and goes on.
        except BaseException as error:
            if opened.progress.attempt:
                await to_the_end(self._record_error(opened, error))
            raise
        await to_the_end(self._complete(opened, RunStatus.SUCCEEDED, summary))
        return RunResult(request.run_id, opened.progress.attempt, summary)

    async def _load(self, request: RunRequest) -> _OpenedRun:
        """Phase 1: what is to run, and on what."""
        definition = define(request.function)
        stored = await self._journal.workcell(request.workcell)
        workcell = WorkcellDefinition.model_validate(stored.definition)
        if request.carry_from is not None:
            await self._journal.run(request.carry_from)
        protocol = await self._journal.store_protocol(
            name=definition.name,
            version=definition.version,
            content_hash=definition.content_hash,
            source_hash=definition.source_hash,
            entrypoint=definition.entrypoint,
            definition=definition.model_dump(mode="json"),
        )
        attempt = AttemptRequest(
            run_id=request.run_id,
            run_name=request.run_name,
            protocol_id=protocol.id,
            workcell_id=stored.id,
            parameters=json_object(request.parameters),
            assets=json_object(request.assets),
            simulated=request.simulate or workcell.mode is WorkcellMode.SIMULATED,
            asked_by=request.asked_by,
            carried_from=request.carry_from,
        )
        progress = ProtocolState(
            run_id=request.run_id,
            protocol=definition.name,
            attempt=0,
            status=RunStatus.PREPARING,
            parameters=dict(attempt.parameters),
        )
        state = PraxisState(request.run_id, self._redis)
        return _OpenedRun(request, definition, workcell, attempt, progress, state)

    async def _begin(self, opened: _OpenedRun) -> None:
        """Make the attempt exist: from here on its end is recorded, whatever happens."""
        opened.progress.attempt = await self._journal.begin_attempt(opened.attempt)
        opened.state.begin()

    async def _initialise_and_execute(self, opened: _OpenedRun) -> Any:
        """Phases 2 and 3, and the release of everything that was taken for them."""
        request, progress = opened.request, opened.progress
        bench = Bench(
            opened.workcell,
            run_id=request.run_id,
            attempt=progress.attempt,
            simulate=request.simulate,
            step=step_position,
            link=local_link(
                opened.workcell,
                simulate=request.simulate,
                journal=self._journal,
                live=LiveStatus(self._aredis, opened.workcell.name),
            ),
        )
        checked = check_request(
            opened.definition,
            request.function,
            workcell=opened.workcell.name,
            parameters=request.parameters,
            assets=request.assets,
            candidates=bench.candidates,
        )
        await self._prepare_state(opened)
        async with self._initialised(opened, checked, bench):
            progress.assets = dict(checked.assets)
            progress.status = RunStatus.RUNNING
            await self._journal.start(
                request.run_id,
                assets=json_object(checked.assets),
                start_snapshot=bench.snapshot(),
                attempt=progress.attempt,
            )
            return await self._execute(opened, checked, bench)

    async def _prepare_state(self, opened: _OpenedRun) -> None:
        """Carry over what was asked for, once per run; an error of the past is no error now."""
        request, number = opened.request, opened.progress.attempt
        attempts = await self._journal.attempts(request.run_id)
        is_first = all(one.started_at is None for one in attempts if one.number < number)
        if request.carry_from is not None and is_first:
            opened.state.carry_from(PraxisState.open(request.carry_from, self._settings))
        opened.state.pop(ERROR_FLAG, None)

    @asynccontextmanager
    async def _initialised(
        self, opened: _OpenedRun, checked: CheckedRequest, bench: Bench
    ) -> AsyncIterator[None]:
        """Phase 2: assets locked, devices connected and as expected; undone on leaving."""
        async with AsyncExitStack() as locked:
            if checked.asset_names:
                names = [f"{opened.workcell.name}/{name}" for name in checked.asset_names]
                holder = f"run {opened.request.run_id}"
                number = opened.progress.attempt
                await locked.enter_async_context(
                    self._locks.hold(names, holder, LOCK_WAIT_SECONDS, attempt=number)
                )
            try:
                await bench.connect(checked.asset_names)
                yield
            except BaseException as error:
                await self._disconnect_after(bench, error)
                raise
            await to_the_end(bench.disconnect())

    @staticmethod
    async def _disconnect_after(bench: Bench, error: BaseException) -> None:
        """Let go of the devices without hiding what ended the run."""
        try:
            await to_the_end(bench.disconnect())
        except PraxisError as another:
            error.add_note(str(another))

    async def _execute(self, opened: _OpenedRun, checked: CheckedRequest, bench: Bench) -> Any:
        """Phase 3: the protocol function itself."""
        arguments: dict[str, Any] = {**checked.parameters, **bench.bound(checked.assets)}
        if opened.definition.state_parameter is not None:
            state = opened.state.resolving(bench.replica.asset)
            arguments[opened.definition.state_parameter] = state
        active = ActiveRun(
            progress=opened.progress,
            journal=self._journal,
            replica=bench.replica,
            clock=bench.clock,
            run_step=self._run_step,
        )
        token = current_run.set(active)
        try:
            async with bench.protocol():
                return await opened.request.function(**arguments)
        finally:
            current_run.reset(token)

    async def _record_error(self, opened: _OpenedRun, error: BaseException) -> None:
        """Phase 5: the error is in the database and flagged in PraxisState before it goes on."""
        opened.progress.error = describe_error(error)
        try:
            await self._complete(opened, self._status_after(opened.progress, error), None)
        except PraxisError as unrecorded:
            # It must not hide what ended the run. The next attempt closes this one.
            error.add_note(f"The end of the run could not be recorded: {unrecorded}")

    @staticmethod
    def _status_after(progress: ProtocolState, error: BaseException) -> RunStatus:
        if not isinstance(error, Exception):
            return RunStatus.CANCELLED
        if progress.status is RunStatus.PREPARING and isinstance(error, PraxisError):
            return RunStatus.REFUSED
        return RunStatus.FAILED

    async def _complete(self, opened: _OpenedRun, status: RunStatus, summary: JsonValue) -> None:
        """Phases 4 and 6: the data file, the final status, the archive."""
        await self._write_data_file(opened.request.run_id, opened.progress.attempt)
        final_state = await self._archived(opened)
        opened.progress.status = status
        await self._journal.finish(
            opened.request.run_id,
            status,
            summary=summary,
            final_state=final_state,
            error=opened.progress.error,
            attempt=opened.progress.attempt,
        )
        if final_state is not None:
            self._let_expire(opened.state)

    async def _archived(self, opened: _OpenedRun) -> dict[str, JsonValue] | None:
        """Give the last content of the state; None: out of reach, so it stays where it is."""
        try:
            if opened.progress.error is not None:
                opened.state[ERROR_FLAG] = opened.progress.error
            return opened.state.archive()
        except (ServiceError, StateError) as lost:
            await self._journal.event(opened.request.run_id, "state_not_archived", str(lost))
            return None

    def _let_expire(self, state: PraxisState) -> None:
        try:
            state.end(self._settings.state_retention_days)
        except (ServiceError, StateError) as error:
            # The run has ended and its state is archived: no reason to fail it.
            _log.warning("the archived state of run %s does not expire: %s", state.run_id, error)

    async def _write_data_file(self, run_id: UUID, attempt: int) -> None:
        measurements = [
            one for one in await self._journal.measurements(run_id) if one.attempt == attempt
        ]
        if not measurements:
            return
        # A folder for each attempt: the file of an earlier one stays what its hash says.
        folder = self._settings.home_path / "runs" / str(run_id) / f"attempt-{attempt}"
        try:
            file = write_measurements(folder, measurements)
        except OSError as error:
            # The measurements are in the database: no reason to fail the run.
            await self._journal.event(run_id, "data_file_not_written", str(error))
            return
        await self._journal.data_file(run_id, str(file.path), file.sha256, file.media_type)
