"""Looks after the devices of a host while nobody uses them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import JsonValue

from praxis_core.errors import PraxisError
from praxis_core.host.spool import Importer
from praxis_core.journal.record import Journal
from praxis_core.simulator.lab_link import LabLink
from praxis_core.workcell.live_status import DeviceState
from praxis_core.workcell.runtime import WorkcellRuntime

_log = logging.getLogger(__name__)

_LEFT_ALONE = (DeviceState.BUSY, DeviceState.CONNECTING, DeviceState.QUARANTINED)

DEVICE_LOST = "device_lost"
DEVICE_BACK = "device_back"


class Monitor:
    """Connects devices again that come back, and writes down what could not be before.

    Args:
        runtime: The devices.
        line: The lines to them; None: they are in this process.
        journal: Whose audit log tells of changes.
        spool: Brings in what is to be in the audit log, too.
        seconds: Between two looks.
    """

    def __init__(
        self,
        runtime: WorkcellRuntime,
        line: LabLink | None,
        journal: Journal,
        spool: Importer,
        *,
        seconds: float,
    ) -> None:
        self._runtime = runtime
        self._line = line
        self._journal = journal
        self._spool = spool
        self._seconds = seconds
        self._away = {name for name, one in runtime.status().items() if _is_away(one.state)}

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Look after the devices until the end of the block."""
        task = asyncio.create_task(self._watch(), name="monitor")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            for name, status in self._runtime.status().items():
                if self._runtime.is_stopped:
                    break  # who has hands in there wants nothing to be set up
                if status.state not in _LEFT_ALONE:
                    await self._look(name)
            await self._bring_in()
            await self._see_to_parked()

    async def _see_to_parked(self) -> None:
        """Hear of runs that were parked or given up while they had no process."""
        try:
            await self._runtime.see_to_parked()
        except PraxisError as error:
            _log.warning("parked runs are as they were known: %s", error)

    async def _bring_in(self) -> None:
        """Bring into the audit log what could not be written there at its time."""
        try:
            await self._spool.bring_in()
        except PraxisError as error:
            _log.warning("what is on disk is not in the audit log yet: %s", error)

    async def _look(self, device: str) -> None:
        try:
            await self._runtime.connect([device])
            if self._line is not None and not self._line.connected(device):
                await self._line.reconnect(device)
        except PraxisError as error:
            await self._note(device, str(error))
        else:
            await self._note(device, None)

    async def _note(self, device: str, fault: str | None) -> None:
        """Write down that a device went away or came back; once for each time."""
        if (fault is not None) == (device in self._away):
            return
        kind = DEVICE_BACK if fault is None else DEVICE_LOST
        message = f"{device} answers again" if fault is None else f"{device} does not answer"
        details: JsonValue = {
            "workcell": self._runtime.definition.name,
            "device": device,
            "fault": fault,
        }
        try:
            await self._journal.event(None, kind, message, details)
        except PraxisError as error:
            _log.warning("%s: %s (not in the audit log: %s)", message, fault, error)
            return  # it is noted with the next look
        (self._away.discard if fault is None else self._away.add)(device)


def _is_away(state: DeviceState) -> bool:
    return state in (DeviceState.DISCONNECTED, DeviceState.ERROR)
