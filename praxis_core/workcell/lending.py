"""The hardware given to another program, and taken back.

While another program has it, no line to any device is open or opened, and nothing makes a device
safe: not this process, and not its watchdog. What is known of the deck stays as it is.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from praxis_core.errors import (
    DevicesNotConnected,
    WorkcellReleased,
    WorkcellStopped,
    WorkcellUnverified,
)
from praxis_core.journal.control import Said, Standing, WorkcellStanding
from praxis_core.workcell.attending import AttendedRun
from praxis_core.workcell.connections import Connections
from praxis_core.workcell.workplace import Workplace

_ERRORS = {Standing.RELEASED: WorkcellReleased, Standing.RECLAIMED: WorkcellUnverified}


@dataclass(frozen=True, slots=True)
class Lending:
    """Gives the devices of a workcell away, and takes them back."""

    place: Workplace
    connections: Connections

    def close(self, standing: Standing, said: Said) -> WorkcellStopped | None:
        """Give no run any device from now on.

        Args:
            standing: ``RELEASED``, or ``RECLAIMED``: until somebody has looked at the deck.
            said: Who said so.

        Returns:
            What was so before; see ``put_back``.
        """
        workcell, before = self.place.definition.name, self.place.runs.given_away
        self.place.runs.given_away = _ERRORS[standing](workcell=workcell, said=str(said))
        return before

    def put_back(self, before: WorkcellStopped | None) -> None:
        """Let it be as before it was closed."""
        self.place.runs.given_away = before

    def open(self) -> None:
        """Let runs come again, and devices be connected."""
        self.place.runs.given_away = None
        self.place.reach.take_up()

    @property
    def is_released(self) -> bool:
        """Whether another program has the hardware."""
        return isinstance(self.place.runs.given_away, WorkcellReleased)

    async def make_safe(self) -> list[str]:
        """Switch off what is on.

        Returns:
            What keeps a device from being given away, a sentence for each.
        """
        busy = [f"{name} is being connected" for name in self.connections.under_way]
        busy += [
            f"a call of {name} is under way, and no call is ever cancelled"
            for name, device in self.place.devices.items()
            if device.lock.locked()
        ]
        return busy or await self.place.safekeeping.switch_off_all()

    async def let_go(self) -> list[AttendedRun]:
        """Close the lines to all devices, which stay as they are.

        Returns:
            The runs that had devices here and stopped. None of their attempts goes on: others will
            have been at the devices.
        """
        runs = list(self.place.runs)
        why = self.place.runs.given_away
        for run in runs:
            if why is not None:
                run.stop(why)
        await self.connections.disconnect(self.place.devices.values())
        await self.place.reach.let_go()
        self.place.safekeeping.forget_all()
        return runs

    async def find(self, standing: WorkcellStanding) -> None:
        """Be as an earlier host has left it; to be called before any device is connected."""
        self.close(standing.standing, standing.said)
        if self.is_released:
            await self.place.reach.let_go()

    async def take_back(self, said: Said) -> list[str]:
        """Open the lines again; no device is set up before somebody has looked at the deck.

        Returns:
            Why a device is not connected yet.
        """
        self.close(Standing.RECLAIMED, said)
        self.place.reach.take_up()
        in_use = [one for one in self.place.devices.values() if one.quarantine is None]
        tried = await asyncio.gather(
            *(self.connections.connect([one]) for one in in_use), return_exceptions=True
        )
        problems: list[str] = []
        for error in tried:
            if isinstance(error, DevicesNotConnected):
                found = error.details.get("problems")
                problems += [str(one) for one in found] if isinstance(found, list) else []
            elif error is not None:
                raise error
        return problems
