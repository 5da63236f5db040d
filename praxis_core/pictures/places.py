"""Where everything stands that is to be drawn: as it is known, whatever the deck was built like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import cos, radians, sin
from typing import NamedTuple

from pylabrobot.resources import (
    Container,
    Coordinate,
    Lid,
    PlateAdapter,
    Resource,
    ResourceHolder,
    TipSpot,
)
from pylabrobot.resources.itemized_resource import ItemizedResource
from pylabrobot.resources.lid import Liddable

from praxis_core.assets.state import AssetManagerState, Location

_APART = 40.0
"""mm between things that stand on nothing."""


class Box(NamedTuple):
    """A rectangle along the edges of the deck, mm; y grows to the back."""

    x: float
    y: float
    width: float
    depth: float


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """A thing with its place."""

    resource: Resource
    x: float
    """Of its own corner, mm."""
    y: float
    turn: float
    """Counter-clockwise, degrees."""

    def box(self) -> Box:
        """Give the room that it takes."""
        width, depth = self.resource.get_size_x(), self.resource.get_size_y()
        corners = [
            turned(x, y, self.turn) for x in (0.0, float(width)) for y in (0.0, float(depth))
        ]
        xs, ys = [x for x, _ in corners], [y for _, y in corners]
        low_x, low_y = min(xs), min(ys)
        return Box(self.x + low_x, self.y + low_y, max(xs) - low_x, max(ys) - low_y)


@dataclass(slots=True)
class Places:
    """What stands where, and what does not."""

    standing: list[Standing] = field(default_factory=list)
    """What carries something comes before that."""
    held: dict[str, Resource] = field(default_factory=dict)
    """What grippers hold, or may, by device."""
    lost: dict[str, Resource] = field(default_factory=dict)
    """Of which nobody knows where it is, by name."""
    strange: dict[str, str] = field(default_factory=dict)
    """What is known to stand somewhere and is nowhere on the deck as built, by what it is on."""
    on: dict[str, str] = field(default_factory=dict)
    """What each of them stands on, by name."""
    carrying: dict[str, list[Resource]] = field(default_factory=dict)
    """What stands on each of them, by name."""


def places(deck: Resource | Iterable[Resource], contents: AssetManagerState) -> Places:
    """Find where everything stands, but for wells and tip spots.

    Args:
        deck: What stands on nothing, with all that it carries; nothing of it is changed.
        contents: Says what stands elsewhere by now. Of what it does not name the deck tells.
    """
    roots = [deck] if isinstance(deck, Resource) else [*deck]
    found = Places()
    there = {one.name: one for root in roots for one in _all(root)}
    rooted = {root.name for root in roots}
    for name, resource in there.items():
        if name not in rooted:
            _assign(resource, contents, there, found)
    for name, known in contents.locations.items():
        parent = None if name in there or known.unknown else there.get(str(known.parent))
        if parent is not None and not isinstance(parent, ItemizedResource):
            found.strange[parent.name] = name
    x = 0.0
    for root in roots:
        first = len(found.standing)
        _stand(Standing(root, x, 0.0, _turn(root)), found, set())
        boxes = [one.box() for one in found.standing[first:]]
        x = max(box.x + box.width for box in boxes) + _APART
    return found


def is_item(resource: Resource) -> bool:
    """Whether something is drawn with the labware that it is a part of."""
    return isinstance(resource, (Container, TipSpot)) and isinstance(
        resource.parent, ItemizedResource
    )


def turned(x: float, y: float, degrees: float) -> tuple[float, float]:
    """Turn a point around the corner of a thing."""
    if not degrees % 360:
        return x, y
    angle = radians(degrees)
    return x * cos(angle) - y * sin(angle), x * sin(angle) + y * cos(angle)


def _turn(resource: Resource) -> float:
    return float(resource.rotation.z)


def _all(resource: Resource) -> Iterable[Resource]:
    yield resource
    for child in resource.children:
        if not is_item(child):
            yield from _all(child)


def _assign(
    resource: Resource, contents: AssetManagerState, there: Mapping[str, Resource], found: Places
) -> None:
    """Note what a thing stands on."""
    name = resource.name
    built = None if resource.parent is None else resource.parent.name
    known = contents.locations.get(name, Location(parent=built))
    holder = next((one for one, held in contents.grippers.items() if held == name), None)
    if holder is not None:
        found.held[holder] = resource
    if known.unknown:
        if holder is None:
            found.lost[name] = resource
    elif known.parent in there and holder is None:
        found.carrying.setdefault(str(known.parent), []).append(resource)
        found.on[name] = str(known.parent)


def _stand(here: Standing, found: Places, above: set[str]) -> None:
    """Place a thing, and what it carries."""
    name = here.resource.name
    if name in above:
        return  # what is known makes no sense; nothing is drawn twice
    found.standing.append(here)
    for child in found.carrying.get(name, []):
        at = offset(child, here.resource)
        x, y = turned(at.x, at.y, here.turn)
        turn = (here.turn + _turn(child)) % 360
        _stand(Standing(child, here.x + x, here.y + y, turn), found, above | {name})


def offset(resource: Resource, parent: Resource) -> Coordinate:
    """Give where on its parent something stands, mm."""
    if resource.parent is parent and resource.location is not None:
        return resource.location
    try:
        if isinstance(parent, ResourceHolder):
            return parent.get_default_child_location(resource)
        if isinstance(parent, PlateAdapter):
            return parent.compute_plate_location(resource)
        if isinstance(parent, Liddable) and isinstance(resource, Lid):
            return parent.get_lid_location(resource)
    except (AssertionError, IndexError, TypeError, ValueError):
        pass  # it stands there all the same
    return Coordinate(
        (parent.get_size_x() - resource.get_size_x()) / 2,
        (parent.get_size_y() - resource.get_size_y()) / 2,
        0,
    )
