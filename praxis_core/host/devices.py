"""The devices of a host: the runtime of its workcell, connected, and knowing what is true."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import UUID

from praxis_core.errors import DeviceError
from praxis_core.host.files import (
    HostFiles,
    SafeCall,
    SafeFile,
    read_kept,
    read_safe_calls,
    write_kept,
)
from praxis_core.host.spool import Spool
from praxis_core.journal.control import Control, Standing
from praxis_core.journal.record import Journal
from praxis_core.journal.records import Claim, StoredWorkcell
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.settings import PraxisSettings
from praxis_core.simulator.lab_link import LabLink
from praxis_core.workcell.clock import SimulatedClock
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.io_log import io_logged
from praxis_core.workcell.live_status import LiveStatus
from praxis_core.workcell.meter import Meter
from praxis_core.workcell.runtime import WorkcellRuntime
from praxis_core.workcell.safe_state import SafeAction
from praxis_core.workcell.time_limits import TimeLimit, time_limit

_log = logging.getLogger(__name__)

LAB = "lab"
"""Simulated devices are those of the workcell's pretend lab, a process of its own."""
INSIDE = "inside"
"""Simulated devices live in the host and die with it: for measuring the host alone."""
WAYS = (LAB, INSIDE)

CONNECT_SECONDS = 20.0
"""How long a host that starts waits for its devices; those that are slower come when they are
ready."""

_MAY_COME_BACK = (RunStatus.PREPARING, RunStatus.RUNNING, RunStatus.INTERRUPTED)

Opening = Callable[
    [PraxisSettings, StoredWorkcell, Journal, LiveStatus, int, Meter],
    AbstractAsyncContextManager[tuple[WorkcellRuntime, LabLink | None]],
]
"""``open_devices`` with its choices made."""


@asynccontextmanager
async def open_devices(  # noqa: PLR0913, PLR0917  # what a runtime stands between
    settings: PraxisSettings,
    stored: StoredWorkcell,
    journal: Journal,
    live: LiveStatus,
    epoch: int,
    meter: Meter | None = None,
    *,
    way: str = LAB,
    time_limit: TimeLimit = time_limit,
) -> AsyncIterator[tuple[WorkcellRuntime, LabLink | None]]:
    """Take up the devices of a workcell as they are, and let go of them without changing them.

    A device that does not answer keeps nobody from the others; the monitor goes on asking.

    Returns:
        The runtime, and the lines to its devices; None: they are in this process.
    """
    definition = WorkcellDefinition.model_validate(stored.definition)
    files = HostFiles.of(settings, definition.name)
    line = None if way == INSIDE else LabLink(settings.lab_socket(definition.name), epoch)
    runtime = WorkcellRuntime(
        definition,
        simulate=True,
        journal=journal,
        live=live,
        clock=SimulatedClock() if line is None else line.clock,
        reach=line,
        epoch=epoch,
        time_limit=time_limit,
        meter=meter,
    )
    control = Control(journal.database)
    use, standing = await control.use(definition.name), await control.standing(definition.name)
    if use.standing is Standing.STOPPED:
        runtime.stop(use.said)
    if standing.standing.given_away:
        await runtime.lending.find(standing)
    try:
        with io_logged(settings.home_path / "logs" / f"workcell-{definition.name}-io"):
            if line is not None:  # else the devices have gone with the process that had them
                runtime.remember(read_kept(files.kept))
            runtime.handed_on = lambda: write_kept(files.kept, runtime.remembered())
            if not runtime.lending.is_released:
                devices = runtime.status()
                connecting = {asyncio.create_task(_connect(runtime, one)) for one in devices}
                await asyncio.wait(connecting, timeout=CONNECT_SECONDS)
            awaited = await may_come_back(journal, stored.name)
            await runtime.recover([claim.run_id for claim in awaited])
            if runtime.is_given_away:
                runtime.safekeeping.forget_all()  # what runs had set was switched off
            elif line is not None:
                runtime.safekeeping.inherit(_action(call) for call in read_safe_calls(files.safe))
            _tell_the_watchdog(runtime, files, epoch)
            yield runtime, line
    finally:
        await live.stop()
        if line is not None:
            await line.close()


async def may_come_back(journal: Journal, workcell: str) -> list[Claim]:
    """List the last claims of the runs whose processes may live on while the host was away."""
    latest = {claim.run_id: claim for claim in await journal.claims(workcell)}
    found = []
    for claim in latest.values():
        run = await journal.run(claim.run_id)
        if run.attempt == claim.attempt and run.status in _MAY_COME_BACK:
            found.append(claim)
    return found


def _action(call: SafeCall) -> SafeAction:
    return SafeAction(
        device=call.device,
        method=call.method,
        why=call.reason,
        after_seconds=call.after_seconds,
        args=call.args,
        kwargs=dict(call.kwargs),
        # Until when a parked run wants it left, the journal says.
        due_at=None if call.parked else call.due_at,
    )


def _tell_the_watchdog(runtime: WorkcellRuntime, files: HostFiles, epoch: int) -> None:
    """Keep written what must be made safe if this process dies, from before it is switched on."""
    file, spool = SafeFile(files.safe), Spool(files.spool)

    def say() -> None:
        file.say([SafeCall.of(each, epoch) for each in runtime.safe_actions()])

    def keep(run_id: UUID | None, kind: str, message: str) -> None:
        run = None if run_id is None else str(run_id)
        spool.write(kind, message, workcell=runtime.definition.name, run=run)

    runtime.safekeeping.changed, runtime.safekeeping.unwritten = say, keep
    say()


async def _connect(runtime: WorkcellRuntime, name: str) -> None:
    try:
        await runtime.connect([name])
    except DeviceError as error:
        _log.warning("%s", error)
