"""How the devices of a workcell are reached: in this process, or over lines that can break."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pylabrobot.machines.backend import MachineBackend

from praxis_core.protocol.command import DeckChange
from praxis_core.workcell.definition import DeviceDefinition
from praxis_core.workcell.model import simulated_backend


class Reach(Protocol):
    """The lines to the devices of one workcell."""

    can_sense: bool
    """Whether the devices are things of their own, which outlive this process and answer from what
    is there; others only know what they were told."""

    def backend(self, name: str, definition: DeviceDefinition) -> MachineBackend:
        """Make the backend of a device; nothing is connected yet."""

    async def connect(self, device: str, epoch: int | None = None) -> None:
        """Open the line to a device, before it is set up.

        Raises:
            DeviceLinkLost: nobody answers, or a host of a newer epoch has the device.
        """

    def adopting(self, device: str) -> bool:
        """Whether the set-up of a connected device will leave it as it is."""

    def adopt(self, device: str, *, adopting: bool) -> None:
        """Say whether a device that is set up is taken up as it is, or set up anew."""

    async def reconnect(self, device: str) -> None:
        """Open a broken line again, without any set-up.

        Raises:
            DeviceLinkLost: nobody answers.
        """

    def connected(self, device: str) -> bool:
        """Whether the line to a device is open, as far as can be told."""

    async def let_go(self) -> None:
        """Close the lines to all devices, which stay as they are, and open none any more."""

    def take_up(self) -> None:
        """Let lines be opened again."""

    def written(self, device: str) -> int | None:
        """Count the messages that were sent to a device so far; None: nobody counts them."""

    async def stage(self, names: Sequence[str] | None) -> None:
        """Put devices and labware back to what the definition says; None: all of them.

        Only pretend devices can do that.

        Raises:
            LabRefused: something else stands where a piece of labware belongs.
        """

    async def hands(self, changes: Sequence[DeckChange]) -> None:
        """Let labware be where a run's deck has it, when no command of a device says so.

        Raises:
            LabRefused: something is unknown, in a gripper, or another thing stands there.
        """


class InProcess:
    """Simulated devices in this process: nothing can break, and nothing outlives the process."""

    can_sense = False

    def backend(self, name: str, definition: DeviceDefinition) -> MachineBackend:
        """Make the simulated backend of a device."""
        return simulated_backend(name, definition)

    async def connect(self, device: str, epoch: int | None = None) -> None:
        """Nothing to open."""

    def adopting(self, device: str) -> bool:  # noqa: ARG002  # as the protocol has it
        """A new simulated device has nothing to adopt."""
        return False

    def adopt(self, device: str, *, adopting: bool) -> None:
        """A simulated device in this process is always set up anew."""

    async def reconnect(self, device: str) -> None:
        """Nothing to open again."""

    def connected(self, device: str) -> bool:  # noqa: ARG002  # as the protocol has it
        """There is nothing between that could break."""
        return True

    async def let_go(self) -> None:
        """Nothing to close."""

    def take_up(self) -> None:
        """Nothing to open again."""

    def written(self, device: str) -> int | None:  # noqa: ARG002  # as the protocol has it
        """Nobody counts."""
        return None

    async def stage(self, names: Sequence[str] | None) -> None:
        """What these devices know is what the runtime tells them."""

    async def hands(self, changes: Sequence[DeckChange]) -> None:
        """These devices see no deck."""
