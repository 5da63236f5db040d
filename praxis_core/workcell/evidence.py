"""What a device can tell about whether a command happened: the tips on its channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pylabrobot.liquid_handling.backends import LiquidHandlerBackend, STARBackend

from praxis_core.workcell.device import Device
from praxis_core.workcell.quiet import device_call

_PICKED = frozenset({"pick_up_tips", "pick_up_tips96"})
_DROPPED = frozenset({"drop_tips", "drop_tips96"})


async def happened(device: Device, method: str, arguments: Mapping[str, Any]) -> bool | None:
    """Ask a device whether a command that moves tips happened.

    Args:
        device: Its line is open; nothing else is under way on it.
        method: Of the command.
        arguments: Of the command, decoded, by name.

    Returns:
        True: wholly. False: not at all. None: it cannot tell, or only some channels did it.
    """
    if method not in _PICKED | _DROPPED:
        return None
    try:
        with device_call(device.name):
            present = await _tips(device, method, arguments)
    except Exception:  # noqa: BLE001  # what a device raises is not ours to choose: it cannot tell
        return None
    if len(present) != 1 or None in present:
        return None
    return present == {method in _PICKED}


async def _tips(device: Device, method: str, arguments: Mapping[str, Any]) -> set[bool | None]:
    """Sense whether there are tips on the channels of a command; both, where they differ."""
    backend = device.backend
    if method.endswith("96"):
        if not isinstance(backend, STARBackend):
            return set()
        return {bool(await backend.head96_request_tip_presence())}
    if not isinstance(backend, LiquidHandlerBackend):
        return set()
    presence = await backend.request_tip_presence()
    return {presence[channel] for channel in arguments["use_channels"]}
