"""A workcell that a person stops: nothing more is sent, and every device is made safe.

What is under way comes to its end, because no call of a device is ever cancelled. No run goes on by
itself when the workcell is in use again: its devices were made safe, and hands may have been in
there. Each is resumed by somebody, which sets again what it expects, and waits for temperatures.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from praxis_core.errors import WorkcellStopped
from praxis_core.journal.control import Said
from praxis_core.protocol.command import Command
from praxis_core.workcell.attending import AttendedRun
from praxis_core.workcell.in_flight import InFlight
from praxis_core.workcell.workplace import Workplace


@dataclass(slots=True)
class Stopping:
    """Stops a workcell, and takes it into use again."""

    place: Workplace
    _making_safe: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def is_safe(self) -> bool:
        """Whether all that a stop has to send was sent; what holds a temperature holds it."""
        return not self._making_safe

    def stop(self, said: Said) -> Sequence[tuple[AttendedRun, Sequence[Command]]]:
        """Send nothing for any run any more, from this call on, and begin to make devices safe.

        Returns:
            The runs that are there, each with its commands under way.
        """
        self.place.runs.stop(WorkcellStopped(workcell=self.place.definition.name, said=str(said)))
        runs = list(self.place.runs)
        under_way = {run.run_id: self._begun(run) for run in runs}
        if not self.place.inside or runs:
            ending = [one for some in under_way.values() for one in some]
            task = asyncio.create_task(self._make_safe(runs, ending), name="making safe")
            self._making_safe.add(task)
            task.add_done_callback(self._making_safe.discard)
        return [(run, [one.command for one in under_way[run.run_id]]) for run in runs]

    def _begun(self, run: AttendedRun) -> list[InFlight]:
        return [one for one in self.place.in_flight.of(run.run_id) if one.begun]

    async def _make_safe(self, runs: Sequence[AttendedRun], ending: Sequence[InFlight]) -> None:
        await self.place.safekeeping.make_all_safe(runs)
        if ending:
            # What they still switch on is switched off after them.
            await asyncio.wait({one.task for one in ending})
            await self.place.safekeeping.make_all_safe(runs)

    async def until_safe(self, seconds: float) -> bool:
        """Wait for a while until all that a stop has to send was sent; say whether it was."""
        if self._making_safe:
            await asyncio.wait({*self._making_safe}, timeout=seconds)
        return self.is_safe

    def start(self) -> None:
        """Let runs come again."""
        self.place.runs.stopped = None
