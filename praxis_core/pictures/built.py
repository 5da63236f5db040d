"""What a picture of a workcell is drawn from: its deck, and how people call its places."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pylabrobot.resources import Coordinate, Resource

from praxis_core.protocol.command import DeckChange
from praxis_core.workcell.deck_changes import made, turn
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.model import WorkcellModel, build, simulated_backend


class Built(NamedTuple):
    """A deck to be drawn; see ``deck_svg``."""

    deck: tuple[Resource, ...]
    called: dict[str, str]


def built(definition: WorkcellDefinition, changes: Iterable[DeckChange] = ()) -> Built:
    """Build a deck to be drawn; it takes a second.

    Args:
        definition: The workcell.
        changes: Of the deck by a run; only what that brought is looked at.

    Raises:
        WorkcellFaults: the workcell cannot be built.
    """
    model = build(definition, simulated_backend)
    ordered = sorted(changes, key=lambda one: one.number)
    last = {one.resource: one for one in ordered}
    for one in ordered:
        if one.definition is not None:
            made(one, model.resources)
            _stand(last[one.resource], model)
    return of_model(model)


def of_model(model: WorkcellModel) -> Built:
    """Give the deck of a workcell that is built already; nothing of it is changed."""
    called = {resource.name: place for place, resource in model.places.items()}
    return Built(tuple(model.roots()), called)


def _stand(change: DeckChange, model: WorkcellModel) -> None:
    resource = model.resources.get(change.resource)
    parent = None if change.parent is None else model.resources.find(change.parent)
    if parent is None:
        return
    turn(resource, change)
    location = None if change.location is None else Coordinate(*change.location)
    try:
        parent.assign_child_resource(resource, location=location)
    except ValueError:  # as built, something else stands there that has gone since
        resource.parent, resource.location = parent, location or Coordinate.zero()
        parent.children.append(resource)
