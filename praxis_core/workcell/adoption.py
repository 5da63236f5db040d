"""What the set-up of a device destroyed that could not be taken up as it was."""

from __future__ import annotations

from collections.abc import Iterable

from praxis_core.assets.manager import AssetManager
from praxis_core.workcell.device import Device


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
