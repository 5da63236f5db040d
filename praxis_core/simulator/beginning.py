"""The truth of a lab where nothing has happened yet, or of the part of it that is set up again."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pylabrobot.resources import Container, Resource, TipSpot

from praxis_core.simulator.gripping import is_labware
from praxis_core.simulator.pipetting import new_tip
from praxis_core.simulator.truth import Liquid, Place, Seconds, Tip, Value
from praxis_core.workcell.contents import solutes
from praxis_core.workcell.model import WorkcellModel

Entry = tuple[str, str, Value]
"""Table, name and value."""


def beginning(model: WorkcellModel, now: Seconds) -> list[Entry]:
    """Give every entry of the truth as the definition of a freshly built workcell says it.

    Args:
        model: As its definition built it; nothing in it has moved yet.
        now: The time on the lab's clock.
    """
    dissolved: dict[str, Mapping[str, float]] = {}
    for labware in model.definition.labware:
        dissolved.update(solutes(model.resources.get(labware.name), labware))
    return [entry for root in model.roots() for entry in things_of(root, now, dissolved)]


def things_of(
    resource: Resource, now: Seconds, dissolved: Mapping[str, Mapping[str, float]]
) -> Iterator[Entry]:
    """Give the entries of a resource and of all that stands on it.

    Args:
        resource: With liquids and tips as its trackers have them.
        now: Since when solutes are where they are.
        dissolved: pmol by solute, by container.
    """
    for part in (resource, *resource.get_all_children()):
        if isinstance(part, TipSpot):
            if part.tracker.has_tip:
                yield "tips", part.name, new_tip(part, part.name)
        elif isinstance(part, Container):
            amounts = dissolved.get(part.name, {})
            since = dict.fromkeys(amounts, now)
            yield "liquids", part.name, Liquid(float(part.tracker.volume), amounts, since)
        if is_labware(part):
            yield "places", part.name, place_of(part)


def place_of(resource: Resource) -> Place:
    """Say where a resource stands in its tree."""
    at, turn = resource.location, resource.rotation
    location = None if at is None else (at.x, at.y, at.z)
    parent = None if resource.parent is None else resource.parent.name
    return Place(parent, location, (turn.x, turn.y, turn.z))


def belongs_to(name: str, owners: Collection[str], resources: Any) -> bool:
    """Whether a container, spot or labware is one of ``owners``, or a part of one of them."""
    here: Resource | None = resources.find(name)
    if here is None:
        return False
    if here.name in owners:
        return True
    part = isinstance(here, (TipSpot, Container)) and here.parent is not None
    return bool(part and here.parent.name in owners)


def renamed(tip: Tip, taken: Collection[str]) -> Tip:
    """Give a new tip another name than all that were ever in its spot."""
    number, name = 2, tip.name
    while name in taken:
        name, number = f"{tip.name}#{number}", number + 1
    return Tip(name, tip.spot, tip.capacity)
