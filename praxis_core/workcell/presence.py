"""The processes of runs: what is done with their devices when they come back, go or are lost."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from praxis_core.errors import JournalError, ServiceError
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.workcell.attending import AttendedRun
from praxis_core.workcell.recovery import Recovery
from praxis_core.workcell.restoring import Restoration
from praxis_core.workcell.workplace import Workplace

_log = logging.getLogger(__name__)

_MAY_COME_BACK = {RunStatus.FAILED, RunStatus.IN_DOUBT, RunStatus.INTERRUPTED}


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
        if not self.place.inside:  # else they go off when they are disconnected
            if ended in _MAY_COME_BACK:
                await self.place.safekeeping.make_safe(run)
            else:
                await self.place.safekeeping.switch_off(run)
        if self.place.journal is not None:
            await self.place.journal.settled_of(run.run_id, run.attempt)

    async def lost(self, run: AttendedRun) -> None:
        """Make the devices of a run safe whose process is gone; it is interrupted."""
        run.lost = True
        self.place.in_flight.break_off(run.run_id)
        await self.place.safekeeping.make_safe(run)
        if self.place.in_flight.of(run.run_id):
            await self.place.in_flight.end(run.run_id)
            await self.place.safekeeping.make_safe(run)
        if run.recalled and self.recovery is not None:
            await self.recovery.settle_rest(run)
        await self._say(run, RunStatus.INTERRUPTED)

    async def _say(self, run: AttendedRun, status: RunStatus) -> None:
        """Say in the journal where a run is, as far as that is possible and can be written."""
        if self.place.journal is None:
            return
        try:
            await self.place.journal.set_status(run.run_id, status, attempt=run.attempt)
        except (JournalError, ServiceError) as error:
            _log.warning("run %s is not noted as %s: %s", run.run_id, status, error)
