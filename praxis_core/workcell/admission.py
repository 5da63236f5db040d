"""Runs let to their devices, as they may expect them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from praxis_core.errors import ClaimLost, WorkcellStopped
from praxis_core.journal.control import Control
from praxis_core.workcell.attending import AttendedRun
from praxis_core.workcell.changed import changes_in
from praxis_core.workcell.deck_changes import DeckFollower
from praxis_core.workcell.initial_state import confirm
from praxis_core.workcell.link import Attaching
from praxis_core.workcell.presence import Presence
from praxis_core.workcell.recovery import Recovery
from praxis_core.workcell.stage import Stage
from praxis_core.workcell.teaching import lessons_of
from praxis_core.workcell.workplace import Workplace


@dataclass(frozen=True, slots=True)
class Admission:
    """Lets runs to their devices, one after another."""

    place: Workplace
    stage: Stage
    """What a run finds that is new."""
    presence: Presence
    """What becomes of one whose process was away."""
    recovery: Recovery | None
    """What a run finds that goes on; None: there is no journal."""
    control: Control | None
    """What people have said of a run; None: there is no journal."""
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def admit(self, asking: Attaching) -> AttendedRun:
        """Give a run its devices, which are connected; see ``WorkcellRuntime.attach``."""
        async with self._turn:
            return await self._admit(asking)

    async def _admit(self, asking: Attaching) -> AttendedRun:
        known = self.place.runs.find(asking.run_id)
        _refuse_overtaken(known, asking)
        await self._refuse_stopped(known, asking)
        await self._take_from_others(asking)
        run = AttendedRun(asking.run_id, asking.attempt, DeckFollower())
        if known is not None and known.attempt == asking.attempt and not _is_unknown(known, asking):
            run = known
        elif known is not None:
            await self.place.in_flight.end(known.run_id)
            await self._settle_rest(known)
            run.unsent |= known.unsent
        run.token = asking.token
        run.devices, run.labware = set(asking.devices), set(asking.labware)
        if run.lessons.model is None and self.place.journal is not None:
            run.lessons = await lessons_of(self.place.journal, self.place.model)
            run.changes = changes_in(await self.place.journal.events(run.run_id))
        if run is not known:
            await self._prepare(run, asking)
            self.place.runs.add(run)
            # Asked just now, because nobody else could know: the attempt is not to begin.
            run.refuse_in_doubt()
        if self.control is not None:
            written = await self.control.pause_of(run.run_id)
            run.hold(self.place.runs.pause_of(run.run_id, written))
        run.refuse_stopped()  # it may have been just now
        self.place.safekeeping.hold_no_longer(asking.devices)
        await self._welcome(run, asking)
        return run

    async def _refuse_stopped(self, known: AttendedRun | None, asking: Attaching) -> None:
        """Let nobody come to a workcell that is stopped, and no attempt back that was there then.

        What it alone knows is heard all the same.

        Raises:
            WorkcellStopped: it is, or it was.
        """
        stopped = self.place.runs.closed
        if stopped is None and known is not None and known.attempt == asking.attempt:
            stopped = known.stopped
        if stopped is None and asking.resuming and self.control is not None:
            if not await self.control.was_stopped(asking.run_id, asking.attempt):
                return
            said = "while this attempt of the run was at work"
            stopped = WorkcellStopped(workcell=self.place.definition.name, said=said)
        if stopped is None:
            return
        if known is not None and self.recovery is not None:
            await self.recovery.be_told(known, asking.known)
        raise type(stopped)(**stopped.details)

    async def _take_from_others(self, asking: Attaching) -> None:
        """End what other runs do with the devices: whoever has the newest claim has them."""
        for other in self.place.runs.others_with(asking.devices, asking.run_id):
            if (other.token or 0) > (asking.token or 0):
                what = f"run {other.run_id} has it now"
                device = ", ".join(sorted(other.devices & set(asking.devices)))
                raise ClaimLost(
                    run_id=asking.run_id, attempt=asking.attempt, device=device, what=what
                )
            await self._settle_rest(other)
            other.devices -= set(asking.devices)
            await self.place.in_flight.end(other.run_id, asking.devices)

    async def _prepare(self, run: AttendedRun, asking: Attaching) -> None:
        """Let an attempt find what it may expect: what there is, or what it left."""
        journal = self.place.journal
        recorded = [] if journal is None else await journal.recorded(run.run_id)
        run.written = {record.key for record in recorded}
        if not asking.resuming:
            await self.stage.set_for(run)
            devices = [self.place.devices.named(name) for name in asking.devices]
            await confirm(devices, self.place.definition, self.place.books.assets)
            return
        self.place.runs.add(run)
        if self.recovery is not None:
            await self.recovery.go_on(run, recorded)

    async def _welcome(self, run: AttendedRun, asking: Attaching) -> None:
        """Hear what a run knows, and let it go on if its process was away."""
        if self.recovery is not None:
            await self.recovery.be_told(run, asking.known)
        was_away = run.lost or run.recalled
        await self._settle_rest(run)
        if was_away:
            # Others wait for this, and a pause may last: its devices are set as it has left them.
            with run.without_pause():
                await self.presence.back(run)

    async def _settle_rest(self, run: AttendedRun) -> None:
        if run.recalled and self.recovery is not None:
            await self.recovery.settle_rest(run)


def _refuse_overtaken(known: AttendedRun | None, asking: Attaching) -> None:
    """Let no attempt have devices that a newer one of the run has.

    Raises:
        ClaimLost: one has.
    """
    if known is None:
        return
    if (known.attempt, known.token or 0) > (asking.attempt, asking.token or 0):
        what = f"attempt {known.attempt} of the run has its devices now"
        raise ClaimLost(run_id=known.run_id, attempt=asking.attempt, device="", what=what)


def _is_unknown(run: AttendedRun, asking: Attaching) -> bool:
    """Whether an earlier host may not even have set the stage for a run: it had only claimed."""
    return run.recalled and not asking.resuming
