"""What ``PraxisState`` stores in place of a PyLabRobot resource or machine.

A copy of a plate is a trap: aspirating from it changes only the copy. So a reference names the
thing, and reading it within the run gives the live object. Other programs have no live object; for
them the reference also says how to make the resource and what was in it when it was stored.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue
from pylabrobot.machines.machine import Machine
from pylabrobot.resources import Carrier, Container, ItemizedResource, Resource, TipSpot
from pylabrobot.resources.errors import ResourceNotFoundError

from praxis_core.errors import NotDecodable, NotEncodable
from praxis_core.labware.classes import class_path
from praxis_core.labware.factories import build_resource, encode_resource

Resolve = Callable[[str], object]
"""The live object of a name; raises LookupError or ResourceNotFoundError when there is none."""


@dataclass(frozen=True, slots=True)
class AbsentMachine:
    """What a reader without a connection gets in place of a machine: only what it is called."""

    name: str
    """Its name on the workcell."""
    type: str
    """Its class, ``module:Class``."""


_names: dict[int, tuple[weakref.ref[Machine], str]] = {}


def name_machine(machine: Machine, name: str) -> None:
    """Let references call a machine by its name on the workcell.

    Some machines (pumps, fans, sealers) have no name of their own, and that of a liquid handler is
    made from its deck's.
    """
    key = id(machine)
    _names[key] = (weakref.ref(machine, lambda _gone: _names.pop(key, None)), name)


def reference(obj: object) -> JsonValue:
    """Refer to a resource or a machine.

    Returns:
        ``{"$praxis": "machine", "name", "type"}``, or ``{"$praxis": "resource", "name",
        "definition", "state"}`` with ``"within"``, the name of its plate, rack or carrier, when it
        is a part of one; ``definition`` (``factories.encode_resource``) is then the whole's.
        ``state``: volumes in µL by container and a list of the tip spots that hold a tip.

    Raises:
        NotEncodable: it is neither, or a machine that nobody named.
    """
    if isinstance(obj, Machine):
        return {"$praxis": "machine", "name": _machine_name(obj), "type": class_path(type(obj))}
    if not isinstance(obj, Resource):
        raise NotEncodable(where=repr(obj)[:80], what="it is neither a resource nor a machine")
    whole = _whole(obj)
    data: dict[str, JsonValue] = {"$praxis": "resource", "name": obj.name}
    if whole is not obj:
        data["within"] = whole.name
    data["definition"] = encode_resource(whole)
    data["state"] = _state(obj)
    return data


def dereference(data: JsonValue, resolve: Resolve | None = None) -> object:
    """Give the live object of a reference; without one, a copy of what was stored.

    Args:
        data: From ``reference``.
        resolve: The run's live objects by name; None outside a run.

    Returns:
        The live object. Else a resource, rebuilt with its volumes and tips, for reading only; or an
        ``AbsentMachine``.

    Raises:
        NotDecodable: it is no reference.
        FactoryUnknown: its factory does not exist here.
        FactoryFailed: it cannot be made here.
    """
    match data:
        case {"$praxis": "machine", "name": str(name), "type": str(type_)}:
            live = _live(name, resolve)
            return AbsentMachine(name, type_) if live is None else live
        case {"$praxis": "resource", "name": str(name), "definition": definition, "state": state}:
            live = _live(name, resolve)
            return _rebuilt(name, definition, state) if live is None else live
        case _:
            raise NotDecodable(what=f"{str(data)[:80]} is no reference")


def _live(name: str, resolve: Resolve | None) -> object | None:
    if resolve is None:
        return None
    try:
        return resolve(name)
    except (LookupError, ResourceNotFoundError):
        return None


def _machine_name(machine: Machine) -> str:
    known, name = _names.get(id(machine), (None, ""))
    if known is not None and known() is machine:
        return name
    if isinstance(machine, Resource):
        return str(machine.name)
    what = f"a {type(machine).__name__} has no name of its own; take it from the workcell"
    raise NotEncodable(where=repr(machine)[:80], what=what)


def _whole(resource: Resource) -> Resource:
    """Find what the resource is a part of: a well is made with its plate, a site with a carrier."""
    parent = resource.parent
    parts: list[Resource] = []
    if isinstance(parent, ItemizedResource):
        parts = parent.get_all_items()
    elif isinstance(parent, Carrier):
        parts = list(parent.sites.values())
    # By identity: resources compare equal by their size.
    return parent if any(part is resource for part in parts) else resource


def _state(resource: Resource) -> dict[str, JsonValue]:
    parts = [resource, *resource.get_all_children()]
    volumes = {part.name: part.tracker.volume for part in parts if isinstance(part, Container)}
    spots = [part for part in parts if isinstance(part, TipSpot)]
    return {
        "volumes": {name: volume for name, volume in volumes.items() if volume},
        "tips": [spot.name for spot in spots if spot.has_tip()],
    }


def _rebuilt(name: str, definition: JsonValue, state: Any) -> Resource:
    whole = build_resource(definition)
    resource: Resource = whole.get_resource(name)
    volumes, tips = state["volumes"], set(state["tips"])
    for part in (resource, *resource.get_all_children()):
        if isinstance(part, Container):
            part.tracker.set_volume(volumes.get(part.name, 0))
        elif isinstance(part, TipSpot):
            _set_tip(part, has_tip=part.name in tips)
    return resource


def _set_tip(spot: TipSpot, *, has_tip: bool) -> None:
    if has_tip and not spot.has_tip():
        spot.tracker.add_tip(spot.make_tip(), origin=spot, commit=True)
    elif not has_tip:
        spot.tracker.clear()
