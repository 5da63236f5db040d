"""What people do about one device, while the others go on."""

from __future__ import annotations

from dataclasses import dataclass

from praxis_core.errors import DeviceAtWork, DevicesNotConnected, DeviceStillHangs
from praxis_core.journal.control import Said
from praxis_core.workcell.attending import AttendedRun
from praxis_core.workcell.connections import Connections
from praxis_core.workcell.device import Device
from praxis_core.workcell.exactly_once import ExactlyOnce
from praxis_core.workcell.live_status import DeviceState
from praxis_core.workcell.remembered import Handover
from praxis_core.workcell.status_board import StatusBoard
from praxis_core.workcell.workplace import Workplace


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Puts devices out of use and takes them into use again, reaches them anew, sets them up."""

    place: Workplace
    connections: Connections
    exactly_once: ExactlyOnce
    board: StatusBoard
    """Shows what the devices do."""
    handover: Handover
    """Lets the next host know."""

    def quarantine(self, name: str, said: Said) -> bool:
        """Put a device out of use: nothing more is sent to it, also nothing that makes it safe.

        Returns:
            Whether it was in use.
        """
        device = self.place.devices.named(name)
        if device.quarantine is not None:
            return False
        device.quarantine = f"it was put out of use {said}"
        self.handover.changed()
        self.board.show(name, DeviceState.QUARANTINED, error=device.quarantine)
        return True

    def release(self, name: str) -> bool:
        """Take a device into use again that somebody has looked at; see ``WorkcellRuntime``."""
        device = self.place.devices.named(name)
        if device.quarantine is None:
            return False
        hanging = self.exactly_once.hanging(name)
        if hanging is not None:
            workcell = self.place.definition.name
            raise DeviceStillHangs(device=name, method=hanging.method, workcell=workcell)
        device.quarantine = None
        self.handover.changed()
        # One that an earlier host could not use is connected with the next look at it.
        state = DeviceState.IDLE if device.connected else DeviceState.DISCONNECTED
        self.board.show(name, state)
        return True

    async def reconnect(self, name: str) -> None:
        """Open the line to a device anew; one that is connected is not set up."""
        device = self.place.devices.named(name)
        self._refuse_at_work(device, "reconnected")
        if not device.connected:
            await self._connect(device)
            return
        async with device.alone():
            await self.place.reach.reconnect(name)
        if device.quarantine is None:
            self.board.show(name, DeviceState.IDLE)

    async def reset(self, name: str) -> None:
        """Set a device up anew; what that destroys is asked of the runs that had it."""
        device = self.place.devices.named(name)
        self._refuse_at_work(device, "reset")
        self._refuse_out_of_use(device)
        self._refuse_while_wanted(device)
        self.place.runs.refuse_while_stopped()
        self.place.reach.adopt(name, adopting=False)
        try:
            await self.connections.disconnect([device])
            await self._connect(device)
        finally:
            self.place.reach.adopt(name, adopting=True)

    async def _connect(self, device: Device) -> None:
        if device.quarantine is not None:
            self._refuse_out_of_use(device)
        await self.connections.connect([device])
        if not device.connected:  # another attempt to connect it has failed
            raise DevicesNotConnected(workcell=self.place.definition.name, count=1, problems=[])

    def _refuse_at_work(self, device: Device, what: str) -> None:
        """Leave a device alone that is doing something.

        Raises:
            DeviceAtWork: it is.
        """
        hanging = self.exactly_once.hanging(device.name)
        under_way = [
            one.command.name
            for run in self.place.runs
            for one in self.place.in_flight.of(run.run_id, [device.name])
            if one.begun
        ]
        if hanging is not None:
            under_way.append(f"{hanging.name}, which does not end")
        if under_way or device.lock.locked():
            why = f"{', '.join(under_way) or 'a call'} is under way, and no call is ever cancelled"
            self._refuse(device, what, why, "Wait for its end, or pause the run and then do it.")

    def _refuse_out_of_use(self, device: Device) -> None:
        if device.quarantine is not None:
            mend = f"praxis device release {self.place.definition.name} {device.name}"
            why = f"it is out of use, because {device.quarantine}"
            self._refuse(device, "set up", why, f"Look at it, and then: {mend}")

    def _refuse_while_wanted(self, device: Device) -> None:
        """Take nothing from under a run that is at work.

        Raises:
            DeviceAtWork: one has it.
        """
        for run in self.place.runs:
            if device.name in run.devices and _is_there(run):
                why = f"run {run.run_id} has it, and relies on what it carries and is set to"
                mend = "Let that run end, or cancel it."
                self._refuse(device, "reset", why, mend)

    def _refuse(self, device: Device, what: str, why: str, mend: str) -> None:
        workcell = self.place.definition.name
        raise DeviceAtWork(device=device.name, workcell=workcell, what=what, why=why, mend=mend)


def _is_there(run: AttendedRun) -> bool:
    """Whether the attempt may send something yet."""
    return not run.lost and run.stopped is None
