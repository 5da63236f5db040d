"""What stands where a protocol, in its plan, was about to put something."""

from __future__ import annotations

import traceback

from pylabrobot.resources import Resource

from praxis_core.errors import PlaceOccupied
from praxis_core.labware.encoder import message_of
from praxis_core.workcell.model import WorkcellModel
from praxis_core.workcell.sites import filling, occupied

OCCUPIED = "already has a"
"""What PyLabRobot says of a place that is taken."""


def blocked(error: BaseException, model: WorkcellModel) -> PlaceOccupied | None:
    """Tell from an error what stands where something was to be put.

    PyLabRobot names only the place. It says so in a method of the place itself, whose arguments
    are the thing that was to come.

    Args:
        error: Just raised; the workcell is as it was then.
        model: The workcell.

    Returns:
        What says it all; None: the error is about something else, or does not tell.
    """
    if isinstance(error, PlaceOccupied):
        return error
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if OCCUPIED not in message_of(error) or not frames:
        return None
    place, thing = (frames[-1].f_locals.get(name) for name in ("self", "resource"))
    if not isinstance(place, Resource) or not isinstance(thing, Resource):
        return None
    there = [one for one in filling(place, place.children) if one is not thing]
    return occupied(model, thing.name, place, there[0].name) if there else None
