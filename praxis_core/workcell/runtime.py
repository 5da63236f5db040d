"""The devices' side of the boundary: carries out commands, one at a time per device."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pylabrobot.resources import Container

from praxis_core.assets.manager import AssetManager, ContentsReader
from praxis_core.assets.state import AssetManagerState
from praxis_core.errors import (
    DeviceNotConnected,
    DevicesNotConnected,
    DeviceStateUnexpected,
    DeviceUnknown,
    PlaceUnknown,
    Problem,
    RealHardwareRefused,
)
from praxis_core.journal.record import Journal
from praxis_core.labware.inventory import inventory
from praxis_core.protocol.command import Command, DeckChange, Outcome
from praxis_core.protocol.lifecycle import CommandKind, OutcomeStatus
from praxis_core.to_the_end import to_the_end
from praxis_core.workcell.clock import Clock, RealClock
from praxis_core.workcell.deck_changes import DeckFollower
from praxis_core.workcell.definition import WorkcellDefinition, WorkcellMode
from praxis_core.workcell.device import Device
from praxis_core.workcell.initial_state import differences, initial_assets
from praxis_core.workcell.kinds import LIFECYCLE
from praxis_core.workcell.live_status import DeviceState, DeviceStatus, LiveStatus
from praxis_core.workcell.measurements import measurements_of
from praxis_core.workcell.model import build, simulated_backend

_log = logging.getLogger(__name__)


class WorkcellRuntime:
    """Owns the connections to the devices of one workcell.

    Args:
        definition: The workcell.
        simulate: Use the simulated devices although the workcell is real.
        journal: Where commands are recorded; None: nowhere.
        live: Where the live status is published; None: nowhere.
        clock: Where times come from.

    Raises:
        RealHardwareRefused: the workcell is real and ``simulate`` is not set.
        WorkcellFaults: the workcell cannot be built.
    """

    def __init__(
        self,
        definition: WorkcellDefinition,
        *,
        simulate: bool = False,
        journal: Journal | None = None,
        live: LiveStatus | None = None,
        clock: Clock | None = None,
    ) -> None:
        if definition.mode is WorkcellMode.REAL and not simulate:
            raise RealHardwareRefused(workcell=definition.name)
        self.definition = definition
        self.clock: Clock = clock or RealClock()
        self.model = build(definition, simulated_backend)
        self.assets = AssetManager(initial_assets(self.model))
        self._journal = journal
        self._live = live
        self._deck = DeckFollower(self.model.resources)
        self._devices = {
            name: Device(name, machine, self.model.resources, self.clock)
            for name, machine in self.model.devices.items()
        }
        self._statuses = {
            name: DeviceStatus(DeviceState.DISCONNECTED, self.clock.now()) for name in self._devices
        }
        for device in self._devices.values():
            if isinstance(device.backend, ContentsReader):
                device.backend.use_contents(self.assets, self.clock.now)

    async def connect(self, devices: Iterable[str] | None = None) -> None:
        """Set up devices, all at once.

        Args:
            devices: Names; None: all of the workcell.

        Raises:
            DevicesNotConnected: naming each that failed; the others are disconnected again.
            DeviceUnknown: the workcell has no such device.
        """
        wanted = [self._device(name) for name in (self._devices if devices is None else devices)]
        if self._live is not None:
            self._live.start()
        failures = await to_the_end(self._connect_all(wanted))
        if failures:
            failures += await self.disconnect()
            raise DevicesNotConnected(
                workcell=self.definition.name, count=len(failures), problems=failures
            )

    async def _connect_all(self, devices: Sequence[Device]) -> list[Problem]:
        for device in devices:
            self._show(device.name, DeviceState.CONNECTING)
        raised = await asyncio.gather(
            *(device.connect() for device in devices), return_exceptions=True
        )
        return self._ended(devices, raised, DeviceState.IDLE)

    def _ended(
        self,
        devices: Sequence[Device],
        raised: Sequence[BaseException | None],
        state: DeviceState,
    ) -> list[Problem]:
        failures = []
        for device, error in zip(devices, raised, strict=True):
            if error is None:
                self._show(device.name, state)
            elif isinstance(error, Exception):
                text = f"{type(error).__name__}: {error}"
                self._show(device.name, DeviceState.ERROR, error=text)
                failures.append(Problem(device.name, text))
            else:
                raise error
        return failures

    async def disconnect(self) -> list[Problem]:
        """Let go of every connected device, each after its command in flight.

        Returns:
            What went wrong; the other devices were disconnected all the same.
        """
        connected = [device for device in self._devices.values() if device.connected]
        return await to_the_end(self._disconnect_all(connected))

    async def _disconnect_all(self, devices: Sequence[Device]) -> list[Problem]:
        raised = await asyncio.gather(
            *(device.disconnect() for device in devices), return_exceptions=True
        )
        failures = self._ended(devices, raised, DeviceState.DISCONNECTED)
        if self._live is not None:
            await self._live.stop()
        return failures

    async def execute(self, command: Command) -> Outcome:
        """Carry out one command; the seam between a run and the devices.

        Once the device has been called, the call ends and is recorded even when the caller is
        cancelled.

        Raises:
            DeviceUnknown, DeviceNotConnected, MethodUnknown, NotDecodable, DeckOutOfStep: nothing
            was
                sent to the device.
            JournalError: the journal cannot be written.
        """
        device = self._device(command.device)
        self._refuse_unless_connected(device, command)
        self._follow(command.deck_changes)
        if command.method in LIFECYCLE:
            now = self.clock.now()
            return Outcome(OutcomeStatus.SUCCEEDED, now, now, attributes=device.attributes())
        async with device.turn(command):
            # It may have been let go of while the command waited for its turn.
            self._refuse_unless_connected(device, command)
            return await to_the_end(self._carry_out(device, command))

    @staticmethod
    def _refuse_unless_connected(device: Device, command: Command) -> None:
        if not device.connected:
            raise DeviceNotConnected(device=device.name, method=command.method)

    def _follow(self, changes: Sequence[DeckChange]) -> None:
        for new in self._deck.follow(changes):
            self.assets.add(AssetManagerState.model_validate(inventory(new)))
        self.assets.apply_deck_changes(changes)

    async def _carry_out(self, device: Device, command: Command) -> Outcome:
        args, kwargs = device.arguments(command)
        if self._journal is not None and command.kind is not CommandKind.OBSERVE:
            await self._journal.command_intent(command, self.clock.now())
        self._show(device.name, DeviceState.BUSY, doing=command.method)
        outcome = await device.call(command, args, kwargs)
        self._enter(command, outcome)
        if outcome.error is None:
            self._show(device.name, DeviceState.IDLE)
        else:
            self._show(device.name, DeviceState.ERROR, error=outcome.error.message)
        if self._journal is not None:
            await self._journal.command_outcome(command, outcome, measurements_of(command, outcome))
        return outcome

    def _enter(self, command: Command, outcome: Outcome) -> None:
        """Bring what is known about contents and places up to date."""
        changes = self.assets.apply(command, outcome, outcome.ended_at)
        flagged = [f"{change.asset}: {change.flag}" for change in changes if change.flag]
        if flagged:
            count = f"{len(flagged)} things are wrong with {command.device}.{command.method}"
            _log.warning("%s: %s", count, "; ".join(flagged[:3]))
        for change in changes:
            container = self.model.resources.find(change.asset)
            if isinstance(container, Container) and isinstance(change.after, float):
                # Simulated level detection asks the tracker.
                container.tracker.set_volume(change.after)
        if command.new_parent is not None and outcome.status is OutcomeStatus.SUCCEEDED:
            drop = command.kwargs.get("drop", command.args[0] if command.args else None)
            match drop:
                case {"fields": {"resource": {"$resource": str(dropped)}}}:
                    self.assets.apply_deck_changes(
                        [DeckChange(0, dropped, command.new_parent, None)]
                    )

    def _show(
        self, device: str, state: DeviceState, *, doing: str | None = None, error: str | None = None
    ) -> None:
        self._statuses[device] = DeviceStatus(state, self.clock.now(), doing=doing, error=error)
        if self._live is not None:
            self._live.show(device, self._status(device))

    def _status(self, device: str) -> DeviceStatus:
        holds = {}
        for labware in self.definition.labware:
            chain = self.assets.where(labware.name)
            # A reader that stands on a deck holds its plate itself.
            if next((name for name in chain if name in self._devices), None) == device:
                holds[labware.name] = chain[0]
        return replace(self._statuses[device], gripper=self.assets.gripper(device), holds=holds)

    def status(self) -> dict[str, DeviceStatus]:
        """Give the status of each device."""
        return {name: self._status(name) for name in self._statuses}

    def gripper(self, device: str) -> str | None:
        """Name the labware that a device's gripper holds.

        Raises:
            DeviceUnknown: the workcell has no such device.
        """
        return self.assets.gripper(self._device(device).name)

    def where(self, name: str) -> tuple[str, ...]:
        """Tell where a resource is: what it stands on, what that stands on, and so on.

        Raises:
            AssetUnknown: there is no such resource.
        """
        return self.assets.where(name)

    def stands_at(self, place: str) -> str | None:
        """Name what stands at a named place of the workcell; the topmost where things are stacked.

        Raises:
            PlaceUnknown: the workcell has no such place.
        """
        holder = self.model.places.get(place)
        if holder is None:
            known = ", ".join(sorted(self.model.places))
            raise PlaceUnknown(place=place, workcell=self.definition.name, known=known)
        standing = self.assets.stands_on(holder.name)
        return standing[-1] if standing else None

    async def confirm_initial_state(self) -> None:
        """Read what the connected devices can tell, and compare it with what is expected.

        Raises:
            DeviceStateUnexpected: naming every difference.
        """
        connected = [device for device in self._devices.values() if device.connected]
        found = await to_the_end(differences(connected, self.definition, self.assets))
        if found:
            raise DeviceStateUnexpected(
                workcell=self.definition.name, count=len(found), problems=found
            )

    def _device(self, name: str) -> Device:
        device = self._devices.get(name)
        if device is None:
            known = ", ".join(self._devices)
            raise DeviceUnknown(workcell=self.definition.name, device=name, known=known)
        return device
