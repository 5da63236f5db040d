"""The devices' side of the boundary: carries out commands, one at a time per device."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from uuid import UUID

from pydantic import JsonValue

from praxis_core.assets.manager import AssetManager
from praxis_core.errors import (
    ClaimLost,
    PlaceUnknown,
    Problem,
    RealHardwareRefused,
)
from praxis_core.journal.control import Control, Said
from praxis_core.journal.record import Journal
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.workcell.admission import Admission
from praxis_core.workcell.adoption import Losses
from praxis_core.workcell.attending import AttendedRun
from praxis_core.workcell.clock import Clock, RealClock
from praxis_core.workcell.commands import Commands
from praxis_core.workcell.connections import Connections
from praxis_core.workcell.consequences import Consequences
from praxis_core.workcell.definition import WorkcellDefinition, WorkcellMode
from praxis_core.workcell.device import Device
from praxis_core.workcell.exactly_once import ExactlyOnce
from praxis_core.workcell.failures import Failures
from praxis_core.workcell.initial_state import confirm
from praxis_core.workcell.lending import Lending
from praxis_core.workcell.link import Attached, Attaching
from praxis_core.workcell.live_status import DeviceState, DeviceStatus, LiveStatus
from praxis_core.workcell.meter import Meter
from praxis_core.workcell.model import WorkcellModel
from praxis_core.workcell.presence import Presence
from praxis_core.workcell.reach import InProcess, Reach
from praxis_core.workcell.recollection import Recollection
from praxis_core.workcell.recovery import Recovery
from praxis_core.workcell.remembered import Handover, Remembered
from praxis_core.workcell.restoring import Restoration
from praxis_core.workcell.retries import Retries
from praxis_core.workcell.safe_state import SafeAction
from praxis_core.workcell.safekeeping import Safekeeping
from praxis_core.workcell.stage import Stage
from praxis_core.workcell.status_board import StatusBoard
from praxis_core.workcell.stopping import Stopping
from praxis_core.workcell.time_limits import TimeLimit, time_limit
from praxis_core.workcell.upkeep import Upkeep
from praxis_core.workcell.water_only import WaterOnly
from praxis_core.workcell.workplace import Workplace


class WorkcellRuntime:
    """Owns the connections to the devices of one workcell.

    Args:
        definition: The workcell.
        simulate: Use the simulated devices although the workcell is real.
        journal: Where commands are recorded; None: nowhere.
        live: Where the live status is published; None: nowhere.
        clock: Where times come from.
        reach: The lines to the devices; None: simulated devices in this process.
        epoch: Of the host that this runtime belongs to; every intent checks that it is the newest.
        time_limit: After how many seconds a call is taken for hung.
        meter: Counts what becomes of commands; None: nobody does.

    Raises:
        RealHardwareRefused: the workcell is real and ``simulate`` is not set.
        WorkcellFaults: the workcell cannot be built.
    """

    def __init__(  # noqa: PLR0913  # what it stands between, by name
        self,
        definition: WorkcellDefinition,
        *,
        simulate: bool = False,
        journal: Journal | None = None,
        live: LiveStatus | None = None,
        clock: Clock | None = None,
        reach: Reach | None = None,
        epoch: int | None = None,
        time_limit: TimeLimit = time_limit,
        meter: Meter | None = None,
    ) -> None:
        if definition.mode is WorkcellMode.REAL and not simulate:
            raise RealHardwareRefused(workcell=definition.name)
        self.definition = definition
        self.clock: Clock = clock or RealClock()
        place = self._place = Workplace.of(
            definition,
            reach or InProcess(),
            self.clock,
            journal,
            tells=definition.mode is not WorkcellMode.REAL or not simulate,
        )
        self._board = StatusBoard(place, live)
        self._handover = Handover(place.devices)
        self._exactly_once = ExactlyOnce(
            workcell=definition.name,
            journal=journal,
            epoch=epoch,
            reach=place.reach,
            clock=self.clock,
            time_limit=time_limit,
            audience=Consequences(place, self._board, self._handover),
            retries=Retries(definition, journal, self.clock),
            failures=Failures(definition),
            meter=meter,
        )
        losses = Losses(place, self._exactly_once.doubts)
        self._connections = Connections(place, epoch, self._board, losses)
        self._stage = Stage(place, self._handover, losses)
        self._commands = Commands(place, self._stage, self._exactly_once, WaterOnly(place), meter)
        self._restoration = Restoration(place, self.execute)
        self._recovery: Recovery | None = None
        """None: there is no journal to recover from."""
        if journal is not None:
            past = Recollection(place)
            self._recovery = Recovery(place, journal, self._exactly_once, losses, past)
        self._presence = Presence(place, self._restoration, self._recovery)
        control = None if journal is None else Control(journal.database)
        self._admission = Admission(place, self._stage, self._presence, self._recovery, control)
        self._stopping = Stopping(place)
        self.lending = Lending(place, self._connections)
        """How another program is given the devices."""
        self.upkeep = Upkeep(
            place, self._connections, self._exactly_once, self._board, self._handover
        )
        """What people do about one device."""

    @property
    def model(self) -> WorkcellModel:
        """The live objects of the workcell."""
        return self._place.model

    @property
    def assets(self) -> AssetManager:
        """What is where, and how much of it."""
        return self._place.books.assets

    @property
    def safekeeping(self) -> Safekeeping:
        """What the devices are set to, and what makes them safe."""
        return self._place.safekeeping

    @property
    def handed_on(self) -> Callable[[], None]:
        """What is called when ``remembered`` may say something else."""
        return self._handover.changed

    @handed_on.setter
    def handed_on(self, call: Callable[[], None]) -> None:
        self._handover.changed = call

    async def connect(self, devices: Iterable[str] | None = None) -> None:
        """Set up devices, all at once.

        Args:
            devices: Names; None: all of the workcell.

        Raises:
            DevicesNotConnected: naming each that failed; the others are disconnected again.
            DeviceUnknown: the workcell has no such device.
        """
        known = self._place.devices
        wanted = [known.named(name) for name in (known if devices is None else devices)]
        await self._connections.connect(wanted)

    async def disconnect(self) -> list[Problem]:
        """Let go of every connected device, each after its command in flight.

        Returns:
            What went wrong; the other devices were disconnected all the same.
        """
        failures = await self._connections.disconnect(self._place.devices.values())
        await self._board.close()
        return failures

    # --- runs -------------------------------------------------------------------------------------

    async def recover(self, awaited: Collection[UUID] = ()) -> None:
        """Go on where the host before this one ended: learn from the journal what is true now.

        To be called once, when the devices are connected and before any run is served. What
        commands did of which no outcome is recorded is asked of their devices, else of a person.

        Args:
            awaited: Runs that may come back and know how their last commands ended. What they do
                not know is asked then, or when they are ``lost``, or lose their devices.

        Raises:
            JournalError, ServiceUnreachable: the journal cannot be read or written.
        """
        if self._recovery is not None:
            self._stage.used = True
            await self._recovery.recover(awaited)

    async def attach(self, asking: Attaching) -> Attached:
        """Give a run its devices, as it may expect them.

        A run that is new finds devices and labware as the definition says, or as they are
        (``refill``); one that goes on finds what it left. When this returns, the commands of its
        earlier attempts have ended.

        Raises:
            DeviceUnknown: the workcell has no such device.
            DevicesNotConnected: some do not answer.
            DeviceStateUnexpected: naming every difference from what the run expects.
            ClaimLost: a newer attempt of the run, or another run, has the devices.
            CommandInDoubt: nobody knows what the attempt before this one did; it is asked now.
            LabRefused: the devices cannot be as the run expects them.
            WorkcellStopped: somebody has stopped the workcell, now or while this attempt was there.
        """
        devices = [self._place.devices.named(name) for name in asking.devices]
        if self._place.runs.closed is None:
            await self._connections.connect(devices)
        await self._connections.reach_again(asking.devices)
        run = await self._admission.admit(asking)
        return Attached(
            assets=self.assets.snapshot(),
            attributes={device.name: device.attributes() for device in devices},
            last_deck_change=run.deck.last,
        )

    async def restore(self, run_id: UUID, attempt: int, expected: JsonValue) -> JsonValue:
        """Bring the devices of a run back to the settings that it expects, by recorded commands.

        Temperatures are waited for, as long and as exactly as PyLabRobot does by itself.

        Args:
            run_id: A run that has its devices.
            attempt: Its attempt, whose branch ``r<attempt>`` the commands are on.
            expected: ``DeviceSettings.as_json()`` of what the run did.

        Returns:
            A sentence for each setting that was not as expected.

        Raises:
            ClaimLost: the attempt does not have the devices.
            CommandInDoubt, DeviceError, ServiceError, JournalError: as ``execute``.
            Exception: what a device raised that could not be set.
        """
        run = self._place.runs.find(run_id)
        if run is None or run.attempt != attempt:
            raise ClaimLost(run_id=run_id, attempt=attempt, device="", what="it has no devices")
        if not isinstance(expected, dict):
            return []
        return await self._restoration.restore(run, expected)

    async def detach(self, run_id: UUID, ended: RunStatus) -> None:
        """Take the devices back from a run, after its commands under way.

        Args:
            run_id: The run.
            ended: How its attempt ended, and with it what is left on: a run that failed may be
                resumed, so that temperatures hold for a while.

        Raises:
            JournalError: the outcome of a command was refused.
            ServiceUnreachable: Postgres does not answer; outcomes are kept, and written later.
        """
        run = self._place.runs.find(run_id)
        await self._place.in_flight.end(run_id)
        self._place.runs.drop(run_id)
        if run is not None:
            await self._presence.gone(run, ended)

    async def lost(self, run_id: UUID) -> None:
        """Make the devices of a run safe whose process is gone.

        On each device its call under way ends first, but neither those of others nor a journal that
        does not answer are waited for. What a command still switches on is switched off after it.
        The run is interrupted: its attempt may come back, or a new one take over.
        """
        run = self._place.runs.find(run_id)
        if run is not None and not run.lost:
            await self._presence.lost(run)

    # --- commands ---------------------------------------------------------------------------------

    async def execute(self, command: Command) -> Outcome:
        """Carry out one command; the seam between a run and the devices.

        Once the device has been called, the call ends and is recorded even when the caller is
        cancelled.

        Raises:
            DeviceUnknown, DeviceNotConnected, MethodUnknown, NotDecodable, DeckOutOfStep: nothing
                was sent to the device.
            JournalError: the journal cannot be written.
        """
        return await self._commands.execute(command)

    # --- what people say --------------------------------------------------------------------------

    @property
    def is_stopped(self) -> bool:
        """Whether nothing is sent for any run: it was stopped, or given to another program."""
        return self._place.runs.closed is not None

    @property
    def is_given_away(self) -> bool:
        """Whether another program has the devices, or nobody has looked since it had them."""
        return self._place.runs.given_away is not None

    @property
    def is_safe(self) -> bool:
        """Whether all that makes the devices of a stopped workcell safe was sent."""
        return self._stopping.is_safe

    def stop(self, said: Said) -> Sequence[tuple[AttendedRun, Sequence[Command]]]:
        """Send nothing for any run any more, from this call on, and begin to make devices safe.

        What is under way comes to its end. No attempt that is there sends anything again; runs are
        resumed when the workcell is in use again.

        Returns:
            The runs that are there, each with its commands under way.
        """
        return self._stopping.stop(said)

    async def until_safe(self, seconds: float) -> bool:
        """Wait for a while until a stopped workcell is safe; say whether it is."""
        return await self._stopping.until_safe(seconds)

    def start(self) -> None:
        """Take a workcell into use again that was stopped."""
        self._stopping.start()

    def hold(self, run_id: UUID, said: Said | None) -> bool:
        """Let the next command of a run wait here; None: let it go on.

        Returns:
            Whether the run is here.
        """
        return self._place.runs.hold(run_id, said) is not None

    def pause_of(self, run_id: UUID) -> Said | None:
        """Tell who has paused a run that is here; None: nobody."""
        run = self._place.runs.find(run_id)
        return None if run is None else run.pause

    def under_way(self, run_id: UUID) -> list[JsonValue]:
        """Name the commands of a run that are being carried out."""
        return [one.command.name for one in self._place.in_flight.of(run_id) if one.begun]

    def commands_of_devices(self) -> dict[str, tuple[int, int]]:
        """Count the commands of each device that wait for their turn, and that have begun."""
        found = {name: [0, 0] for name in self._place.devices}
        for one in self._place.in_flight:
            found[one.command.device][one.begun] += 1
        return {name: (waiting, begun) for name, (waiting, begun) in found.items()}

    def take_back(self, command: Command) -> None:
        """Do not send a command that still waits for its turn."""
        same = self._place.in_flight.find(command)
        if same is not None:
            same.break_off()

    # --- what outlives a host ---------------------------------------------------------------------

    def remembered(self) -> Remembered:
        """Say what the next host has to know; see ``handed_on``."""
        return self._handover.remembered()

    def remember(self, known: Remembered) -> None:
        """Know what an earlier host knew; to be called before the devices are connected."""
        self._handover.remember(known)
        for name, device in self._place.devices.items():
            if device.quarantine is not None:
                self._board.show(name, DeviceState.QUARANTINED, error=device.quarantine)

    def safe_actions(self) -> list[SafeAction]:
        """Say what makes the devices safe that nobody looks after; see ``safekeeping.changed``."""
        return self.safekeeping.actions()

    def look_after(self, awaited: Collection[UUID]) -> None:
        """Make safe, each thing in its time, what an earlier host left on.

        To be called once, after ``recover`` and ``safekeeping.inherit``.

        Args:
            awaited: Runs that may come back to their devices, which are left to them until then.
        """
        self.safekeeping.look_after(self._place.runs, awaited)

    async def see_to_parked(self) -> None:
        """Leave the devices of parked runs as they are, and make safe those that were given up.

        To be called before ``look_after``, and again from time to time.

        Raises:
            ServiceError: the journal cannot be read.
        """
        await self._presence.see_to_parked()

    def release(self, device: str) -> bool:
        """Take a device into use again that did not answer; somebody has looked at it.

        Returns:
            Whether it was out of use.

        Raises:
            DeviceUnknown: the workcell has no such device.
            DeviceStillHangs: what it did not answer is still under way.
        """
        return self.upkeep.release(device)

    # --- questions --------------------------------------------------------------------------------

    def status(self) -> dict[str, DeviceStatus]:
        """Give the status of each device."""
        return self._board.all()

    def gripper(self, device: str) -> str | None:
        """Name the labware that a device's gripper holds.

        Raises:
            DeviceUnknown: the workcell has no such device.
        """
        return self.assets.gripper(self._place.devices.named(device).name)

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

    async def confirm_initial_state(self, devices: Iterable[Device] | None = None) -> None:
        """Read what connected devices can tell, and compare it with what is expected.

        Args:
            devices: Which; None: all that are connected.

        Raises:
            DeviceStateUnexpected: naming every difference.
        """
        asked = self._place.devices.values() if devices is None else devices
        await confirm([*asked], self.definition, self.assets)
