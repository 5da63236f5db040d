"""How the parts of a workcell are called: channels and grippers go by their device."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TypeVar

from praxis_core.assets.state import AssetManagerState, MountedTip
from praxis_core.errors import AssetUnknown

_Thing = TypeVar("_Thing")

_CHANNEL = re.compile(r"(.+)\[(96:)?([0-9]+)\]")


def gripper_name(device: str) -> str:
    """Name the gripper of a device as one of the things that commands touch."""
    return f"{device}[gripper]"


def channel_name(device: str, number: int, *, head96: bool = False) -> str:
    """Name a channel: ``"star[3]"``, or ``"star[96:3]"`` of a 96-head."""
    return f"{device}[{'96:' if head96 else ''}{number}]"


def channels_of(state: AssetManagerState) -> dict[str, MountedTip]:
    """Give the tips that all heads carry, or may, by name of the channel."""
    return {
        channel_name(device, number, head96=head96): tip
        for head96, heads in ((False, state.heads), (True, state.heads96))
        for device, tips in heads.items()
        for number, tip in tips.items()
    }


def head_of(state: AssetManagerState, name: str) -> tuple[dict[int, MountedTip], int] | None:
    """Give the head and the number of a channel such as ``"star[3]"`` or ``"star[96:3]"``.

    Returns:
        None: it is not the name of a channel.
    """
    channel = _read(name) if name.endswith("]") else None
    if channel is None:
        return None
    device, head96, number = channel
    heads = state.heads96 if head96 else state.heads
    return heads.setdefault(device, {}), number


@lru_cache(maxsize=1024)
def _read(name: str) -> tuple[str, bool, int] | None:
    match = _CHANNEL.fullmatch(name)
    return None if match is None else (match[1], match[2] is not None, int(match[3]))


def channel_of(state: AssetManagerState, name: str) -> tuple[dict[int, MountedTip], int] | None:
    """Find the head of a channel; None: it is not the name of a channel of a known device."""
    device = name.partition("[")[0]
    if device not in {*state.grippers, *state.heads, *state.heads96}:
        return None
    return head_of(state, name)


def known(things: Mapping[str, _Thing], name: str) -> _Thing:
    """Give what goes by a name.

    Raises:
        AssetUnknown: nothing does; it tells the closest names.
    """
    if name not in things:
        closest = difflib.get_close_matches(name, things, n=3, cutoff=0.4)
        raise AssetUnknown(asset=name, closest=", ".join(closest) or "none")
    return things[name]
