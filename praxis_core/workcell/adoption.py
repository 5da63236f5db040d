"""What the set-up of a device destroyed that could not be taken up as it was."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from praxis_core.assets.manager import AssetManager
from praxis_core.workcell.device import Device
from praxis_core.workcell.doubts import Doubts
from praxis_core.workcell.workplace import Workplace


class Losses:
    """Enters what devices lost when they were set up, and asks the runs that had them.

    Args:
        place: Where the devices and the runs are.
        doubts: Asks.
    """

    def __init__(self, place: Workplace, doubts: Doubts) -> None:
        self._place = place
        self._doubts = doubts
        self._recovered = False
        """Whether it is known what an earlier host did with the devices."""

    async def after_recovery(self) -> None:
        """Enter what was lost before it was known what there had been."""
        for device in self._place.devices.values():
            await self.enter(device)
        self._recovered = True

    async def after_set_up(self, device: Device) -> None:
        """Enter what a device has lost just now, if it is known yet what it had."""
        if self._recovered:
            await self.enter(device)

    async def enter(self, device: Device) -> None:
        """Enter what a device lost when it was set up anew, and ask the runs that had it."""
        lost = destroyed(device, self._place.books.assets) if device.connected else None
        if lost is None:
            return
        self._place.books.lost(device.name, lost)
        place = list(self._place.devices).index(device.name)
        for run in self._place.runs:
            if device.name in run.devices:
                after = await self._last_command(run.run_id)
                await self._doubts.set_up_destroyed(run, device.name, place, lost, after)

    async def _last_command(self, run_id: UUID) -> int:
        journal = self._place.journal
        commands = [] if journal is None else await journal.commands(run_id)
        return max((record.number for record in commands), default=0)


def destroyed(device: Device, assets: AssetManager) -> str | None:
    """Say what a device carried, as far as is known, when it was set up anew.

    Returns:
        For people; None: nothing is lost.
    """
    if not device.set_up_anew:
        return None
    lost = []
    for head96 in (False, True):
        tips = assets.mounted_tips(device.name, head96=head96)
        if tips:
            where = "its 96-head" if head96 else f"channel(s) {_numbers(tips)}"
            lost.append(f"the tips on {where} with what was in them")
    held = assets.gripper(device.name)
    if held is not None:
        lost.append(f"{held}, which its gripper held, is not where anybody knows")
    if not lost:
        return None
    return f"{device.name} could not be taken up as it was and was set up: {'; '.join(lost)}"


def _numbers(channels: Iterable[int]) -> str:
    return ", ".join(str(channel) for channel in sorted(channels))
