"""What a pipetting call of a protocol needs to find on the deck, read before it is made."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import (
    Container,
    Plate,
    TipRack,
    TipSpot,
    does_tip_tracking,
    does_volume_tracking,
)

_NO_TIP = frozenset({"NoTipError"})
_VOLUMES = frozenset({"TooLittleLiquidError", "TooLittleVolumeError"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What has to be there for a call to do what it says; all by name."""

    tips: tuple[str, ...] = ()
    """Tip spots that need a tip."""
    rack: str = ""
    """The rack, if a 96-head takes what is in it."""
    drawn: Mapping[str, float] = field(default_factory=dict)
    """µL that containers need to have."""
    given: Mapping[str, float] = field(default_factory=dict)
    """µL for which containers need to have room."""

    @property
    def refused_as(self) -> frozenset[str]:
        """Names of the errors with which PyLabRobot itself would refuse the call.

        None with its trackers off, as they are unless a script switches them on: then the device
        would find no tip, and draw air.
        """
        if self.tips:
            return _NO_TIP if does_tip_tracking() else frozenset()
        return _VOLUMES if does_volume_tracking() else frozenset()


Provided = Callable[[str, Wanted], AbstractAsyncContextManager[None]]
"""Holds a call of a device until what it wants is there, and goes with it to its end."""

NOTHING = Wanted()


def wanted_by(
    handler: LiquidHandler, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Wanted:
    """Read what a call of a liquid handler wants; of what cannot be read, nothing.

    A call that does not fit, PyLabRobot refuses by itself.
    """
    read = _READ.get(method)
    if read is None:
        return NOTHING
    try:
        given = _signature(method).bind(handler, *args, **kwargs).arguments
        return read(handler, given) if _can_be_made(handler, method, given) else NOTHING
    except (AttributeError, IndexError, LookupError, TypeError, ValueError):
        return NOTHING


def _can_be_made(handler: LiquidHandler, method: str, given: Mapping[str, Any]) -> bool:
    """Whether each channel of a call carries a tip, or none; else PyLabRobot refuses the call."""
    count = len(given["tip_spots"] if method == "pick_up_tips" else given.get("resources", ()))
    used = given.get("use_channels") or handler._default_use_channels or range(count)  # noqa: SLF001  # as it decides itself
    carrying = [handler.head[channel].has_tip for channel in used]
    match method:
        case "pick_up_tips":
            return not any(carrying)
        case "aspirate" | "dispense":
            return all(carrying)
        case _:
            return True


@lru_cache
def _signature(method: str) -> inspect.Signature:
    return inspect.signature(getattr(LiquidHandler, method))


def _pick_up(_handler: LiquidHandler, given: Mapping[str, Any]) -> Wanted:
    return Wanted(tips=tuple(one.name for one in given["tip_spots"] if isinstance(one, TipSpot)))


def _pick_up96(_handler: LiquidHandler, given: Mapping[str, Any]) -> Wanted:
    rack = given["tip_rack"]
    if not isinstance(rack, TipRack):
        return NOTHING
    return Wanted(tips=tuple(one.name for one in rack.get_all_items()), rack=rack.name)


def _volumes(_handler: LiquidHandler, given: Mapping[str, Any]) -> dict[str, float]:
    if not isinstance(given["vols"], list | tuple | range):
        return {}  # to read an iterator is to use it up
    return _summed(zip(given["resources"], given["vols"], strict=False))


def _volumes96(handler: LiquidHandler, given: Mapping[str, Any]) -> dict[str, float]:
    resource, volume = given["resource"], float(given["volume"])
    carrying = [channel.has_tip for channel in handler.head96.values()]
    wells = [resource] if isinstance(resource, Container) else resource
    wells = wells.get_all_items() if isinstance(wells, Plate) else wells
    if len(wells) == 1:
        return _summed((wells[0], volume) for has_tip in carrying if has_tip)
    pairs = zip(wells, carrying, strict=False)
    return _summed((well, volume) for well, has_tip in pairs if has_tip)


def _summed(volumes: Iterable[tuple[Any, Any]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for container, volume in volumes:
        found[container.name] = found.get(container.name, 0.0) + float(volume)
    return found


_READ: dict[str, Callable[[LiquidHandler, Mapping[str, Any]], Wanted]] = {
    "pick_up_tips": _pick_up,
    "pick_up_tips96": _pick_up96,
    "aspirate": lambda handler, given: Wanted(drawn=_volumes(handler, given)),
    "aspirate96": lambda handler, given: Wanted(drawn=_volumes96(handler, given)),
    "dispense": lambda handler, given: Wanted(given=_volumes(handler, given)),
    "dispense96": lambda handler, given: Wanted(given=_volumes96(handler, given)),
}
