"""What follows from a command, for all who keep account of what the devices do."""

from __future__ import annotations

from dataclasses import dataclass

from praxis_core.journal.command_writer import AssetValues
from praxis_core.protocol.command import Command, Outcome
from praxis_core.workcell.device import Device
from praxis_core.workcell.kinds import SET_ATTRIBUTES
from praxis_core.workcell.live_status import DeviceState
from praxis_core.workcell.remembered import Handover
from praxis_core.workcell.sites import in_the_way
from praxis_core.workcell.status_board import StatusBoard
from praxis_core.workcell.workplace import Workplace


@dataclass(frozen=True, slots=True)
class Consequences:
    """Lets everybody know what becomes of each command: the ``Audience`` of ``ExactlyOnce``."""

    place: Workplace
    board: StatusBoard
    """Shows what the devices do."""
    handover: Handover
    """Lets the next host know."""

    async def stands_against(self, command: Command) -> Exception | None:
        """Say what stands where a command is to bring labware; people move what no run has."""
        if command.new_parent is None:
            return None
        await self.place.books.look_round(patient=True)
        found = in_the_way(self.place.model, self.place.books.assets, command)
        # What PyLabRobot raises when its own deck shows it.
        return None if found is None else RuntimeError(str(found))

    def sending(self, command: Command) -> None:
        """Show that a command is about to be sent."""
        if command.method == SET_ATTRIBUTES:
            self.place.devices[command.device].about_to_write(command.kwargs)
            self.handover.changed()
        self.place.safekeeping.note(command)
        self.board.show(command.device, DeviceState.BUSY, doing=command.method)

    def ended(self, command: Command, outcome: Outcome) -> AssetValues | None:
        """Enter what a command did, as far as that is known."""
        self.place.safekeeping.note(command, outcome)
        changed = self.place.books.ended(command, outcome)
        self._show_end(command, outcome)
        return changed

    def _show_end(self, command: Command, outcome: Outcome) -> None:
        if self.place.devices[command.device].quarantine is None:
            failed = None if outcome.error is None else outcome.error.message
            state = DeviceState.IDLE if failed is None else DeviceState.ERROR
            self.board.show(command.device, state, error=failed)

    def doubted(self, command: Command, outcome: Outcome) -> None:
        """Know nothing of what a command touched that may have happened."""
        self.place.safekeeping.note(command, outcome)
        self.place.books.doubted(command)
        if self.place.devices[command.device].quarantine is None:
            said = None if outcome.error is None else outcome.error.message
            self.board.show(command.device, DeviceState.ERROR, error=said)

    def proved(self, command: Command, outcome: Outcome) -> AssetValues | None:
        """Enter that a command happened of which nobody knew that."""
        self.place.safekeeping.recall(command, outcome)
        return self.place.books.proved(command, outcome)

    def told(self, command: Command, outcome: Outcome) -> AssetValues | None:
        """Enter how a command ended, as its run has heard it from an earlier host."""
        return self.place.books.told(command, outcome, inside=self.place.inside)

    def disproved(self, command: Command) -> None:
        """Enter that a command did not happen of which nobody knew that."""
        self.place.books.settled(command, None)

    def unwritten(self) -> None:
        """Know that the catalogue was not told all."""
        self.place.books.unwritten()

    def quarantined(self, device: Device, command: Command) -> None:
        """Show that a device is out of use."""
        self.handover.changed()
        what = f"{command.method}: {device.quarantine}"
        self.board.show(device.name, DeviceState.QUARANTINED, error=what)
