"""What is known of each part of a workcell as a document of its own, and a state made of them.

The forms are told in ``changes``.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from functools import lru_cache

from pydantic import TypeAdapter

from praxis_core.assets.changes import Document
from praxis_core.assets.names import channels_of, gripper_name, head_of
from praxis_core.assets.state import (
    AssetManagerState,
    ContainerContents,
    Liquid,
    Location,
    MountedTip,
)

_GRIPPER = gripper_name("")

_HOLDS: TypeAdapter[str | None] = TypeAdapter(str | None)
_TIP: TypeAdapter[bool | None] = TypeAdapter(bool | None)
_WHY: TypeAdapter[str] = TypeAdapter(str)
_USED: TypeAdapter[MountedTip | None] = TypeAdapter(MountedTip | None)


def parts(state: AssetManagerState) -> dict[str, Document]:
    """Write down every container, tip spot, channel with a tip, and gripper."""
    names = [*state.containers, *state.tip_spots, *channels_of(state)]
    names += map(gripper_name, state.grippers)
    found = {name: part(state, name) for name in names}
    return {name: document for name, document in found.items() if document is not None}


def places(state: AssetManagerState) -> dict[str, Document]:
    """Write down where everything stands."""
    return {name: _place(location) for name, location in state.locations.items()}


def part(state: AssetManagerState, name: str) -> Document | None:
    """Write down what is known of one part; None: there is no such part, or no tip on a channel."""
    if name in state.containers:
        return _container(state.containers[name])
    if name in state.tip_spots:
        tip = state.used_tips.get(name)
        used = None if tip is None else _tip(tip)
        return {"tip": state.tip_spots[name], "uses": tip.uses if tip else 0, "used": used}
    device = name.removesuffix(_GRIPPER)
    if device in state.grippers and name != device:
        unknown = state.grippers_unknown.get(device, "")
        return {"holds": state.grippers[device], "unknown": unknown}
    channel = head_of(state, name)
    mounted = channel[0].get(channel[1]) if channel is not None else None
    return None if mounted is None else _tip(mounted)


# Ten times as fast as Pydantic, and what goes without saying is left out: they are written with
# every command, and Postgres takes half the time for half of the text.


def _liquid(liquid: Liquid) -> Document:
    document: Document = {"volume": liquid.volume}
    if liquid.amounts:
        document["amounts"] = dict(liquid.amounts)
    if liquid.sources:
        document["sources"] = dict(liquid.sources)
    if liquid.unknown:
        document["unknown"] = liquid.unknown
    return document


def _container(liquid: ContainerContents) -> Document:
    document = _liquid(liquid)
    if liquid.max_volume is not None:
        document["max_volume"] = liquid.max_volume
    if liquid.changed_at is not None:
        document["changed_at"] = _time(liquid.changed_at, liquid.changed_at.tzinfo)
    if liquid.since:
        document["since"] = {solute: _time(at, at.tzinfo) for solute, at in liquid.since.items()}
    return document


@lru_cache(maxsize=1024)
def _time(at: datetime, _zone: tzinfo | None) -> str:
    """Write a time down: that of a command stands in each of its wells.

    The same instant of two zones is equal, and not written alike.
    """
    return at.isoformat()


def _tip(tip: MountedTip) -> Document:
    document = _liquid(tip)
    document["spot"] = tip.spot
    if tip.there is not True:
        document["there"] = tip.there
    if tip.uses:
        document["uses"] = tip.uses
    if tip.touched:
        document["touched"] = [*tip.touched]
    if tip.touched_more:
        document["touched_more"] = True
    return document


def is_of_container(document: Document | None) -> bool:
    """Whether a document says what is in a container."""
    return document is not None and "volume" in document and "spot" not in document


def place(state: AssetManagerState, name: str) -> Document | None:
    """Write down where a resource stands; None: it is no resource, or is there no more."""
    location = state.locations.get(name)
    return None if location is None else _place(location)


def _place(location: Location) -> Document:
    document: Document = {"parent": location.parent, "unknown": location.unknown}
    return document | {"shelf": location.shelf} if location.shelf else document


def stands_as(document: Document | None, location: Location | None) -> bool:
    """Whether a document says just where a resource stands; both None: there is none."""
    if document is None or location is None:
        return document is None and location is None
    known = document["parent"], document["unknown"], document.get("shelf", "")
    return known == (location.parent, location.unknown, location.shelf)


def put_part(state: AssetManagerState, name: str, document: Document | None) -> None:
    """Enter what a document says of a part; None: it is there no more.

    Raises:
        ValidationError: it is of none of the forms.
    """
    if document is None:
        _take_away(state, name)
    elif "tip" in document:
        _put_spot(state, name, document)
    elif "holds" in document:
        device = name.removesuffix(_GRIPPER)
        state.grippers[device] = _HOLDS.validate_python(document["holds"])
        state.grippers_unknown.pop(device, None)
        if document["unknown"]:
            state.grippers_unknown[device] = _WHY.validate_python(document["unknown"])
    elif "spot" in document:
        channel = head_of(state, name)
        if channel is not None:
            channel[0][channel[1]] = MountedTip.model_validate(document)
    else:
        state.containers[name] = ContainerContents.model_validate(document)


def _put_spot(state: AssetManagerState, name: str, document: Document) -> None:
    state.tip_spots[name] = _TIP.validate_python(document["tip"])
    used = _USED.validate_python(document["used"])
    state.used_tips.pop(name, None)
    if used is not None:
        state.used_tips[name] = used


def _take_away(state: AssetManagerState, name: str) -> None:
    state.containers.pop(name, None)
    state.tip_spots.pop(name, None)
    state.used_tips.pop(name, None)
    device = name.removesuffix(_GRIPPER)
    if device != name:
        state.grippers.pop(device, None)
        state.grippers_unknown.pop(device, None)
    channel = head_of(state, name)
    if channel is not None:
        channel[0].pop(channel[1], None)


def put_place(state: AssetManagerState, name: str, document: Document | None) -> None:
    """Enter where a resource stands; None: it is there no more."""
    if document is None:
        state.locations.pop(name, None)
    else:
        state.locations[name] = Location.model_validate(document)
