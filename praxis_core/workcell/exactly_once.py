"""A command is carried out once, whatever breaks: intent before, outcome after, doubt in between.

What is certain decides. A command with an outcome is not done again, and one that certainly was not
sent is. What reads or sets is repeated when the line to its device broke. Of a command that happens
once and may have been sent nobody guesses: the device is asked if it can tell, else a person.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from time import perf_counter
from typing import Any, Protocol

from pydantic import JsonValue

from praxis_core.errors import (
    DeviceLinkLost,
    DeviceQuarantined,
    HostReplaced,
    JournalError,
    LabRefused,
    ServiceError,
    WorkcellStopped,
)
from praxis_core.journal.command_writer import AssetValues
from praxis_core.journal.record import Journal
from praxis_core.journal.records import CommandRecord
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.labware.encoding import encode_error
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import CommandKind, OutcomeStatus, Sent
from praxis_core.workcell.attending import AttendedRun
from praxis_core.workcell.clock import Clock
from praxis_core.workcell.device import Called, Device
from praxis_core.workcell.doubts import Doubts
from praxis_core.workcell.evidence import happened
from praxis_core.workcell.failures import Failures
from praxis_core.workcell.link import Ended
from praxis_core.workcell.measurements import measurements_of
from praxis_core.workcell.meter import Meter, Stopwatch
from praxis_core.workcell.reach import Reach
from praxis_core.workcell.retries import Retries
from praxis_core.workcell.teaching import as_people_said
from praxis_core.workcell.time_limits import TimeLimit

_log = logging.getLogger(__name__)

TRIES = 3
"""How often something that may be repeated is tried while the line to its device breaks."""

ASKING_SECONDS = 60.0
"""How long a device may take to tell about its tips."""


_SHOWN = {
    True: ("command_happened", "it was not answered, and the device's tips show that it happened"),
    False: ("command_did_not_happen", "it was not answered, and the device's tips show that"),
}

_UNFINISHED = "it may have been sent, and the host ended before the device answered"


Enter = Callable[[Command, Outcome], AssetValues | None]
"""Enters how a command ended, and gives what is written of it with its outcome."""

Look = Callable[[], Awaitable[tuple[JsonValue, Enter]]]
"""Finds something out, and says what it is and how it is entered."""


class Audience(Protocol):
    """Who hears what becomes of a command."""

    async def stands_against(self, command: Command) -> Exception | None:
        """Say what a command fails with that must not be sent, whatever the device would do.

        Raises:
            ServiceUnreachable: nobody can tell.
        """

    def sending(self, command: Command) -> None:
        """A command is about to be sent."""

    def ended(self, command: Command, outcome: Outcome) -> AssetValues | None:
        """A command has ended, and it is known how; give what is written of it with its outcome."""

    def doubted(self, command: Command, outcome: Outcome) -> None:
        """A command was sent, and nobody knows whether it happened."""

    def held_back(self, command: Command, outcome: Outcome) -> None:
        """A command that was about to be sent was not, unless an earlier try of it was."""

    def proved(self, command: Command, outcome: Outcome) -> AssetValues | None:
        """It was found out how an earlier command ended; as ``ended``."""

    def told(self, command: Command, outcome: Outcome) -> AssetValues | None:
        """A run has told how an earlier command ended; as ``ended``."""

    def disproved(self, command: Command) -> None:
        """It was found out that an earlier command did not happen."""

    def unwritten(self) -> None:
        """What was given to be written with an outcome was not taken in."""

    def quarantined(self, device: Device, command: Command) -> None:
        """A device did not answer in time."""


@dataclass(frozen=True, slots=True)
class _Work:
    """One command with all that is needed to carry it out."""

    run: AttendedRun
    device: Device
    command: Command
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    watch: Stopwatch = field(default_factory=Stopwatch)

    @property
    def arguments(self) -> Mapping[str, Any]:
        return self.device.bound(self.command.method, self.args, self.kwargs)

    @property
    def once(self) -> bool:
        return self.command.kind is CommandKind.ONCE


class ExactlyOnce:
    """Carries commands out, each when it is its device's turn.

    Args:
        workcell: Its name.
        journal: Where they are recorded; None: nowhere.
        epoch: Of the host; None: there is none.
        reach: The lines to the devices.
        clock: Where times come from.
        time_limit: How long a call may take.
        audience: Hears what becomes of each.
        retries: Tries again what failed, where it may.
        failures: Says of which failures people are asked.
        meter: Counts what becomes of each; None: nobody does.
    """

    def __init__(  # noqa: PLR0913  # what it stands between, by name
        self,
        *,
        workcell: str,
        journal: Journal | None,
        epoch: int | None,
        reach: Reach,
        clock: Clock,
        time_limit: TimeLimit,
        audience: Audience,
        retries: Retries,
        failures: Failures,
        meter: Meter | None = None,
    ) -> None:
        self._workcell = workcell
        self._journal = journal
        self._epoch = epoch
        self._reach = reach
        self._clock = clock
        self._time_limit = time_limit
        self._audience = audience
        self._retries = retries
        self._failures = failures
        self._meter = meter
        self.doubts = Doubts(journal)
        self._hung: dict[asyncio.Future[Called], Command] = {}

    async def carry_out(self, run: AttendedRun, device: Device, command: Command) -> Outcome:
        """Carry a command out, or tell how it ended before.

        Raises:
            CommandInDoubt: nobody knows whether it happened.
            MethodUnknown, NotDecodable: nothing was sent.
            ClaimLost, HostReplaced, JournalError, ServiceUnreachable: there is no intent, and
                nothing was sent.
            WorkcellStopped: it was not sent, and counts as not done.
        """
        args, kwargs = device.arguments(command)
        work = _Work(run, device, command, args, kwargs)
        if self._meter is None:
            return await self._carried_out(work)
        try:
            outcome = await self._carried_out(work)
        except Exception as error:
            self._meter.ended(command, error, work.watch)
            raise
        if not work.watch.told_again:
            self._meter.ended(command, outcome, work.watch)
        return outcome

    async def _carried_out(self, work: _Work) -> Outcome:
        run, device, command = work.run, work.device, work.command
        earlier = await self._earlier(work)
        if earlier is not None:
            if earlier.outcome is not None:
                work.watch.told_again = True
                return earlier.outcome
            certain = await self._found_out(work, earlier)
            if work.once and certain is not False:
                return await self._settled(work, earlier.command, happened=certain)
            await self._set_aside(earlier, command)
        if self._journal is not None:
            # After what is compared with the past, which holds only what the protocol asked for.
            given = await as_people_said(
                self._journal, run, device, command, (work.args, work.kwargs)
            )
            work = replace(work, args=given[0], kwargs=given[1])
        refusal = await self._audience.stands_against(command)
        await self._intend(work)
        return await (self._send(work) if refusal is None else self._refused(work, refusal))

    async def look(self, run: AttendedRun, device: Device, command: Command, look: Look) -> Outcome:
        """Let something be found out without the device, as a command that observes.

        Raises:
            JournalError, ServiceUnreachable: it cannot be, or cannot be written.
        """
        earlier = await self._earlier(_Work(run, device, command, (), {}))
        if earlier is not None and earlier.outcome is not None:
            return earlier.outcome
        run.written.add((command.branch, command.ordinal))
        began = self._clock.now()
        value, enter = await look()
        outcome = Outcome(OutcomeStatus.SUCCEEDED, began, self._clock.now(), value=value)
        await self._record(command, outcome, enter)
        return outcome

    # --- what was done before ---------------------------------------------------------------------

    async def _earlier(self, work: _Work) -> CommandRecord | None:
        """Look up a command that may be in the journal already: it was sent to us again."""
        command, key = work.command, (work.command.branch, work.command.ordinal)
        if self._journal is None or key not in work.run.written:
            return None
        record = await self._journal.find_command(command.run_id, *key)
        if record is not None and record.command.fingerprint != command.fingerprint:
            what = f"{command.name} is written already, and differs: {record.command.name}"
            raise JournalError(what=what)
        return record

    async def _found_out(self, work: _Work, earlier: CommandRecord) -> bool | None:
        """Whether a command with an intent and no outcome happened; None: nobody can tell."""
        if earlier.key in work.run.unsent:
            return False
        return await self._evidence_of_earlier(work)

    async def _settled(self, work: _Work, earlier: Command, *, happened: bool | None) -> Outcome:
        """End a command that may have happened: the device proves it, or a person is asked."""
        if happened:
            return await self._proved(earlier)
        raise await self._in_doubt(work, _UNFINISHED, None)

    async def settle(self, run: AttendedRun, device: Device, record: CommandRecord) -> None:
        """Find out about a command of an earlier host that has no outcome, before it is sent again.

        Nothing is sent but questions. What may be repeated is left as it is.
        """
        if record.command.kind is not CommandKind.ONCE or record.outcome is not None:
            return
        args, kwargs = device.arguments(record.command)
        work = _Work(run, device, record.command, args, kwargs)
        evidence = await self._evidence_of_earlier(work)
        if evidence is True:
            await self._proved(record.command)
        elif evidence is False:
            run.unsent.add(record.key)
            self._audience.disproved(record.command)
            await self._tell(record.command, *_SHOWN[False])
        else:
            await self._in_doubt(work, _UNFINISHED, None)

    async def _evidence_of_earlier(self, work: _Work) -> bool | None:
        """Ask the device about what an earlier host sent; a set-up has destroyed the evidence."""
        return None if work.device.set_up_anew else await self._evidence(work)

    async def _evidence(self, work: _Work) -> bool | None:
        """Ask the device, if it senses what is there."""
        reachable = work.device.connected and work.device.quarantine is None
        if not self._reach.can_sense or not reachable:
            return None
        asking = asyncio.ensure_future(self._asked(work))
        done, _ = await asyncio.wait({asking}, timeout=ASKING_SECONDS)
        return asking.result() if done else None

    @staticmethod
    async def _asked(work: _Work) -> bool | None:
        async with work.device.lock:
            return await happened(work.device, work.command.method, work.arguments)

    async def _proved(self, command: Command) -> Outcome:
        now = self._clock.now()
        outcome = Outcome(OutcomeStatus.SUCCEEDED, now, now)
        await self._tell(command, *_SHOWN[True])
        await self._record(command, outcome, self._audience.proved)
        return outcome

    async def _set_aside(self, earlier: CommandRecord, command: Command) -> None:
        """Make room for a new intent; the same attempt's own intent may simply be repeated."""
        if self._journal is not None and earlier.command.attempt != command.attempt:
            branch, ordinal = earlier.key
            await self._journal.set_aside(earlier.command.run_id, branch, ordinal)

    # --- what is done now -------------------------------------------------------------------------

    async def _intend(self, work: _Work) -> None:
        command, run = work.command, work.run
        if self._journal is None:
            return
        key = (command.branch, command.ordinal)
        run.written.add(key)  # also what is only read: sent again, it is told what it read
        if command.kind is CommandKind.OBSERVE:
            return
        run.unsent.add(key)
        await self._journal.command_intent(command, self._clock.now(), epoch=self._epoch)
        run.unsent.discard(key)

    async def _send(self, work: _Work) -> Outcome:
        self._audience.sending(work.command)
        try:
            once = partial(self._certain, work)
            outcome = await self._retries.of(work.device, work.command, once)
        except WorkcellStopped:
            await self._not_sent(work)
            raise
        return await self._ended(work, outcome)

    async def _ended(self, work: _Work, outcome: Outcome) -> Outcome:
        """Write down how a command ended, unless a person is asked about it first.

        Raises:
            CommandInDoubt: it failed, and waits for what a person says.
        """
        command = work.command
        quarantined = work.device.quarantine is not None
        if self._journal is None or quarantined or not self._failures.ask(command, outcome):
            await self._record(command, outcome, self._audience.ended)
            return outcome
        if command.kind is CommandKind.OBSERVE:  # what the answer is about
            await self._journal.command_intent(command, self._clock.now(), epoch=self._epoch)
        self._audience.doubted(command, outcome)
        raise await self.doubts.failed(work.run, command, outcome)

    async def _not_sent(self, work: _Work) -> None:
        """Let a command count as not done whose workcell was stopped between intent and call."""
        run, command, now = work.run, work.command, self._clock.now()
        # What could be on because of an earlier try is switched off, as if it were.
        unknown = Outcome(OutcomeStatus.FAILED, now, now, sent=Sent.UNKNOWN)
        self._audience.held_back(command, unknown)
        if self._journal is None or command.kind is CommandKind.OBSERVE:
            return
        run.unsent.add((command.branch, command.ordinal))
        try:
            await self._journal.set_aside(run.run_id, command.branch, command.ordinal)
        except (JournalError, ServiceError) as error:
            # This process knows it; should it die as well, the command is asked about.
            _log.warning("that %s was not sent is not written: %s", command.name, error)

    async def _refused(self, work: _Work, refusal: Exception) -> Outcome:
        """Let a command fail that is not sent: its run, and a replay of it, hear the same."""
        now, error = self._clock.now(), encode_error(refusal)
        outcome = Outcome(OutcomeStatus.FAILED, now, now, error=error, sent=Sent.NONE)
        return await self._ended(work, outcome)

    async def _certain(self, work: _Work) -> Outcome:
        """Call the device, and find out what happened when there is no answer.

        Raises:
            CommandInDoubt: nobody can tell.
            WorkcellStopped: it was not sent, or that it was does no harm.
        """
        for _ in range(TRIES):
            outcome = (await self._tried(work)).outcome
            if not work.once or outcome.sent is not Sent.UNKNOWN:
                break
            outcome = await self._unanswered(work, outcome)
            if outcome.sent is not Sent.NONE:
                break
            # The device proves that nothing happened: the next call is the first one.
        return outcome

    async def _tried(self, work: _Work) -> Called:
        """Call the device, again when its line broke and a second call can do no harm."""
        for _ in range(TRIES - 1):
            called = await self._called(work)
            if not called.link_lost or work.device.quarantine:
                return called
            if work.once and called.outcome.sent is not Sent.NONE:
                return called
            if not await self._reconnected(work.device):
                return called
        return await self._called(work)

    async def _called(self, work: _Work) -> Called:
        """Call the device; nobody ever cancels that, but nobody waits for it forever either."""
        command = work.command
        limit = self._time_limit(work.device, command, work.arguments)
        calling = work.device.call(command, work.args, work.kwargs, work.run.refuse_stopped)
        call, began = asyncio.ensure_future(calling), perf_counter()
        done, _ = await asyncio.wait({call}, timeout=limit)
        if done:
            called = call.result()
            self._note_call(work, began)
            return called
        self._note_call(work, began)
        what = f"{command.method} did not end within {limit:g} s"
        work.device.quarantine = what
        self._hung[call] = command
        call.add_done_callback(lambda ended: self._answered_late(command, ended))
        self._audience.quarantined(work.device, command)
        await self._tell(command, "device_quarantined", f"{command.device} is out of use: {what}")
        now = self._clock.now()
        error = encode_error(TimeoutError(f"{command.device}: {what}"))
        failed = OutcomeStatus.FAILED
        return Called(Outcome(failed, now, now, error=error, sent=Sent.UNKNOWN), link_lost=True)

    def _note_call(self, work: _Work, began: float) -> None:
        seconds = work.watch.called(began)
        if self._meter is not None:
            self._meter.called(work.command, seconds)

    def _answered_late(self, command: Command, call: asyncio.Future[Called]) -> None:
        self._hung.pop(call, None)
        if not call.cancelled() and call.exception() is None:
            outcome = call.result().outcome
            said = "without an error" if outcome.error is None else outcome.error.message
            _log.warning("%s, out of use, has ended after all: %s", command.name, said)

    def hanging(self, device: str) -> Command | None:
        """Give the command whose call put a device out of use, while it has not ended."""
        return next((one for one in self._hung.values() if one.device == device), None)

    async def _reconnected(self, device: Device) -> bool:
        try:
            await self._reach.reconnect(device.name)
        except (DeviceLinkLost, LabRefused, OSError) as error:
            _log.warning("%s is not reached again: %s", device.name, error)
            return False
        return True

    async def _unanswered(self, work: _Work, outcome: Outcome) -> Outcome:
        """Find out what became of a command that was not answered.

        Returns:
            What the device proves: it happened, or it did not and may be told as an error.

        Raises:
            CommandInDoubt: the device cannot tell.
        """
        reachable = work.device.quarantine is None and await self._reconnected(work.device)
        evidence = await self._evidence(work) if reachable else None
        await self._refuse_if_replaced(work.command)
        if evidence is None:
            self._audience.doubted(work.command, outcome)
            said = "" if outcome.error is None else f": {outcome.error.message}"
            raise await self._in_doubt(work, f"the device did not answer{said}", outcome.error)
        await self._tell(work.command, *_SHOWN[evidence])
        if not evidence:
            return replace(outcome, sent=Sent.NONE)
        return Outcome(OutcomeStatus.SUCCEEDED, outcome.started_at, self._clock.now())

    async def _refuse_if_replaced(self, command: Command) -> None:
        """Leave a command to the newer host, which has the device and finds out about it.

        Raises:
            HostReplaced: there is one.
        """
        if self._journal is None or self._epoch is None:
            return
        try:
            newest = await self._journal.host_epoch(self._workcell)
        except ServiceError:
            return
        if newest is not None and newest > self._epoch:
            _log.warning("%s is left to a newer host", command.name)
            raise HostReplaced(workcell=self._workcell, epoch=self._epoch, newest=newest)

    async def _in_doubt(self, work: _Work, what: str, error: EncodedError | None) -> Exception:
        return await self.doubts.about(work.run, work.command, what, error)

    # --- writing ----------------------------------------------------------------------------------

    async def _record(self, command: Command, outcome: Outcome, enter: Enter) -> None:
        """Enter and write down how a command ended; nobody waits but who observed something.

        What was observed has no intent: a process that dies would leave nothing of it. Between what
        is entered and its place among all that is written nothing else may come.
        """
        if self._journal is None:
            enter(command, outcome)
            return
        try:
            try:
                measurements = measurements_of(command, outcome)
                await self._journal.flush_of(command.run_id)
            finally:
                assets = enter(command, outcome)
            if command.kind is CommandKind.OBSERVE:
                await self._journal.command_outcome(command, outcome, measurements, assets)
            else:
                await self._journal.take_outcome(command, outcome, measurements, assets)
        except (JournalError, ServiceError):
            self._audience.unwritten()
            raise

    async def told(self, run: AttendedRun, ended: Ended) -> Command | None:
        """Write down what an earlier host told a run, and died before it was written.

        Returns:
            The command, as it was intended; None: there is nothing to be written.

        Raises:
            JournalError, ServiceUnreachable: it cannot be written.
        """
        command = ended.command
        if self._journal is None or command.run_id != run.run_id:
            return None
        record = await self._journal.find_command(run.run_id, command.branch, command.ordinal)
        if record is None or record.outcome is not None:
            return None
        if record.command.fingerprint != command.fingerprint:
            raise JournalError(what=f"{command.name} is not {record.command.name}, as was written")
        measurements = measurements_of(record.command, ended.outcome)
        await self._journal.flush_of(run.run_id)
        assets = self._audience.told(record.command, ended.outcome)
        try:
            await self._journal.command_outcome(record.command, ended.outcome, measurements, assets)
        except (JournalError, ServiceError):
            self._audience.unwritten()
            raise
        return record.command

    async def _tell(self, command: Command, kind: str, what: str) -> None:
        """Add a line to the audit trail; a journal that cannot be reached stops nothing here."""
        if self._journal is None:
            return
        try:
            await self._journal.event(command.run_id, kind, f"{command.name}: {what}")
        except (JournalError, ServiceError) as unwritten:
            _log.warning("not in the audit trail: %s: %s (%s)", command.name, what, unwritten)


def refuse_quarantined(workcell: str, device: Device) -> None:
    """Let no command through to a device that is out of use.

    Raises:
        DeviceQuarantined: it is.
    """
    if device.quarantine is not None:
        raise DeviceQuarantined(device=device.name, workcell=workcell, what=device.quarantine)
