"""What a run that is new finds: devices and labware as it may expect them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from praxis_core.errors import DeviceStateUnexpected, Problem
from praxis_core.workcell.adoption import Losses
from praxis_core.workcell.attending import AttendedRun
from praxis_core.workcell.definition import Refill
from praxis_core.workcell.remembered import Handover
from praxis_core.workcell.workplace import Workplace


@dataclass(slots=True)
class Stage:
    """Lets a run that is new find what is there, or what the definition says."""

    place: Workplace
    handover: Handover
    losses: Losses
    """Enters what devices do not carry any more that were made anew."""
    used: bool = False
    """Whether somebody has worked with the devices."""

    async def set_for(self, run: AttendedRun) -> None:
        """Put back to its beginning what a run has for itself; everything, if it is alone."""
        new = not self.used and self.place.inside
        if new and not self.place.books.written_down:
            self.used = True
            return  # it is as it was built
        names = None if await self._is_alone(run) else sorted(run.devices | run.labware)
        all_is_read = names is None
        if self.place.definition.refill is Refill.EVERY_RUN:
            await self._refill(run, names)
        else:
            await self.place.books.take_stock(names)
            for name in run.devices if new else ():  # made in this process, so they carry nothing
                await self.losses.enter(self.place.devices.named(name))
            await self._switch_off(run)
            names = names or [*run.devices]  # others may still be kept warm for somebody
        if not all_is_read:
            await self.place.books.look_round()
        self.used = True
        for name in self.place.devices if names is None else run.devices:
            self.place.safekeeping.forget(name)
            self.place.devices[name].put_back_attributes()
        self.handover.changed()

    async def _switch_off(self, run: AttendedRun) -> None:
        """Switch off what others left on, so that a new run finds no device set to anything.

        One that is out of use takes no command, and whoever releases it has looked at it.

        Raises:
            DeviceStateUnexpected: a device refuses it; it is tried again meanwhile.
        """
        await self.place.safekeeping.switch_off(run)
        in_use = [one for one in run.devices if self.place.devices[one].quarantine is None]
        on = self.place.safekeeping.actions(sorted(in_use))
        problems = [
            Problem(one.device, one.why, "switch it off, or try again") for one in on if one.method
        ]
        if problems:
            raise DeviceStateUnexpected(
                workcell=self.place.definition.name, count=len(problems), problems=problems
            )

    async def _refill(self, run: AttendedRun, names: Collection[str] | None) -> None:
        """Put back what the definition says, and let the catalogue know; None: all there is."""
        if self.place.journal is not None:
            # Before it is done: what others left here is no longer as they left it.
            await self.place.journal.stage_set(self.place.definition.name, run.run_id, names)
        await self.place.reach.stage(None if names is None else sorted(names))
        await self.place.books.refill(names, run.run_id)

    async def _is_alone(self, run: AttendedRun) -> bool:
        """Whether no other run works here, or may come back to what it left."""
        claimants: set[UUID] = set()
        if self.place.journal is not None:
            claims = await self.place.journal.claims(self.place.definition.name)
            claimants = {claim.run_id for claim in claims}
            for other in self.place.runs:
                if other.lost and other.run_id not in claimants:
                    self.place.runs.drop(other.run_id)  # given up, or overtaken, while it was away
        others = claimants | {other.run_id for other in self.place.runs}
        return others <= {run.run_id}
