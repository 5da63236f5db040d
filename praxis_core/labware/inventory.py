"""What a tree of resources holds, as plain data: where the bookkeeping of ``assets`` begins."""

from __future__ import annotations

import math
from typing import Any

from pydantic import JsonValue
from pylabrobot.resources import Container, Resource, TipRack, TipSpot


def inventory(resource: Resource) -> dict[str, JsonValue]:
    """List the containers, tips and places of a resource and of all that stands on it.

    Returns:
        Fields of ``AssetManagerState`` by name: ``containers`` (volumes in µL; what is dissolved in
        them PyLabRobot does not know), ``tip_spots``, ``racks`` (tip spots in the order of a
        96-head's channels) and ``locations``.
    """
    containers: dict[str, Any] = {}
    tip_spots: dict[str, Any] = {}
    racks: dict[str, Any] = {}
    locations: dict[str, Any] = {}
    for part in (resource, *resource.get_all_children()):
        locations[part.name] = {"parent": part.parent.name if part.parent else None}
        if isinstance(part, Container):
            containers[part.name] = {"volume": part.tracker.volume, "max_volume": limit(part)}
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


def limit(container: Container) -> float | None:
    """Give the largest volume of a container in µL; None when it has no limit, as waste."""
    return container.max_volume if math.isfinite(container.max_volume) else None
