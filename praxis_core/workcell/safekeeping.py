"""What the devices are set to, and what becomes of that when nobody looks after it any more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from time import time
from uuid import UUID

from pydantic import JsonValue

from praxis_core.errors import JournalError, NotDecodable, ServiceError
from praxis_core.journal.record import Journal
from praxis_core.labware.encoding import fingerprint
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import CommandKind
from praxis_core.to_the_end import to_the_end
from praxis_core.workcell.attending import AttendedRun
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.device import Device
from praxis_core.workcell.device_settings import OFF, DeviceSettings, Difference
from praxis_core.workcell.holding import seconds_left
from praxis_core.workcell.safe_state import SafeAction, safe_actions, without_repeats

_log = logging.getLogger(__name__)

TRY_EVERY = 1.0
"""Seconds between two tries with a device that refuses what makes it safe."""

LATE_SECONDS = 600.0
"""How late a parked run may be: a worker, a host or a person may need that long."""

FOR_EVER = 10 * 365 * 86400.0
"""How long a device is left for a run that goes on when somebody resumes it."""

_BRANCH = "safe"
"""Stands where a command has its branch; what makes devices safe belongs to no run's history."""

_NO_RUN = UUID(int=0)
"""Stands where a command has its run, when nobody knows who left a device on."""


@dataclass(frozen=True, slots=True)
class _Parked:
    """For whom a device is left as it is, and how long."""

    run_id: UUID
    until: datetime | None
    since: float
    """Seconds since 1970."""
    seconds: float


class Safekeeping:
    """Knows what was set on each device, and makes it safe.

    Args:
        definition: The workcell.
        devices: Its devices.
        journal: Whose audit trail tells what was done; None: nobody is told.
    """

    def __init__(
        self,
        definition: WorkcellDefinition,
        devices: Mapping[str, Device],
        journal: Journal | None,
    ) -> None:
        self._definition = definition
        self._devices = devices
        self._journal = journal
        self._settings = self._none()
        self._uncertain: set[str] = set()
        """Devices that somebody else may have switched off since: the watchdog, for one."""
        self._holding: dict[str, asyncio.Task[None]] = {}
        """Devices that stay as they are for a while, for a run that may come back."""
        self._due: dict[tuple[str, str], float] = {}
        """When that ends, in seconds since 1970, by ``SafeAction.key``."""
        self._left: dict[str, list[SafeAction]] = {}
        """What an earlier host had to make safe and nobody has taken up since."""
        self._parked: dict[str, _Parked] = {}
        """Devices that stay as they are for a run without a process."""
        self._count = 0
        self.changed: Callable[[], None] = _nothing
        """Called when ``actions`` may say something else."""
        self.unwritten: Callable[[UUID | None, str, str], None] = _nobody
        """Told of what the journal could not be told: the run, a word and a sentence."""

    def _none(self) -> DeviceSettings:
        return DeviceSettings({name: type(one.backend) for name, one in self._devices.items()})

    def note(self, command: Command, outcome: Outcome | None = None) -> None:
        """Take up a command: once before it is sent, and once with its outcome."""
        before = self._settings.current(command.device)
        self._settings.note(command, outcome)
        if self._settings.current(command.device) != before:
            self.changed()

    def recall(self, command: Command, outcome: Outcome) -> None:
        """Take up a command of an earlier host, after which others may have changed what it set."""
        self._settings.note(command, outcome)
        self._uncertain.add(command.device)

    def is_certain(self, devices: Iterable[str]) -> None:
        """Know that devices are set as is noted here: they were set again."""
        self._uncertain.difference_update(devices)

    def forget(self, device: str) -> None:
        """Know nothing of a device any more: it was set up, or put back to what it was."""
        self._settings.forget(device)
        self._uncertain.discard(device)
        self._left.pop(device, None)
        self.changed()

    def as_json(self) -> dict[str, JsonValue]:
        """Give the settings as plain values, by device: what ``expected`` of a run looks like."""
        return self._settings.as_json()

    def actions(self, devices: Iterable[str] | None = None) -> list[SafeAction]:
        """Say what makes devices safe that nobody looks after; None: all of them."""
        return [
            self._dated(action)
            for name in (self._devices if devices is None else devices)
            for action in without_repeats([*self._actions(name), *self._left.get(name, ())])
        ]

    def _dated(self, action: SafeAction) -> SafeAction:
        """Say when it is due."""
        parked = self._parked.get(action.device)
        if parked is None:
            return replace(action, due_at=self._due.get(action.key))
        seconds = parked.seconds + max(LATE_SECONDS, action.after_seconds)
        return replace(action, after_seconds=seconds, due_at=parked.since + seconds, parked=True)

    def _actions(self, device: str) -> list[SafeAction]:
        return safe_actions(
            device,
            self._definition.devices[device],
            [one for one in self._settings.current(device).values() if one.value is not OFF],
            backend=type(self._devices[device].backend),
        )

    # --- what a run expects -----------------------------------------------------------------------

    def missing(self, expected: Mapping[str, JsonValue], devices: set[str]) -> list[Difference]:
        """Say which settings that a run expects are not in force, in the order to set them in."""
        wanted, certain = self._none(), self._none()
        known = {name: one for name, one in self.as_json().items() if name not in self._uncertain}
        certain.load(known)
        wanted.load({name: one for name, one in expected.items() if name in devices})
        return certain.differences(wanted)

    def expected_of(self, commands: Iterable[tuple[Command, Outcome]]) -> dict[str, JsonValue]:
        """Say what a run left its devices set to."""
        settings = self._none()
        for command, outcome in commands:
            settings.note(command, outcome)
        return settings.as_json()

    # --- what nobody looks after ------------------------------------------------------------------

    async def make_safe(self, run: AttendedRun) -> None:
        """Make the devices of a run safe: some things now, others when they have held long enough.

        The call under way on a device ends first. What a device refuses is told, and tried again.
        """
        self._keep_no_longer(run.devices)
        actions = self.actions(sorted(run.devices))
        now = [action for action in actions if _seconds_left(action) <= 0]
        done = await asyncio.gather(*(self._carry_out(run, action) for action in now))
        again = [action for action, well in zip(now, done, strict=True) if not well]
        self._hold_all(run, [one for one in actions if one not in now], again)

    async def make_all_safe(self, runs: Iterable[AttendedRun]) -> None:
        """Make the devices of all runs safe at once; see ``make_safe``."""
        await asyncio.gather(*(self.make_safe(run) for run in runs))

    async def switch_off(self, run: AttendedRun) -> None:
        """Switch off what a run left on, all of it now: nobody will come back for it."""
        self._keep_no_longer(run.devices)
        actions = self.actions(sorted(run.devices))
        done = await asyncio.gather(*(self._carry_out(run, action) for action in actions))
        again = [action for action, well in zip(actions, done, strict=True) if not well]
        self._due.update({action.key: time() for action in again})
        self._hold_all(run, [], again)

    async def switch_off_all(self) -> list[str]:
        """Switch off all that anybody left on; devices that are out of use are sent nothing.

        Returns:
            What could not be switched off, a sentence for each.
        """
        self._keep_no_longer(self._devices)
        in_use = [name for name, one in self._devices.items() if one.quarantine is None]
        actions = self.actions(in_use)
        failures = await asyncio.gather(*(self._sent(None, action) for action in actions))
        for action, failure in zip(actions, failures, strict=True):
            if failure is None:
                what = f"{action.device}.{action.method} was sent, because {action.why}"
                await self._tell(None, "made_safe", what)
        failed = [failure for failure in failures if failure is not None]
        if failed:
            self._hold_all(None, self.actions(), [])
        return failed

    def forget_all(self) -> None:
        """Know nothing of any device any more: what it is set to, others decide."""
        self.hold_no_longer(self._devices)
        for device in self._devices:
            self.forget(device)

    def park(self, run: AttendedRun, until: datetime | None, now: datetime) -> None:
        """Leave the devices of a run as they are that has no process until a time.

        From then on it is late: each device is held as for a run that was lost.

        Args:
            run: The run.
            until: When it goes on; None: when somebody resumes it, however long that takes.
            now: By the same clock.
        """
        if self.parked.get(run.run_id) == until and run.run_id in self.parked:
            return
        self._keep_no_longer(run.devices)
        seconds = FOR_EVER if until is None else max(0.0, (until - now).total_seconds())
        for device in run.devices & self._devices.keys():
            self._parked[device] = _Parked(run.run_id, until, time(), seconds)
        self._hold_all(run, self.actions(sorted(run.devices)), [])

    @property
    def parked(self) -> dict[UUID, datetime | None]:
        """The runs for which devices are left as they are, and until when."""
        return {one.run_id: one.until for one in self._parked.values()}

    def parked_for(self, run_id: UUID) -> set[str]:
        """Name the devices that are left as they are for a run."""
        return {name for name, one in self._parked.items() if one.run_id == run_id}

    def inherit(self, left: Iterable[SafeAction]) -> None:
        """Know what an earlier host had to make safe, whoever had switched it on.

        A device that was set up since then is off.
        """
        for action in left:
            device = self._devices.get(action.device)
            if device is None or (device.connected and device.set_up_anew):
                continue
            self._left.setdefault(device.name, []).append(action)
            if action.due_at is not None:
                self._due[action.key] = action.due_at
        self.changed()

    def look_after(self, runs: Iterable[AttendedRun], awaited: Collection[UUID]) -> None:
        """Make safe what an earlier host left on, each in its time.

        Args:
            runs: Those that have devices.
            awaited: Runs that may come back. Their devices are made safe when they do not, but not
                held longer for them than an earlier host had begun to.
        """
        owners = {device: run for run in runs for device in run.devices}
        for device in self._devices.keys() - self._parked.keys():
            owner = owners.get(device)
            waits = owner is not None and owner.run_id in awaited
            actions = [one for one in self.actions([device]) if one.due_at is not None or not waits]
            self._hold_all(owner, actions, [])

    def hold_no_longer(self, devices: Iterable[str]) -> None:
        """Leave devices to whoever has them now."""
        for device in devices:
            self._keep_no_longer([device])
            self._left.pop(device, None)
            for key in [key for key in self._due if key[0] == device]:
                del self._due[key]
        self.changed()

    def _keep_no_longer(self, devices: Iterable[str]) -> None:
        self._stop_holding(devices)
        for device in devices:
            if self._parked.pop(device, None) is not None:
                for key in [key for key in self._due if key[0] == device]:
                    del self._due[key]

    def _stop_holding(self, devices: Iterable[str]) -> None:
        for device in devices:
            task = self._holding.pop(device, None)
            if task is not None:
                task.cancel()

    def _hold_all(
        self, run: AttendedRun | None, actions: Iterable[SafeAction], again: Iterable[SafeAction]
    ) -> None:
        """Carry out actions in their time, in the background; ``again`` names those that failed."""
        due = [(_seconds_left(action), action, False) for action in actions]
        for seconds, action, _ in due:
            self._due.setdefault(action.key, time() + seconds)
        due += [(TRY_EVERY, action, True) for action in again]
        for device in {action.device for _, action, _ in due}:
            mine = [one for one in due if one[1].device == device]
            self._holding[device] = asyncio.create_task(
                self._hold(run, device, mine), name=f"holding {device}"
            )
        self.changed()

    async def _hold(
        self, run: AttendedRun | None, device: str, later: list[tuple[float, SafeAction, bool]]
    ) -> None:
        """Carry out each action after its seconds, and what fails again and again."""
        # Real time, whatever the workcell's clock says: on a simulated one waiting makes it.
        clock = asyncio.get_running_loop().time
        due = [(clock() + seconds, action, again) for seconds, action, again in later]
        while due:
            due.sort(key=lambda one: one[0])
            at, action, again = due.pop(0)
            await asyncio.sleep(max(0.0, at - clock()))
            if action.key not in {one.key for one in self.actions([device])}:
                continue
            if not await to_the_end(self._carry_out(run, action, again=again)):
                due.append((clock() + TRY_EVERY, action, True))
        self._holding.pop(device, None)

    async def _carry_out(
        self, run: AttendedRun | None, action: SafeAction, *, again: bool = False
    ) -> bool:
        """Send what makes a device safe.

        Args:
            run: Whose device it is; None: nobody's.
            action: What is sent.
            again: It failed before, and that was told.

        Returns:
            Whether there is nothing left to be tried.
        """
        failure = await self._sent(run, action)
        if failure is None:
            what = f"{action.device}.{action.method} was sent, because {action.why}"
            await self._tell(run, "made_safe", what)
        elif not again:
            await self._tell(run, "not_made_safe", failure)
        return failure is None or action.method is None

    async def _sent(self, run: AttendedRun | None, action: SafeAction) -> str | None:
        """Send it; say why that could not be, or failed."""
        device = self._devices[action.device]
        if action.method is None:
            return f"{device.name}: {action.why}"
        if not device.connected or device.quarantine is not None:
            return f"{device.name}: {action.why}, and cannot be reached"
        command = self._command(run, device.name, action.method, action)
        try:
            args, kwargs = device.arguments(command)
        except NotDecodable as error:
            return f"{device.name}: {error}"
        outcome = (await device.call(command, args, kwargs)).outcome
        self.note(command, outcome)
        if outcome.error is None:
            self._is_off(action)
            return None
        return f"{device.name}.{action.method} failed: {outcome.error.message}; {action.why}"

    def _is_off(self, action: SafeAction) -> None:
        self._due.pop(action.key, None)
        left = self._left.pop(action.device, [])
        self._left[action.device] = [one for one in left if one.key != action.key]
        self.changed()

    def _command(
        self, run: AttendedRun | None, device: str, method: str, action: SafeAction
    ) -> Command:
        self._count += 1
        return Command(
            run_id=_NO_RUN if run is None else run.run_id,
            attempt=0 if run is None else run.attempt,
            branch=_BRANCH,
            ordinal=self._count,
            device=device,
            method=method,
            args=action.args,
            kwargs=action.kwargs,
            kind=CommandKind.REPEATABLE,
            fingerprint=fingerprint(device, method, action.args, action.kwargs),
        )

    async def _tell(self, run: AttendedRun | None, kind: str, message: str) -> None:
        """Write it into the audit trail; a journal that cannot be reached stops nothing here."""
        run_id = None if run is None else run.run_id
        _log.warning("run %s: %s", run_id, message)
        if self._journal is None:
            return
        details: JsonValue = None if run else {"workcell": self._definition.name}
        try:
            await self._journal.event(run_id, kind, message, details)
        except (JournalError, ServiceError) as unwritten:
            _log.warning("not in the audit trail yet: %s", unwritten)
            self.unwritten(run_id, kind, message)


def _seconds_left(action: SafeAction) -> float:
    return seconds_left(action.after_seconds, action.due_at)


def _nobody(_run_id: UUID | None, _kind: str, _message: str) -> None:
    """Nobody wants to hear of it."""


def _nothing() -> None:
    """Nobody wants to hear of it."""
