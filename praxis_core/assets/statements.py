"""What others than commands say: people who have looked, and devices that were set up.

Each function enters it into the state, and names what it touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from praxis_core.assets.names import channel_name, channel_of, gripper_name, known
from praxis_core.assets.state import (
    AssetManagerState,
    ContainerContents,
    Liquid,
    Location,
    MountedTip,
)

_NOT_FOLLOWED = "nobody followed what this tip took up"


@dataclass(frozen=True, slots=True)
class Filling:
    """What somebody says is in a container or a tip."""

    volume: float
    """µL."""
    amounts: Mapping[str, float] | None = None
    """pmol of each solute; None: nothing is dissolved in it."""
    sources: Mapping[str, float] | None = None
    """µL of each source; None: it is a filling of its own, called after what it is in."""


def say(
    state: AssetManagerState, name: str, filling: Filling, at: datetime | None = None
) -> list[str]:
    """Enter what is in a container, in a tip spot's used tip, or in the tip on a channel.

    Raises:
        AssetUnknown: there is no such thing.
    """
    liquid = _liquid(state, name)
    own = {name: filling.volume} if filling.volume > 0 else {}
    liquid.volume, liquid.amounts, liquid.unknown = filling.volume, dict(filling.amounts or {}), ""
    liquid.sources = own if filling.sources is None else dict(filling.sources)
    if isinstance(liquid, MountedTip):
        liquid.touch(liquid.sources)
    if isinstance(liquid, ContainerContents):
        liquid.changed_at = at or liquid.changed_at
        liquid.since = {} if at is None else dict.fromkeys(liquid.amounts, at)
    return [name]


def _liquid(state: AssetManagerState, name: str) -> Liquid:
    channel = channel_of(state, name)
    if channel is not None:
        head, number = channel
        return head.setdefault(number, MountedTip(spot=None, uses=1))
    if name in state.tip_spots:
        return state.used_tips.setdefault(name, MountedTip(spot=name))
    return known(state.containers, name)


def say_tip(state: AssetManagerState, name: str, *, there: bool) -> list[str]:
    """Enter whether a tip is in a tip spot or on a channel; its contents stay as they are.

    Raises:
        AssetUnknown: there is no such tip spot or device.
    """
    channel = channel_of(state, name)
    if channel is not None:
        head, number = channel
        if not there:
            head.pop(number, None)
        else:
            tip = head.setdefault(number, MountedTip(spot=None, unknown=_NOT_FOLLOWED, uses=1))
            tip.there = True
        return [name]
    known(state.tip_spots, name)
    state.tip_spots[name] = there
    if not there:
        state.used_tips.pop(name, None)
    return [name]


def say_place(state: AssetManagerState, resource: str, parent: str | None) -> list[str]:
    """Enter where a resource stands: in no gripper, then.

    Raises:
        AssetUnknown: there is no such resource.
    """
    known(state.locations, resource)
    state.let_go(resource)
    state.locations[resource] = Location(parent=parent)
    return [resource]


def say_gripper(state: AssetManagerState, device: str, resource: str | None) -> list[str]:
    """Enter what a device's gripper holds; None: nothing."""
    touched = [gripper_name(device)]
    if resource is not None:
        touched.append(resource)
        state.let_go(resource)
        state.locations[resource] = Location(parent=None)
    state.grippers[device] = resource
    state.grippers_unknown.pop(device, None)
    return touched


def discard_head(state: AssetManagerState, device: str, into: str | None) -> list[str]:
    """Enter that a device has thrown off all its tips; their liquid into a container, if named.

    Returns:
        The channels that carried a tip, or may have; then the container, if it got liquid.
    """
    waste = None if into is None else known(state.containers, into)
    thrown, got = [], False
    for head96, heads in ((False, state.heads), (True, state.heads96)):
        tips = heads.pop(device, {})
        heads[device] = {}
        thrown += [channel_name(device, number, head96=head96) for number in tips]
        got = got or any(tip.volume > 0 or tip.unknown for tip in tips.values())
    if waste is None or into is None or not got:
        return thrown
    waste.unknown = waste.unknown or f"{device} threw off its tips when it was set up"
    return [*thrown, into]


def drop_gripped(state: AssetManagerState, device: str) -> list[str]:
    """Enter that a device has dropped what its gripper held: where and in what state is unknown.

    Where nobody knows what it held, it may have been anything of which nobody knows where it is.

    Returns:
        The gripper; then what it held, or may have, with all that was on it.
    """
    held = state.grippers.get(device)
    dropped, why = [] if held is None else [held], f"{device} dropped"
    if device in state.grippers_unknown:
        why = f"{device} may have dropped"
        lost = (name for name, place in state.locations.items() if place.unknown)
        dropped += [name for name in lost if name != held]
    state.grippers[device] = None
    state.grippers_unknown.pop(device, None)
    touched = [gripper_name(device)]
    for name in dropped:
        touched += _dropped(state, name, f"{why} {name} when it was set up")
    return touched


def _dropped(state: AssetManagerState, name: str, why: str) -> list[str]:
    place = state.locations.get(name, Location(parent=None))
    state.locations[name] = place.model_copy(update={"unknown": why})
    inside = state.restricted([name])
    for container in inside.containers:
        state.containers[container].unknown = state.containers[container].unknown or why
    for spot in inside.tip_spots:
        state.tip_spots[spot] = None
    return [name, *inside.containers, *inside.tip_spots]
