"""Where a thing stands, as a definition writes it, and putting it there.

::

    deck rails 7            on the rails of a Hamilton deck
    deck slot 3             in a slot of an Opentrons deck
    deck at 1100, 150, 120  at a point of the deck, mm
    carrier_plates[2]       on a site of a carrier, from 0
    reader                  on what holds one thing: a device, a labware adapter
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pylabrobot.resources import (
    Carrier,
    Coordinate,
    Deck,
    OTDeck,
    PlateAdapter,
    Resource,
    ResourceHolder,
    ResourceStack,
)
from pylabrobot.resources.hamilton import HamiltonDeck

_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
_FORMS = {
    "rails": re.compile(r"^(?P<owner>.+?) rails (?P<number>-?\d+)$"),
    "slot": re.compile(r"^(?P<owner>.+?) slot (?P<number>\d+)$"),
    "point": re.compile(rf"^(?P<owner>.+?) at {_NUMBER},{_NUMBER},{_NUMBER}$"),
    "site": re.compile(r"^(?P<owner>[^\[\]]+)\[(?P<number>\d+)\]$"),
    "holder": re.compile(r"^(?P<owner>[^\[\]]+)$"),
}


class NoSuchPositionError(Exception):
    """Internal: nothing can stand there; the caller says which thing was to."""


@dataclass(frozen=True)
class Position:
    """A parsed position; ``owner`` is the deck, carrier, device or labware that it names."""

    form: str
    owner: str
    number: int = 0
    point: tuple[float, float, float] = (0.0, 0.0, 0.0)


def parse_position(text: str) -> Position:
    """Read a position.

    Raises:
        NoSuchPositionError: it has none of the forms.
    """
    for form, pattern in _FORMS.items():
        match = pattern.match(text.strip())
        if match is None:
            continue
        owner = match["owner"].strip()
        if form == "point":
            x, y, z = (float(number) for number in match.groups()[1:])
            return Position(form, owner, point=(x, y, z))
        return Position(form, owner, int(match.groupdict().get("number") or 0))
    raise NoSuchPositionError(
        f"{text!r} is no position; write it like 'deck rails 7' or 'carrier[2]'"
    )


def stand(resource: Resource, position: Position, things: Mapping[str, Resource]) -> None:
    """Put a resource where the position says.

    Args:
        resource: Stands nowhere yet.
        position: Where to.
        things: Decks, devices and labware by name.

    Raises:
        NoSuchPositionError: there is no such thing, or it has no such place, or the place is taken.
    """
    owner = things.get(position.owner)
    if owner is None:
        raise NoSuchPositionError(f"nothing is called {position.owner!r}")
    try:
        if position.form in {"rails", "slot", "point"}:
            _stand_on_deck(resource, position, owner)
        else:
            _stand_on(resource, place_of(position, things))
    except (ValueError, TypeError, AssertionError) as error:
        # PyLabRobot's own objections: too wide, a collision, the wrong kind of labware.
        raise NoSuchPositionError(str(error)) from error


def _stand_on_deck(resource: Resource, position: Position, deck: Resource) -> None:
    match position.form, deck:
        case "rails", HamiltonDeck():
            deck.assign_child_resource(resource, rails=position.number)
        case "slot", OTDeck():
            deck.assign_child_at_slot(resource, position.number)
        case "point", Deck():
            deck.assign_child_resource(resource, location=Coordinate(*position.point))
        case _:
            raise NoSuchPositionError(f"{deck.name!r} has no {position.form}s")


def place_of(position: Position, things: Mapping[str, Resource]) -> Resource:
    """Find the thing on which something stands at this position.

    Raises:
        NoSuchPositionError: there is none, or it cannot hold anything.
    """
    owner = things.get(position.owner)
    if owner is None:
        raise NoSuchPositionError(f"nothing is called {position.owner!r}")
    if position.form == "site":
        if not isinstance(owner, Carrier):
            raise NoSuchPositionError(f"{owner.name!r} has no sites")
        if position.number not in owner.sites:
            sites = f"0 to {len(owner.sites) - 1}"
            raise NoSuchPositionError(
                f"{owner.name!r} has no site {position.number}; it has {sites}"
            )
        owner = owner.sites[position.number]
    if not isinstance(owner, (ResourceHolder, ResourceStack, PlateAdapter)):
        raise NoSuchPositionError(f"nothing can be put on {owner.name!r}")
    return owner


def _stand_on(resource: Resource, place: Resource) -> None:
    if isinstance(place, (ResourceHolder, PlateAdapter)) and place.children:
        raise NoSuchPositionError(f"{place.children[0].name!r} stands there already")
    if isinstance(place, PlateAdapter):
        place.assign_child_resource(resource, location=place.compute_plate_location(resource))
    else:
        place.assign_child_resource(resource)
