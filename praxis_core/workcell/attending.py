"""The runs that a runtime works for, and what each of them may ask."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from praxis_core.errors import ClaimLost, CommandInDoubt, WorkcellStopped
from praxis_core.journal.control import Said
from praxis_core.protocol.command import Command
from praxis_core.workcell.changed import Change
from praxis_core.workcell.deck_changes import DeckFollower
from praxis_core.workcell.taught import Lessons

Key = tuple[str, int]
"""Branch and ordinal: what a command is called within its run, whatever the attempt."""


@dataclass(eq=False, slots=True)
class AttendedRun:
    """One run, with the attempt that has its devices now."""

    run_id: UUID
    attempt: int
    deck: DeckFollower
    token: int | None = None
    devices: set[str] = field(default_factory=set)
    labware: set[str] = field(default_factory=set)
    written: set[Key] = field(default_factory=set)
    """Commands whose intent may be in the journal."""
    unsent: set[Key] = field(default_factory=set)
    """Of these, the ones of which this process knows that nothing was sent."""
    changes: Sequence[Change] = ()
    """What people have changed of how it pipettes, when the attempt came to its devices."""
    lessons: Lessons = field(default_factory=Lessons)
    """What was taught to its devices when the attempt came to them."""
    doubt: str | None = None
    """What nobody knows; until it is answered, nothing more is sent for this run."""
    lost: bool = False
    """Its process is gone."""
    recalled: bool = False
    """An earlier host served it, and it has not come back to this one yet."""
    stopped: WorkcellStopped | None = None
    """Its workcell was stopped while this attempt was there: it sends nothing any more, also when
    the workcell is in use again. Its devices were made safe, and hands may have been in there."""
    pause: Said | None = None
    """Who has paused it; its next command waits until it may go on."""
    _goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    def hold(self, said: Said | None) -> None:
        """Let the next command of this run wait from now on; None: let it go on."""
        self.pause = said
        self._look_again()

    def stop(self, why: WorkcellStopped) -> None:
        """Let nothing be sent for this attempt any more."""
        self.stopped = self.stopped or why
        self._look_again()

    def _look_again(self) -> None:
        if self.pause is None or self.stopped is not None:
            self._goes_on.set()
        else:
            self._goes_on.clear()

    @property
    def waits(self) -> bool:
        """Whether its next command waits until somebody lets it go on."""
        return self.pause is not None and self.stopped is None

    async def until_it_goes_on(self) -> None:
        """Wait until nobody has paused it, or its workcell is stopped."""
        while self.waits:
            await self._goes_on.wait()

    @contextmanager
    def without_pause(self) -> Iterator[None]:
        """Let its commands pass until the block ends: its devices are set as it has left them."""
        pause = self.pause
        self.hold(None)
        try:
            yield
        finally:
            self.hold(self.pause or pause)

    def refuse_stopped(self) -> None:
        """Let nothing be sent for an attempt whose workcell was stopped.

        Raises:
            WorkcellStopped: it was.
        """
        if self.stopped is not None:
            raise type(self.stopped)(**self.stopped.details)

    @property
    def is_away(self) -> bool:
        """Whether no process of this run is there."""
        return self.lost or self.recalled

    def allow(self, command: Command) -> None:
        """Let a command of this run through.

        Raises:
            ClaimLost: another attempt of the run has the devices, or another run has this one.
            CommandInDoubt: nobody knows what an earlier command did.
            WorkcellStopped: the workcell was stopped while the attempt was there.
        """
        self.refuse_stopped()
        if command.attempt != self.attempt or command.token != self.token:
            what = f"attempt {self.attempt} of the run has it now"
            raise _claim_lost(command, what)
        if self.token is not None and command.device not in self.devices:
            raise _claim_lost(command, "another run has it now, or this one never asked for it")
        self.refuse_in_doubt()

    @property
    def choices(self) -> str:
        """What a person types who is asked about the run."""
        return f"praxis run answer {self.run_id} happened | did-not-happen | abort"

    def refuse_in_doubt(self) -> None:
        """Let nothing be done while a question about this run is open.

        Raises:
            CommandInDoubt: one is.
        """
        if self.doubt is not None:
            raise CommandInDoubt(
                command="an earlier command", what=self.doubt, choices=self.choices
            )


class AttendedRuns:
    """The runs of one runtime by their ids."""

    def __init__(self) -> None:
        self._runs: dict[UUID, AttendedRun] = {}
        self.stopped: WorkcellStopped | None = None
        """Why none of them sends anything, and none is taken up."""
        self.given_away: WorkcellStopped | None = None
        """The same, while another program has the hardware, and until somebody has looked."""
        self._told: dict[UUID, Said | None] = {}
        """Who has paused which run, or let it go on (None), as far as it was told here."""

    def __iter__(self) -> Iterator[AttendedRun]:
        return iter(list(self._runs.values()))

    def find(self, run_id: UUID) -> AttendedRun | None:
        """Give a run; None when it never asked for devices."""
        return self._runs.get(run_id)

    def add(self, run: AttendedRun) -> AttendedRun:
        """Take up a run; it is stopped with all others if that was said meanwhile."""
        self._runs[run.run_id] = run
        if self.closed is not None:
            run.stop(self.closed)
        return run

    @property
    def closed(self) -> WorkcellStopped | None:
        """Why none of them sends anything; None: they may."""
        return self.given_away or self.stopped

    def hold(self, run_id: UUID, said: Said | None) -> AttendedRun | None:
        """Let the next command of a run wait, now or when it comes; None: let it go on."""
        self._told[run_id] = said
        run = self._runs.get(run_id)
        if run is not None:
            run.hold(said)
        return run

    def pause_of(self, run_id: UUID, written: Said | None) -> Said | None:
        """Tell who has paused a run: what was told here is newer than what was written before."""
        return self._told.get(run_id, written)

    def stop(self, why: WorkcellStopped) -> None:
        """Let nothing be sent for any of them any more, from this moment on."""
        self.stopped = why
        for run in self:
            run.stop(why)

    def refuse_while_stopped(self) -> None:
        """Let no run come to a workcell that is stopped, or given away.

        Raises:
            WorkcellStopped: it is.
        """
        if self.closed is not None:
            raise type(self.closed)(**self.closed.details)

    def drop(self, run_id: UUID) -> None:
        """Forget a run."""
        self._runs.pop(run_id, None)

    def of(self, command: Command) -> AttendedRun:
        """Give the run of a command.

        Raises:
            ClaimLost: it has a token, but no devices.
        """
        run = self._runs.get(command.run_id)
        if run is not None:
            return run
        if command.token is not None:
            raise _claim_lost(command, "the run gave its devices back, or never asked for them")
        # Nobody else can want the devices: a runtime for this run alone.
        return self.add(AttendedRun(command.run_id, command.attempt, DeckFollower()))

    def others_with(self, devices: Iterable[str], run_id: UUID) -> list[AttendedRun]:
        """List the other runs that have one of these devices."""
        wanted = set(devices)
        return [run for run in self if run.run_id != run_id and run.devices & wanted]


def _claim_lost(command: Command, what: str) -> ClaimLost:
    return ClaimLost(
        run_id=command.run_id, attempt=command.attempt, device=command.device, what=what
    )
