"""What a tree of resources holds, as plain data: where the bookkeeping of ``assets`` begins."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue
from pylabrobot.resources import Container, Resource, TipRack, TipSpot
from pylabrobot.resources.errors import NoTipError


def inventory(resource: Resource) -> dict[str, JsonValue]:
    """List the containers, tips and places of a resource and of all that stands on it.

    Returns:
        Fields of ``AssetManagerState`` by name: ``containers`` (volumes in µL, each of them from a
        filling of its own; what is dissolved in them PyLabRobot does not know), ``tip_spots``,
        ``racks`` (tip spots in the order of a 96-head's channels) and ``locations``.
    """
    containers: dict[str, Any] = {}
    tip_spots: dict[str, Any] = {}
    racks: dict[str, Any] = {}
    locations: dict[str, Any] = {}
    for part in (resource, *resource.get_all_children()):
        locations[part.name] = {"parent": part.parent.name if part.parent else None}
        if isinstance(part, Container):
            volume = part.tracker.volume
            sources = {part.name: volume} if volume else {}
            filling = {"volume": volume, "sources": sources, "max_volume": limit(part)}
            containers[part.name] = filling
        elif isinstance(part, TipSpot):
            tip_spots[part.name] = part.has_tip()
        elif isinstance(part, TipRack):
            racks[part.name] = [spot.name for spot in part.get_all_items()]
    return {
        "containers": containers,
        "tip_spots": tip_spots,
        "racks": racks,
        "locations": locations,
    }


def held(resource: Resource) -> dict[str, JsonValue]:
    """Say how labware differs from new: what is in it, and where tips are missing.

    Returns:
        ``volumes`` (µL by container) and ``without_tip`` (names of tip spots); either is left out
        when there is nothing to say.
    """
    parts = (resource, *resource.get_all_children())
    volumes = {part.name: part.tracker.volume for part in parts if isinstance(part, Container)}
    volumes = {name: volume for name, volume in volumes.items() if volume}
    without = [part.name for part in parts if isinstance(part, TipSpot) and not _is_there(part)]
    said: dict[str, JsonValue] = {}
    if volumes:
        said["volumes"] = {**volumes}
    if without:
        said["without_tip"] = [*without]
    return said


def _is_there(spot: TipSpot) -> bool:
    """Whether a tip is on its spot; ``has_tip`` already takes away one that is about to go."""
    try:
        spot.tracker.get_tip()
    except NoTipError:
        return False
    return True


def put(resource: Resource, said: Mapping[str, Any]) -> None:
    """Let new labware hold what ``held`` said."""
    volumes, without = said.get("volumes", {}), set(said.get("without_tip", ()))
    for part in (resource, *resource.get_all_children()):
        if isinstance(part, Container) and part.name in volumes:
            part.tracker.set_volume(volumes[part.name])
        elif isinstance(part, TipSpot) and part.name in without:
            part.tracker.clear()


def limit(container: Container) -> float | None:
    """Give the largest volume of a container in µL; None when it has no limit, as waste."""
    return container.max_volume if math.isfinite(container.max_volume) else None
