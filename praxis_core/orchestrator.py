"""The orchestrator: one run from open to close, in the six phases of a protocol's life.

1. *Load*: the workcell definition, the protocol definition, the run's PraxisState; of a run that
   was under way, what its earlier attempts left.
2. *Initialise*: parameters and assets are checked together, assets are locked, devices claimed,
   connected and their states confirmed. Whatever fails up to here refuses the run: nothing has
   moved.
3. *Execute*: the protocol function runs; each step is written down as it begins and ends. A run
   that was under way is given what is known, and goes on after it.
4. *Data*: measurements are in the database as they come; a CSV of them is written beside it.
5. *Errors*: recorded in the database and flagged in PraxisState under ``error``; what has to be
   done anew is set aside, and what may have happened is asked about.
6. *Complete*: status, summary and PraxisState are archived; devices disconnected, locks released.

It knows nothing of Prefect: how a step is carried out is passed in as ``run_step``.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from pydantic import JsonValue

from praxis_core.errors import ImpossibleTransition, PraxisError, ServiceError, StateError
from praxis_core.execution.active_run import (
    ActiveRun,
    StepRunner,
    run_directly,
    step_position,
)
from praxis_core.execution.consent import current_code_allowed
from praxis_core.execution.course import Course
from praxis_core.execution.data_file import write_measurements
from praxis_core.execution.ending import set_tail_aside
from praxis_core.execution.learned import Learning
from praxis_core.execution.past import Known, Past, known_of, past_of, state_to_go_back_to
from praxis_core.execution.plain_data import describe_error, json_object, summary_of
from praxis_core.execution.protocol_state import ProtocolState
from praxis_core.execution.readout import of_attempt
from praxis_core.execution.replay import GoingLive
from praxis_core.execution.trail import Trail
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest
from praxis_core.labware.encoder import message_of
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
from praxis_core.workcell.link import Attached, Link
from praxis_core.workcell.live_status import LiveStatus

_log = logging.getLogger(__name__)

ERROR_FLAG = "error"
"""Key of PraxisState under which other programs see that, and why, the attempt failed."""

LOCK_WAIT_SECONDS = 3600.0
"""How long a run waits for assets that another run holds before it is refused."""

LinkFor = Callable[[WorkcellDefinition, int], Link]
"""Makes the link to the devices of a workcell in a version of its definition."""


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
    with_current_code: bool = False
    """Whether a run that was under way may go on although its protocol's source has changed."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run that succeeded leaves."""

    run_id: UUID
    attempt: int
    summary: JsonValue
    """What the protocol returned, as the database keeps it."""


@dataclass(slots=True)
class _OpenedRun:
    """What belongs together while one run is under way."""

    request: RunRequest
    definition: ProtocolDefinition
    workcell: WorkcellDefinition
    workcell_version: int
    attempt: AttemptRequest
    progress: ProtocolState
    """Its attempt is 0 until that exists."""
    state: PraxisState
    past: Past | None
    """What earlier attempts left; None: none has started."""
    state_begun: bool = False
    """Until then it may be another attempt's, or lost: nothing of it is touched."""
    course: Course | None = None
    learning: Learning | None = None

    @property
    def run_id(self) -> UUID:
        return self.request.run_id

    @property
    def number(self) -> int:
        return self.progress.attempt


class Orchestrator:
    """Runs protocols; one instance serves any number of runs, one after the other or together.

    Args:
        journal: The run history.
        settings: Where state and locks are.
        run_step: How a step is carried out.
        link_for: How devices are reached; None: they are made in this process for each attempt.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        settings: PraxisSettings,
        run_step: StepRunner = run_directly,
        link_for: LinkFor | None = None,
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._run_step = run_step
        self._link_for = link_for
        redis_url = settings.addresses().redis_url
        self._redis = connect(redis_url)
        self._aredis = connect_async(redis_url)
        self._locks = AssetLockManager(self._aredis, lease_seconds=settings.lease_seconds)

    async def close(self) -> None:
        """Close the connections to Redis."""
        await self._aredis.aclose()
        self._redis.close()

    async def run(self, request: RunRequest) -> RunResult:
        """Carry out one run from open to close, or go on with one that was under way.

        Raises:
            RunNeedsAnswer, RunNotResumable, SourceChanged: the run cannot go on as it is.
            CommandInDoubt: nobody knows what a command did; the run waits for an answer.
            HostLost, HostNotRunning: its host cannot be reached; the run is interrupted.
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
            if opened.number:
                await to_the_end(self._record_error(opened, error))
            raise
        await to_the_end(self._complete(opened, RunStatus.SUCCEEDED, summary))
        return RunResult(request.run_id, opened.number, summary)

    async def _load(self, request: RunRequest) -> _OpenedRun:
        """Phase 1: what is to run, and on what."""
        definition = define(request.function)
        past = await past_of(self._journal, request.run_id)
        stored = past.workcell if past else await self._journal.workcell(request.workcell)
        workcell = WorkcellDefinition.model_validate(stored.definition)
        if past is None and request.carry_from is not None:
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
        if past is not None:
            allowed = request.with_current_code or await current_code_allowed(
                self._journal, request.run_id
            )
            if not allowed:
                past.refuse_other_source(protocol)
            attempt = past.next_attempt(attempt, other_code=allowed)
        progress = ProtocolState(
            run_id=request.run_id,
            protocol=definition.name,
            attempt=0,
            status=RunStatus.PREPARING,
            parameters=dict(attempt.parameters),
        )
        state = PraxisState(request.run_id, self._redis)
        return _OpenedRun(
            request, definition, workcell, stored.version, attempt, progress, state, past
        )

    async def _begin(self, opened: _OpenedRun) -> None:
        """Make the attempt exist: from here on its end is recorded, whatever happens."""
        opened.progress.attempt = await self._journal.begin_attempt(opened.attempt)
        if opened.past is None:
            opened.state.begin()
        else:
            opened.state.begin(resuming=True)
        opened.state_begun = True

    async def _initialise_and_execute(self, opened: _OpenedRun) -> Any:
        """Phases 2 and 3, and the release of everything that was taken for them."""
        link = self._link(opened)
        course = opened.course = Course(link, Trail())
        bench = Bench(
            opened.workcell,
            run_id=opened.run_id,
            attempt=opened.number,
            simulate=opened.attempt.simulated,
            step=step_position,
            link=link,
            execute=course.execute,
        )
        checked = check_request(
            opened.definition,
            opened.request.function,
            workcell=opened.workcell.name,
            parameters=opened.attempt.parameters if opened.past else opened.request.parameters,
            assets=opened.attempt.assets if opened.past else opened.request.assets,
            candidates=bench.candidates,
        )
        await self._prepare_state(opened)
        async with self._initialised(opened, checked, bench) as attached:
            progress = opened.progress
            progress.assets = dict(checked.assets)
            progress.status = RunStatus.RUNNING
            await self._journal.start(
                opened.run_id,
                assets=json_object(checked.assets),
                start_snapshot=opened.past.first.start_snapshot
                if opened.past
                else _snapshot(attached),
                attempt=opened.number,
            )
            return await self._execute(opened, checked, bench, attached.last_deck_change)

    def _link(self, opened: _OpenedRun) -> Link:
        """The way to the devices; a rehearsal on a real workcell makes its own."""
        if self._link_for is not None and opened.workcell.mode is WorkcellMode.SIMULATED:
            return self._link_for(opened.workcell, opened.workcell_version)
        return local_link(
            opened.workcell,
            simulate=opened.attempt.simulated,
            journal=self._journal,
            live=LiveStatus(self._aredis, opened.workcell.name),
        )

    async def _prepare_state(self, opened: _OpenedRun) -> None:
        """Bring the state to where the run goes on; an error of the past is no error now."""
        if opened.past is not None:
            mark = await state_to_go_back_to(self._journal, opened.past)
            if mark is not None:
                opened.state.take_back(mark)
        elif opened.request.carry_from is not None:
            other = PraxisState.open(opened.request.carry_from, self._settings)
            opened.state.carry_from(other)
        opened.state.pop(ERROR_FLAG, None)

    @asynccontextmanager
    async def _initialised(
        self, opened: _OpenedRun, checked: CheckedRequest, bench: Bench
    ) -> AsyncIterator[Attached]:
        """Phase 2: assets locked, devices connected and as expected; undone on leaving."""
        async with AsyncExitStack() as locked:
            if checked.asset_names:
                names = [f"{opened.workcell.name}/{name}" for name in checked.asset_names]
                holder = f"run {opened.run_id}"
                await locked.enter_async_context(
                    self._locks.hold(
                        names, holder, wait_seconds=LOCK_WAIT_SECONDS, attempt=opened.number
                    )
                )
            try:
                yield await self._take_up(opened, checked, bench)
            except BaseException as error:
                await self._disconnect_after(opened, bench, error)
                raise
            await to_the_end(self._let_go(opened, bench, RunStatus.SUCCEEDED))

    async def _take_up(self, opened: _OpenedRun, checked: CheckedRequest, bench: Bench) -> Attached:
        """Claim the devices, and attach to them."""
        devices = sorted(set(checked.asset_names) & set(bench.replica.devices))
        token = None
        if devices:
            token = await self._journal.claim_devices(
                opened.workcell.name,
                devices,
                run_id=opened.run_id,
                attempt=opened.number,
                take_over=opened.attempt.simulated,
            )
        attributes = opened.past.attributes if opened.past else {}
        assert opened.course is not None  # noqa: S101  # for the type checker
        opened.course.begin(token, attributes)
        return await bench.connect(
            checked.asset_names, token=token, resuming=opened.past is not None
        )

    async def _let_go(self, opened: _OpenedRun, bench: Bench, ended: RunStatus) -> None:
        """Give back the devices; of a run that only stopped they stay its own."""
        try:
            await bench.disconnect(ended)
        finally:
            if ended.ended:
                await self._journal.release_claims(opened.run_id, opened.number)

    async def _disconnect_after(
        self, opened: _OpenedRun, bench: Bench, error: BaseException
    ) -> None:
        """Let go of the devices without hiding what ended the run."""
        try:
            await to_the_end(self._let_go(opened, bench, self._status_after(opened, error)))
        except PraxisError as another:
            error.add_note(str(another))

    async def _execute(
        self, opened: _OpenedRun, checked: CheckedRequest, bench: Bench, heard: int
    ) -> Any:
        """Phase 3: the protocol function itself."""
        course = opened.course
        assert course is not None  # noqa: S101  # for the type checker
        known = await known_of(self._journal, opened.run_id) if opened.past else Known()
        learning = opened.learning = Learning(
            opened.run_id,
            opened.number,
            journal=self._journal,
            known=known.learned,
            trail=course.trail,
            clock=bench.clock,
            until_live=course.until_live,
            stop=course.stop,
        )
        course.follow(
            known.asked_for,
            run_id=opened.run_id,
            heard=heard,
            before_live=learning.write,
            going_live=partial(self._go_live, opened, bench, known) if opened.past else None,
        )
        arguments: dict[str, Any] = {**checked.parameters, **bench.bound(checked.assets)}
        if opened.definition.state_parameter is not None:
            state = opened.state.resolving(bench.replica.asset).recorded(learning.state_identity)
            course.trail.state_mark = lambda: state.last_recorded
            arguments[opened.definition.state_parameter] = state
        active = ActiveRun(
            progress=opened.progress,
            journal=self._journal,
            replica=bench.replica,
            clock=bench.clock,
            run_step=self._run_step,
            learning=learning,
            trail=course.trail,
            done=known.steps,
        )
        token = current_run.set(active)
        try:
            value = await course.carry_out(partial(opened.request.function, **arguments))
        finally:
            current_run.reset(token)
        course.finish()
        await learning.write()
        return value

    async def _go_live(
        self, opened: _OpenedRun, bench: Bench, known: Known, going: GoingLive
    ) -> None:
        """Say where a resumed run goes on, and bring the devices to where it expects them."""

        async def said(task_run_id: UUID | None) -> None:
            details: dict[str, JsonValue] = {
                "attempt": opened.number,
                "replayed": going.replayed,
                "branch": going.first.branch,
                "ordinal": going.first.ordinal,
                "task_run_id": str(task_run_id) if task_run_id else None,
            }
            await self._journal.event(opened.run_id, "resumed", str(going), details)

        _log.info("%s", going)
        await self._run_step(str(going), said)
        backends = {name: type(device.backend) for name, device in bench.replica.devices.items()}
        restored = await bench.link.restore(known.expected_settings(backends))
        if restored:
            what = "The devices were set again as the run had left them."
            await self._journal.event(opened.run_id, "restored", what, restored)

    async def _record_error(self, opened: _OpenedRun, error: BaseException) -> None:
        """Phase 5: the error is in the database and flagged in PraxisState before it goes on."""
        opened.progress.error = describe_error(error)
        status = self._status_after(opened, error)
        try:
            if not status.ended:
                await self._stop(opened, status, error)
                return
            await self._set_tail_aside(opened, error)
            await self._complete(opened, status, None)
        except PraxisError as unrecorded:
            # It must not hide what ended the run. The next attempt closes this one.
            error.add_note(f"The end of the run could not be recorded: {unrecorded}")

    @staticmethod
    def _status_after(opened: _OpenedRun, error: BaseException) -> RunStatus:
        if opened.course is not None and opened.course.stopped is not None:
            return opened.course.status
        if not isinstance(error, Exception):
            return RunStatus.CANCELLED
        if opened.progress.status is RunStatus.PREPARING and isinstance(error, PraxisError):
            return RunStatus.REFUSED
        return RunStatus.FAILED

    async def _stop(self, opened: _OpenedRun, status: RunStatus, error: BaseException) -> None:
        """Leave the run as it is, with its state live, for a later attempt to go on with.

        That it is in doubt the question says, which is in the database already.
        """
        opened.progress.status = status
        if status is RunStatus.INTERRUPTED:
            await self._journal.event(opened.run_id, "host_lost", message_of(error))
            # The host may have been faster: it misses the run, or asks about its last command.
            with suppress(ImpossibleTransition):
                await self._journal.set_status(opened.run_id, status, attempt=opened.number)
        try:
            opened.state[ERROR_FLAG] = opened.progress.error
        except (ServiceError, StateError) as lost:
            _log.warning("run %s could not flag its error: %s", opened.run_id, lost)

    async def _set_tail_aside(self, opened: _OpenedRun, error: BaseException) -> None:
        course, learning = opened.course, opened.learning
        if course is None or learning is None or course.stopped is not None:
            return
        tail = course.trail.tail_of(error)
        if tail is not None:
            await set_tail_aside(self._journal, opened.run_id, opened.number, learning, tail, error)

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
        if not opened.state_begun:
            return None
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
        measurements = of_attempt(await self._journal.measurements(run_id), attempt)
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


def _snapshot(attached: Attached) -> JsonValue:
    """What a run starts from: what is where, and what the devices' backends are like."""
    attributes: dict[str, JsonValue] = {
        name: dict(values) for name, values in attached.attributes.items()
    }
    return {"assets": attached.assets, "attributes": attributes}
