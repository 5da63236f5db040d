"""Moving labware with a gripper: to places that people name, and saying where it ends up."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.machines.machine import Machine
from pylabrobot.plate_reading import PlateReader
from pylabrobot.resources import Coordinate, Lid, Plate, Resource, ResourceHolder, Trash

from praxis_core.errors import PlaceUnknown, RequestError
from praxis_core.workcell.model import WorkcellModel
from praxis_core.workcell.sites import occupied

_destination: ContextVar[str | None] = ContextVar("praxis_destination", default=None)


def current_destination() -> str | None:
    """Name what the labware that is being moved will stand on; None: unknown, or on nothing."""
    return _destination.get()


def name_destinations(handler: LiquidHandler) -> None:
    """Remember, while a liquid handler moves labware, onto what: its backend only hears where."""
    drop_resource, move_resource = handler.drop_resource, handler.move_resource

    @functools.wraps(drop_resource)
    async def drop(destination: Resource | Coordinate, *args: Any, **kwargs: Any) -> Any:
        with _bound_for(_name(handler, destination)):
            return await drop_resource(destination, *args, **kwargs)

    @functools.wraps(move_resource)
    async def move(resource: Resource, to: Resource | Coordinate, *args: Any, **kwargs: Any) -> Any:
        with _bound_for(_name(handler, to)):
            return await move_resource(resource, to, *args, **kwargs)

    handler.drop_resource, handler.move_resource = drop, move


@contextmanager
def _bound_for(destination: str | None) -> Iterator[None]:
    before = _destination.get()
    _destination.set(destination)
    try:
        yield
    finally:
        _destination.set(before)


def _name(handler: LiquidHandler, destination: Resource | Coordinate) -> str | None:
    if isinstance(destination, Coordinate):
        deck_name: str = handler.deck.name
        return deck_name
    return None if isinstance(destination, Trash) else destination.name


async def bring(
    model: WorkcellModel, devices: Mapping[str, Machine], resource: Resource, place: str
) -> None:
    """Move labware to a named place, with the first gripper among ``devices``.

    A plate reader that the labware leaves or enters is opened first.

    Raises:
        PlaceUnknown: the workcell has no such place.
        PlaceOccupied: something else stands there.
        RequestError: no device has a gripper.
    """
    target = _place(model, place)
    if resource.parent is target:
        return
    if isinstance(target, ResourceHolder) and target.children:
        raise occupied(model, resource.name, target, target.children[0].name)
    handler = _with_gripper(devices)
    for holder in (resource.parent, target):
        if isinstance(holder, PlateReader):
            await holder.open()
    if isinstance(resource, Plate):
        await handler.move_plate(resource, target)
    elif isinstance(resource, Lid):
        await handler.move_lid(resource, target)
    else:
        await handler.move_resource(resource, target)


def _place(model: WorkcellModel, place: str) -> Resource:
    target = model.places.get(place)
    if target is None:
        known = ", ".join(model.places) or "none"
        raise PlaceUnknown(place=place, workcell=model.definition.name, known=known)
    return target


def _with_gripper(devices: Mapping[str, Machine]) -> LiquidHandler:
    for device in devices.values():
        if isinstance(device, LiquidHandler) and device.backend.num_arms > 0:
            return device
    raise RequestError(
        what="no device of this run has a gripper; ask for the liquid handler as an asset"
    )
