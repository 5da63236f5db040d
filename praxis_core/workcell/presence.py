"""The processes of runs: what is done with their devices when they come back, go or are lost."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from praxis_core.errors import JournalError, RunNotFound, ServiceError
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.workcell.attending import AttendedRun
from praxis_core.workcell.deck_changes import DeckFollower
from praxis_core.workcell.recovery import Recovery
from praxis_core.workcell.restoring import Restoration
from praxis_core.workcell.workplace import Workplace

_log = logging.getLogger(__name__)

_MAY_COME_BACK = {RunStatus.FAILED, RunStatus.IN_DOUBT, RunStatus.INTERRUPTED}

_ASKED_SECONDS = 2.0
"""How long the journal is asked whether a run that is away is parked."""


@dataclass(frozen=True, slots=True)
class Presence:
    """Does what is due when the process of a run comes or goes."""

    place: Workplace
    restoration: Restoration
    recovery: Recovery | None
    """None: there is no journal."""

    async def back(self, run: AttendedRun) -> None:
        """Let a run go on whose process was away, with its devices set as it left them."""
        was_lost, run.lost = run.lost, False
        if self.place.journal is None or run.doubt is not None:
            return
        if was_lost:
            await self._say(run, RunStatus.RUNNING)
        recorded = await self.place.journal.recorded(run.run_id)
        expected = self.place.safekeeping.expected_of(
            (record.command, record.outcome) for record in recorded if record.outcome is not None
        )
        # Its connection waits for this, so that nothing here can wait for a temperature.
        restored = await self.restoration.set_again(run, expected)
        if restored:
            what = "The devices were set again as the run had left them."
            await self.place.journal.event(run.run_id, "restored", what, restored)

    async def gone(self, run: AttendedRun, ended: RunStatus) -> None:
        """Leave on what may stay on when an attempt has ended, and nothing else."""
        if ended is RunStatus.PARKED:
            await self._park(run)
        elif not self.place.inside:  # else they go off when they are disconnected
            if ended in _MAY_COME_BACK:
                await self.place.safekeeping.make_safe(run)
            else:
                await self.place.safekeeping.switch_off(run)
        if self.place.journal is not None:
            await self.place.journal.settled_of(run.run_id, run.attempt)

    async def lost(self, run: AttendedRun) -> None:
        """Make the devices of a run safe whose process is gone; it is interrupted."""
        run.lost = True
        if await self._is_parked(run):
            await self._park(run)
            return
        self.place.in_flight.break_off(run.run_id)
        await self.place.safekeeping.make_safe(run)
        if self.place.in_flight.of(run.run_id):
            await self.place.in_flight.end(run.run_id)
            await self.place.safekeeping.make_safe(run)
        if run.recalled and self.recovery is not None:
            await self.recovery.settle_rest(run)
        await self._say(run, RunStatus.INTERRUPTED)

    async def see_to_parked(self) -> None:
        """Leave the devices of all parked runs as they are, and switch off those given up.

        Raises:
            ServiceError: the journal cannot be read.
        """
        journal, keeping = self.place.journal, self.place.safekeeping
        if journal is None or self.place.inside:
            return
        name = self.place.definition.name
        claims = await journal.claims(name)
        for record in await journal.runs_unfinished(name):
            known = self.place.runs.find(record.run_id)
            # One that is there yet is about to say good-bye.
            if record.status is RunStatus.PARKED and (known is None or known.is_away):
                mine = [one for one in claims if one.run_id == record.run_id]
                run = AttendedRun(record.run_id, record.attempt, DeckFollower(), mine[0].token)
                run.devices = {one.asset for one in mine} & self.place.devices.keys()
                keeping.park(run, record.parked_until, self.place.clock.now())
        for run_id in keeping.parked:
            record = await journal.run(run_id)
            if record.status.ended:
                run = AttendedRun(run_id, record.attempt, DeckFollower())
                run.devices = keeping.parked_for(run_id)
                known = self.place.runs.find(run_id)
                if known is not None and known.is_away:
                    self.place.runs.drop(run_id)
                await keeping.switch_off(run)

    async def _is_parked(self, run: AttendedRun) -> bool:
        """Whether it was parked before it could say so; nobody waits long for the answer."""
        if self.place.journal is None:
            return False
        with suppress(TimeoutError, JournalError, ServiceError, RunNotFound):
            async with asyncio.timeout(_ASKED_SECONDS):
                return (await self.place.journal.run(run.run_id)).status is RunStatus.PARKED
        return False

    async def _park(self, run: AttendedRun) -> None:
        now = self.place.clock.now()
        until: datetime | None = now
        if self.place.journal is not None:
            try:
                until = (await self.place.journal.run(run.run_id)).parked_until
            except (JournalError, ServiceError) as error:
                # Until the journal is there again it is parked until now, and may be late.
                _log.warning("until when run %s is parked is not known: %s", run.run_id, error)
        self.place.safekeeping.park(run, until, now)

    async def _say(self, run: AttendedRun, status: RunStatus) -> None:
        """Say in the journal where a run is, as far as that is possible and can be written."""
        if self.place.journal is None:
            return
        try:
            await self.place.journal.set_status(run.run_id, status, attempt=run.attempt)
        except (JournalError, ServiceError) as error:
            _log.warning("run %s is not noted as %s: %s", run.run_id, status, error)
