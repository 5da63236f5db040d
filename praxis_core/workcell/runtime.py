"""The devices' side of the boundary: carries out commands, one at a time per device."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from uuid import UUID

from pydantic import JsonValue

from praxis_core.assets.manager import AssetManager
from praxis_core.errors import (
    ClaimLost,
    DeviceLinkLost,
    DeviceNotConnected,
    DevicesNotConnected,
    DeviceStateUnexpected,
    DeviceStillHangs,
    DeviceUnknown,
    JournalError,
    LabRefused,
    PlaceUnknown,
    Problem,
    RealHardwareRefused,
    ServiceError,
)
from praxis_core.journal.record import Journal
from praxis_core.journal.records import CommandRecord, Doubt
from praxis_core.labware.encoding import decode_error
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import OutcomeStatus, RunStatus
from praxis_core.to_the_end import to_the_end
from praxis_core.workcell.adoption import destroyed
from praxis_core.workcell.attending import AttendedRun, AttendedRuns
from praxis_core.workcell.clock import Clock, RealClock
from praxis_core.workcell.deck_changes import DeckFollower
from praxis_core.workcell.definition import WorkcellDefinition, WorkcellMode
from praxis_core.workcell.device import Device
from praxis_core.workcell.device_settings import Difference
from praxis_core.workcell.exactly_once import ExactlyOnce, refuse_quarantined
from praxis_core.workcell.in_flight import CommandsInFlight, InFlight
from praxis_core.workcell.initial_state import differences
from praxis_core.workcell.kinds import LIFECYCLE, SET_ATTRIBUTES
from praxis_core.workcell.knowledge import DeckHistory, Knowledge, happened, losses
from praxis_core.workcell.link import Attached, Attaching, Ended
from praxis_core.workcell.live_status import DeviceState, DeviceStatus, LiveStatus
from praxis_core.workcell.model import build
from praxis_core.workcell.reach import InProcess, Reach
from praxis_core.workcell.remembered import Remembered
from praxis_core.workcell.safe_state import SafeAction
from praxis_core.workcell.safekeeping import Safekeeping, reaching, restoring
from praxis_core.workcell.time_limits import TimeLimit, time_limit

_log = logging.getLogger(__name__)

SET_UP_SECONDS = 900.0
"""How long somebody waits for a device that is being set up."""


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
    ) -> None:
        if definition.mode is WorkcellMode.REAL and not simulate:
            raise RealHardwareRefused(workcell=definition.name)
        self.definition = definition
        self.clock: Clock = clock or RealClock()
        self._reach: Reach = reach or InProcess()
        self._epoch = epoch
        self.model = build(definition, self._reach.backend)
        self._journal = journal
        self._live = live
        self._devices = {
            name: Device(
                name, machine, self.model.resources, self.clock, partial(self._reach.written, name)
            )
            for name, machine in self.model.devices.items()
        }
        self._knowledge = Knowledge(self.model, self._devices, self.clock)
        self._runs = AttendedRuns()
        self._in_flight = CommandsInFlight()
        self._attaching = asyncio.Lock()
        self.safekeeping = Safekeeping(definition, self._devices, journal)
        """What the devices are set to, and what makes them safe."""
        self._new = True
        """Whether nobody has worked with the devices yet."""
        self._connecting: dict[str, asyncio.Task[None]] = {}
        self.handed_on: Callable[[], None] = _nothing
        """Called when ``remembered`` may say something else."""
        self._recovered = False
        """Whether it is known what an earlier host did with the devices."""
        self._exactly_once = ExactlyOnce(
            workcell=definition.name,
            journal=journal,
            epoch=epoch,
            reach=self._reach,
            clock=self.clock,
            time_limit=time_limit,
            audience=self,
        )
        self._statuses = {
            name: DeviceStatus(DeviceState.DISCONNECTED, self.clock.now()) for name in self._devices
        }

    @property
    def assets(self) -> AssetManager:
        """What is where, and how much of it."""
        return self._knowledge.assets

    async def connect(self, devices: Iterable[str] | None = None) -> None:
        """Set up devices, all at once.

        Args:
            devices: Names; None: all of the workcell.

        Raises:
            DevicesNotConnected: naming each that failed; the others are disconnected again.
            DeviceUnknown: the workcell has no such device.
        """
        wanted = [self._device(name) for name in (self._devices if devices is None else devices)]
        new = [one for one in wanted if not one.connected and one.quarantine is None]
        if self._live is not None:
            self._live.start()
        failures = await to_the_end(self._connect_all(new))
        if failures:
            failures += await to_the_end(self._disconnect_all(_connected(new)))
            raise DevicesNotConnected(
                workcell=self.definition.name, count=len(failures), problems=failures
            )

    async def _connect_all(self, devices: Sequence[Device]) -> list[Problem]:
        for device in devices:
            self._show(device.name, DeviceState.CONNECTING)
        raised = await asyncio.gather(
            *(self._connect(device) for device in devices), return_exceptions=True
        )
        return self._ended(devices, raised, DeviceState.IDLE)

    async def _connect(self, device: Device) -> None:
        """Set a device up; nobody cancels that, but nobody waits for it forever either."""
        task = self._connecting.get(device.name)
        if task is None:
            name = f"connecting {device.name}"
            task = asyncio.create_task(self._set_up(device), name=name)
            self._connecting[device.name] = task
            task.add_done_callback(lambda _: self._connecting.pop(device.name, None))
        await asyncio.wait({task}, timeout=SET_UP_SECONDS)
        if not task.done():
            what = f"it has been asked to get ready for {SET_UP_SECONDS:g} s"
            raise DeviceLinkLost(device=device.name, when="", what=what)
        task.result()

    async def _set_up(self, device: Device) -> None:
        await self._reach.connect(device.name, self._epoch)
        device.set_up_anew = not self._reach.adopting(device.name)
        await device.connect()
        if device.set_up_anew:
            self.safekeeping.forget(device.name)
        if self._recovered:
            await self._note_destroyed(device)

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
        failures = await to_the_end(self._disconnect_all(_connected(self._devices.values())))
        if self._live is not None:
            await to_the_end(self._live.stop())
        return failures

    async def _disconnect_all(self, devices: Sequence[Device]) -> list[Problem]:
        raised = await asyncio.gather(
            *(device.disconnect() for device in devices), return_exceptions=True
        )
        return self._ended(devices, raised, DeviceState.DISCONNECTED)

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
        if self._journal is None:
            return
        self._new = False
        for claim in await self._journal.claims(self.definition.name):
            run = self._runs.find(claim.run_id)
            if run is None:
                run = AttendedRun(
                    claim.run_id, claim.attempt, DeckFollower(), claim.token, recalled=True
                )
                self._runs.add(run)
            run.devices.add(claim.asset)
        records = await self._journal.commands_of_unfinished(self.definition.name)
        doubts = [one for run in self._runs for one in await self._journal.doubts(run.run_id)]
        attempts = {run.run_id: run.attempt for run in self._runs}
        self._recall(happened(records, attempts, doubts), doubts)
        self._recall_settings(records)
        for run in self._runs:
            await self._recall_doubt(run)
        for record in records:
            if record.command.run_id not in awaited:
                await self._settle(record)
        for device in self._devices.values():
            await self._note_destroyed(device)
        self._recovered = True

    async def _settle_rest(self, run: AttendedRun) -> None:
        """Find out what a run did on an earlier host, while its devices are as it left them.

        For whoever knew how its last commands ended does not come, or has told it.
        """
        run.recalled = False
        if self._journal is not None:
            for record in await self._journal.recorded(run.run_id):
                await self._settle(record)

    async def _be_told(self, run: AttendedRun, known: Iterable[Ended]) -> None:
        """Take up how commands ended that an earlier host did not live to write down."""
        if run.doubt is not None:
            return  # a person looks at what there is
        for each in known:
            try:
                command = await self._exactly_once.told(run, each)
            except JournalError as error:
                _log.warning("not taken from run %s: %s", run.run_id, error)
                continue
            if command is not None:
                self.safekeeping.recall(command, each.outcome)
                self._knowledge.learn(command, each.outcome, inside=not self._reach.can_sense)

    async def _settle(self, record: CommandRecord) -> None:
        if record.outcome is not None or record.tail:
            return
        run = self._runs.find(record.command.run_id)
        device = self._devices.get(record.command.device)
        if run is not None and device is not None and device.connected:
            await self._exactly_once.settle(run, device, record)

    async def _note_destroyed(self, device: Device) -> None:
        """Enter what a device lost when it was set up anew, and ask the runs that had it."""
        lost = destroyed(device, self.assets) if device.connected else None
        if lost is None:
            return
        self._knowledge.lose(device.name)
        place = list(self._devices).index(device.name)
        for run in self._runs:
            if device.name in run.devices:
                commands = [] if self._journal is None else await self._journal.commands(run.run_id)
                after = max((record.number for record in commands), default=0)
                await self._exactly_once.doubts.set_up_destroyed(
                    run, device.name, place, lost, after
                )

    def _recall(self, records: Iterable[CommandRecord], doubts: Iterable[Doubt]) -> None:
        """Enter what the journal says that runs did, on top of what is known.

        Args:
            records: What counts of it.
            doubts: What was asked about these runs: also what set-up destroyed between two commands
                stays destroyed.
        """
        histories: dict[UUID, DeckHistory] = {}
        lost = deque(losses(doubts))
        for record in records:
            while lost and lost[0][0] < record.number:
                self._knowledge.lose(lost.popleft()[1])
            command = record.command
            history = histories.setdefault(command.run_id, DeckHistory())
            if command.device in self._devices:
                self._knowledge.replay(history, record, inside=not self._reach.can_sense)
            run = self._runs.find(command.run_id)
            if run is not None:
                run.deck = history.deck
                run.written.add(record.key)
        for _, device in lost:
            self._knowledge.lose(device)

    def _recall_settings(self, records: Iterable[CommandRecord]) -> None:
        """Note what runs set, also what was set aside since: it is set all the same."""
        for record in records:
            if record.outcome is not None and record.command.device in self._devices:
                self.safekeeping.recall(record.command, record.outcome)

    async def attach(self, asking: Attaching) -> Attached:
        """Give a run its devices, as it may expect them.

        A run that is new finds devices and labware as the definition says; one that goes on finds
        what it left. When this returns, the commands of its earlier attempts have ended.

        Raises:
            DeviceUnknown: the workcell has no such device.
            DevicesNotConnected: some do not answer.
            DeviceStateUnexpected: naming every difference from what the run expects.
            ClaimLost: a newer attempt of the run, or another run, has the devices.
            CommandInDoubt: nobody knows what the attempt before this one did; it is asked now.
            LabRefused: the devices cannot be as the run expects them.
        """
        devices = [self._device(name) for name in asking.devices]
        await self.connect(asking.devices)
        await self._reach_again(asking.devices)
        async with self._attaching:
            run = await self._take_up(asking)
        return Attached(
            assets=self.assets.snapshot(),
            attributes={device.name: device.attributes() for device in devices},
            last_deck_change=run.deck.last,
        )

    async def _reach_again(self, devices: Iterable[str]) -> None:
        """Open lines again that broke while nobody used them; who does not answer is told later."""
        for name in devices:
            if not self._reach.connected(name):
                with suppress(DeviceLinkLost, LabRefused):
                    await self._reach.reconnect(name)

    async def _take_up(self, asking: Attaching) -> AttendedRun:
        known = self._runs.find(asking.run_id)
        if known is not None and (known.attempt, known.token or 0) > (
            asking.attempt,
            asking.token or 0,
        ):
            what = f"attempt {known.attempt} of the run has its devices now"
            raise ClaimLost(run_id=known.run_id, attempt=asking.attempt, device="", what=what)
        await self._take_from_others(asking)
        run = AttendedRun(asking.run_id, asking.attempt, DeckFollower())
        if known is not None and known.attempt == asking.attempt and not _is_unknown(known, asking):
            run = known
        elif known is not None:
            await self._in_flight.end(known.run_id)
            if known.recalled:
                await self._settle_rest(known)
        run.token = asking.token
        run.devices, run.labware = set(asking.devices), set(asking.labware)
        if run is not known:
            await self._prepare(run, asking)
            self._runs.add(run)
            # Asked just now, because nobody else could know: the attempt is not to begin.
            run.refuse_in_doubt()
        self.safekeeping.hold_no_longer(asking.devices)
        await self._be_told(run, asking.known)
        was_away = run.lost or run.recalled
        if run.recalled:
            await self._settle_rest(run)
        if was_away:
            await self._come_back(run)
        return run

    async def _take_from_others(self, asking: Attaching) -> None:
        """End what other runs do with the devices: whoever has the newest claim has them."""
        for other in self._runs.others_with(asking.devices, asking.run_id):
            if (other.token or 0) > (asking.token or 0):
                what = f"run {other.run_id} has it now"
                device = ", ".join(sorted(other.devices & set(asking.devices)))
                raise ClaimLost(
                    run_id=asking.run_id, attempt=asking.attempt, device=device, what=what
                )
            if other.recalled:
                await self._settle_rest(other)
            other.devices -= set(asking.devices)
            await self._in_flight.end(other.run_id, asking.devices)

    async def _prepare(self, run: AttendedRun, asking: Attaching) -> None:
        """Let an attempt find what it may expect: what the definition says, or what it left."""
        recorded = [] if self._journal is None else await self._journal.recorded(run.run_id)
        run.written = {record.key for record in recorded}
        if not asking.resuming:
            await self._set_stage(run)
            await self.confirm_initial_state([self._device(name) for name in asking.devices])
            return
        names = self._names(run, recorded)
        doubts = [] if self._journal is None else await self._journal.doubts(run.run_id)
        shared = self._knowledge.shared(run.run_id, names)
        self._knowledge.stage(names)
        self._runs.add(run)
        self._recall(recorded, doubts)
        self._knowledge.put_back(shared)
        self._recall_settings(recorded)
        await self._recall_doubt(run)

    async def _recall_doubt(self, run: AttendedRun) -> None:
        if self._journal is not None:
            questions = await self._journal.open_doubts(run.run_id)
            run.doubt = "; ".join(question.what for question in questions) or None

    async def _set_stage(self, run: AttendedRun) -> None:
        """Put back to its beginning what the run has for itself; everything, if it is alone."""
        if self._new and not self._reach.can_sense:
            self._new = False
            return
        names = None if await self._is_alone(run) else sorted(run.devices | run.labware)
        if self._journal is not None:
            # Before it is done: what others left here is no longer as they left it.
            await self._journal.stage_set(self.definition.name, run.run_id, names)
        await self._reach.stage(names)
        self._knowledge.stage(names)
        for device in self._devices if names is None else run.devices:
            self.safekeeping.forget(device)
            self._devices[device].put_back_attributes()
        self.handed_on()

    async def _is_alone(self, run: AttendedRun) -> bool:
        """Whether no other run works here, or may come back to what it left."""
        claimants: set[UUID] = set()
        if self._journal is not None:
            claims = await self._journal.claims(self.definition.name)
            claimants = {claim.run_id for claim in claims}
            for other in self._runs:
                if other.lost and other.run_id not in claimants:
                    self._runs.drop(other.run_id)  # given up, or overtaken, while it was away
        others = claimants | {other.run_id for other in self._runs}
        return others <= {run.run_id}

    @staticmethod
    def _names(run: AttendedRun, recorded: Iterable[CommandRecord]) -> list[str]:
        """Name what a run has for itself, with what it brought."""
        brought = {
            change.resource
            for record in recorded
            for change in record.command.deck_changes
            if change.definition is not None
        }
        return sorted(run.devices | run.labware | brought)

    async def _come_back(self, run: AttendedRun) -> None:
        """Let a run go on whose process was away, with its devices set as it left them."""
        was_lost, run.lost = run.lost, False
        if self._journal is None or run.doubt is not None:
            return
        if was_lost:
            await self._move(run, RunStatus.RUNNING)
        recorded = await self._journal.recorded(run.run_id)
        expected = self.safekeeping.expected_of(
            (record.command, record.outcome) for record in recorded if record.outcome is not None
        )
        # Its connection waits for this, so that nothing here can wait for a temperature.
        missing = self.safekeeping.missing(expected, run.devices)
        restored = await self._set_again(run, missing)
        if restored:
            what = "The devices were set again as the run had left them."
            await self._journal.event(run.run_id, "restored", what, restored)

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
        run = self._runs.find(run_id)
        if run is None or run.attempt != attempt:
            raise ClaimLost(run_id=run_id, attempt=attempt, device="", what="it has no devices")
        if not isinstance(expected, dict):
            return []
        missing = self.safekeeping.missing(expected, run.devices)
        told = await self._set_again(run, missing)
        # All are set by now, so that they are waited for together.
        return told + [said for one in missing if (said := await self._reached(run, one))]

    async def _set_again(self, run: AttendedRun, missing: Iterable[Difference]) -> list[JsonValue]:
        told: list[JsonValue] = [await self._restored(run, one) for one in missing]
        self.safekeeping.is_certain(run.devices)
        return told

    async def _restored(self, run: AttendedRun, difference: Difference) -> str:
        device, setting = difference.device, difference.expected
        what = f"{device}: {setting.group} was {difference.found}, expected {setting.value}"
        if not setting.again:
            return f"{what}; it cannot be set again"
        backend = type(self._device(device).backend)
        outcome = await self.execute(restoring(run, difference, backend))
        if outcome.error is not None:
            raise decode_error(outcome.error)
        return f"{what}; set again"

    async def _reached(self, run: AttendedRun, difference: Difference) -> str | None:
        """Wait for a temperature that was set again; say how that ended."""
        command = reaching(run, difference, self._device(difference.device).machine)
        if command is None:
            return None
        outcome = await self.execute(command)
        what = f"{difference.device}: {difference.expected.group} {difference.expected.value}"
        if outcome.error is not None:
            return f"{what} was not reached: {outcome.error.message}"
        seconds = (outcome.ended_at - outcome.started_at).total_seconds()
        return f"{what} was reached again after {seconds:.0f} s"

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
        run = self._runs.find(run_id)
        await self._in_flight.end(run_id)
        self._runs.drop(run_id)
        if run is None:
            return
        await self._leave(run, ended)
        if self._journal is not None:
            await self._journal.settled_of(run_id, run.attempt)

    async def _leave(self, run: AttendedRun, ended: RunStatus) -> None:
        """Leave on what may stay on, and nothing else."""
        if not self._reach.can_sense:
            return  # a device in this process goes off when it is disconnected
        if ended in {RunStatus.FAILED, RunStatus.IN_DOUBT, RunStatus.INTERRUPTED}:
            await self.safekeeping.make_safe(run)
        else:
            await self.safekeeping.switch_off(run)

    async def lost(self, run_id: UUID) -> None:
        """Make the devices of a run safe whose process is gone.

        On each device its call under way ends first, but neither those of others nor a journal that
        does not answer are waited for. What a command still switches on is switched off after it.
        The run is interrupted: its attempt may come back, or a new one take over.
        """
        run = self._runs.find(run_id)
        if run is None or run.lost:
            return
        run.lost = True
        self._in_flight.break_off(run_id)
        await self.safekeeping.make_safe(run)
        if self._in_flight.of(run_id):
            await self._in_flight.end(run_id)
            await self.safekeeping.make_safe(run)
        if run.recalled:
            await self._settle_rest(run)
        await self._move(run, RunStatus.INTERRUPTED)

    async def _move(self, run: AttendedRun, status: RunStatus) -> None:
        """Say in the journal where a run is, as far as that is possible and can be written."""
        if self._journal is None:
            return
        try:
            await self._journal.set_status(run.run_id, status, attempt=run.attempt)
        except (JournalError, ServiceError) as error:
            _log.warning("run %s is not noted as %s: %s", run.run_id, status, error)

    # --- commands ---------------------------------------------------------------------------------

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
        run = self._runs.of(command)
        same = self._in_flight.find(command)
        if same is not None:
            return await same.outcome()
        self._refuse_unless_usable(device, run, command)
        self._new = False
        self._knowledge.follow(run.deck, command.deck_changes)
        if command.method in LIFECYCLE | {SET_ATTRIBUTES} and command.deck_changes:
            await self._reach.hands(command.deck_changes)
        if command.method in LIFECYCLE:
            now = self.clock.now()
            return Outcome(OutcomeStatus.SUCCEEDED, now, now, attributes=device.attributes())

        async def in_turn(in_flight: InFlight) -> Outcome:
            async with device.turn(command):
                # It may have been let go of while the command waited for its turn.
                self._refuse_unless_usable(device, run, command)
                in_flight.begin()
                return await self._exactly_once.carry_out(run, device, command)

        return await self._in_flight.start(command, in_turn).outcome()

    def _refuse_unless_usable(self, device: Device, run: AttendedRun, command: Command) -> None:
        if not device.connected and device.quarantine is None:
            raise DeviceNotConnected(device=device.name, method=command.method)
        run.allow(command)
        refuse_quarantined(self.definition.name, device)

    def sending(self, command: Command) -> None:
        """Show that a command is about to be sent."""
        if command.method == SET_ATTRIBUTES:
            self._device(command.device).about_to_write(command.kwargs)
            self.handed_on()
        self.safekeeping.note(command)
        self._show(command.device, DeviceState.BUSY, doing=command.method)

    def ended(self, command: Command, outcome: Outcome) -> None:
        """Enter what a command did, as far as that is known."""
        self.safekeeping.note(command, outcome)
        self._knowledge.enter(command, outcome)
        if self._device(command.device).quarantine is not None:
            return
        if outcome.error is None:
            self._show(command.device, DeviceState.IDLE)
        else:
            self._show(command.device, DeviceState.ERROR, error=outcome.error.message)

    def doubted(self, command: Command, outcome: Outcome) -> None:
        """Know nothing of what a command touched that may have happened."""
        self.safekeeping.note(command, outcome)
        self._knowledge.doubt(command)
        device = self._device(command.device)
        if device.quarantine is None:
            said = None if outcome.error is None else outcome.error.message
            self._show(command.device, DeviceState.ERROR, error=said)

    def settled(self, command: Command, outcome: Outcome | None) -> None:
        """Enter what was found out about a command of which nobody knew whether it happened."""
        if outcome is not None:
            self.safekeeping.recall(command, outcome)
        self._knowledge.settle(command, outcome)

    def quarantined(self, device: Device, command: Command) -> None:
        """Show that a device is out of use."""
        self.handed_on()
        what = f"{command.method}: {device.quarantine}"
        self._show(device.name, DeviceState.QUARANTINED, error=what)

    def remembered(self) -> Remembered:
        """Say what the next host has to know; see ``handed_on``."""
        devices = self._devices.values()
        return Remembered(
            {one.name: one.quarantine for one in devices if one.quarantine is not None},
            {one.name: one.originals for one in devices if one.originals},
        )

    def remember(self, known: Remembered) -> None:
        """Know what an earlier host knew; to be called before the devices are connected."""
        for name, device in self._devices.items():
            device.remember(known.attributes.get(name, {}))
            device.quarantine = known.out_of_use.get(name)
            if device.quarantine is not None:
                self._show(name, DeviceState.QUARANTINED, error=device.quarantine)

    def safe_actions(self) -> list[SafeAction]:
        """Say what makes the devices safe that nobody looks after; see ``safekeeping.changed``."""
        return self.safekeeping.actions()

    def look_after(self, awaited: Collection[UUID]) -> None:
        """Make safe, each thing in its time, what an earlier host left on.

        To be called once, after ``recover`` and ``safekeeping.inherit``.

        Args:
            awaited: Runs that may come back to their devices, which are left to them until then.
        """
        self.safekeeping.look_after(self._runs, awaited)

    def release(self, device: str) -> bool:
        """Take a device into use again that did not answer; somebody has looked at it.

        Returns:
            Whether it was out of use.

        Raises:
            DeviceUnknown: the workcell has no such device.
            DeviceStillHangs: what it did not answer is still under way.
        """
        found = self._device(device)
        if found.quarantine is None:
            return False
        hanging = self._exactly_once.hanging(device)
        if hanging is not None:
            raise DeviceStillHangs(
                device=device, method=hanging.method, workcell=self.definition.name
            )
        found.quarantine = None
        self.handed_on()
        # One that an earlier host could not use is connected with the next look at it.
        self._show(device, DeviceState.IDLE if found.connected else DeviceState.DISCONNECTED)
        return True

    def _show(
        self, device: str, state: DeviceState, *, doing: str | None = None, error: str | None = None
    ) -> None:
        self._statuses[device] = DeviceStatus(state, self.clock.now(), doing=doing, error=error)
        if self._live is not None:
            self._live.show(device, partial(self._status, device))

    def _status(self, device: str) -> DeviceStatus:
        holds = self._knowledge.holds(device)
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

    async def confirm_initial_state(self, devices: Iterable[Device] | None = None) -> None:
        """Read what connected devices can tell, and compare it with what is expected.

        Args:
            devices: Which; None: all that are connected.

        Raises:
            DeviceStateUnexpected: naming every difference.
        """
        asked = _connected(self._devices.values() if devices is None else devices)
        found = await to_the_end(differences(asked, self.definition, self.assets))
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


def _is_unknown(run: AttendedRun, asking: Attaching) -> bool:
    """Whether an earlier host may not even have set the stage for a run: it had only claimed."""
    return run.recalled and not asking.resuming


def _connected(devices: Iterable[Device]) -> list[Device]:
    return [device for device in devices if device.connected]


def _nothing() -> None:
    """Nobody wants to hear of it."""
