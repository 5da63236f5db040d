"""What stands in the way of labware that is to be put down."""

from __future__ import annotations

from collections.abc import Iterable

from pylabrobot.resources import Lid, PlateAdapter, Resource, ResourceHolder
from pylabrobot.resources.lid import Liddable

from praxis_core.assets.manager import AssetManager
from praxis_core.assets.operations import Grip, Release, operations_of
from praxis_core.assets.state import AssetManagerState
from praxis_core.errors import PlaceOccupied
from praxis_core.protocol.command import Command
from praxis_core.workcell.model import WorkcellModel


def in_the_way(
    model: WorkcellModel, assets: AssetManager, command: Command
) -> PlaceOccupied | None:
    """Say what stands, or may stand, where a command is to bring labware.

    Args:
        model: The workcell.
        assets: What is where.
        command: Any backend call; only what grips labware or puts it down has a destination.

    Returns:
        What it would fail with; None: there is room.
    """
    target = None if command.new_parent is None else model.resources.find(command.new_parent)
    if target is None:
        return None
    moved = [
        one.resource
        for one in operations_of(command, AssetManagerState())
        if isinstance(one, Grip | Release)
    ]
    there = [model.resources.find(name) for name in assets.stands_on(target.name)]
    others = filling(target, [one for one in there if one is not None and one.name not in moved])
    if not moved or not others:
        return None
    return occupied(model, moved[0], target, others[0].name)


def filling(target: Resource, there: Iterable[Resource]) -> list[Resource]:
    """Tell which of the things on a resource leave no room for another one.

    A site holds one thing, and what has a lid one; a deck and a stack hold many.
    """
    if isinstance(target, ResourceHolder | PlateAdapter):
        return [*there]
    return [one for one in there if isinstance(one, Lid)] if isinstance(target, Liddable) else []


def occupied(model: WorkcellModel, resource: str, target: Resource, by: str) -> PlaceOccupied:
    """Say that a place is taken, by the name of the site and the one that people gave it."""
    called = [name for name, holder in model.places.items() if holder is target]
    named = called and called[0] != target.name
    place = f"{called[0]} ({target.name})" if named else target.name
    return PlaceOccupied(resource=resource, place=place, by=by, workcell=model.definition.name)
