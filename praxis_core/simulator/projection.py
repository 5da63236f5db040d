"""Keeping PyLabRobot's objects in the lab as the truth is, for simulated backends to look at."""

from __future__ import annotations

import re

from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import (
    Container,
    Coordinate,
    PlateAdapter,
    Resource,
    Rotation,
    TipSpot,
    TipTracker,
)

from praxis_core.labware.factories import build_resource
from praxis_core.simulator.truth import Changes, Place, Tip, Truth
from praxis_core.workcell.model import WorkcellModel

_CHANNEL = re.compile(r"^(?P<device>.+)\[(?P<head>96:)?(?P<number>\d+)\]$")


class Projection:
    """Follows changes of the truth on the resource tree, volume trackers and heads."""

    def __init__(self, model: WorkcellModel) -> None:
        self._model = model

    def follow(self, changes: Changes) -> None:
        """Bring everything that changed up to date."""
        for name, made in changes.get("made", {}).items():
            if made is not None and self._model.resources.find(name) is None:
                self._model.resources.add(build_resource(made))
        for name, liquid in changes.get("liquids", {}).items():
            container = self._model.resources.find(name)
            if isinstance(container, Container):
                container.tracker.volume = container.tracker.pending_volume = (
                    0.0 if liquid is None else liquid.volume
                )
        for name, tip in changes.get("tips", {}).items():
            self._follow_tip(name, tip)
        held = set(changes.get("grippers", {}).values())
        self._follow_places(changes.get("places", {}), held)

    def follow_all(self, truth: Truth) -> None:
        """Bring everything up to date, after a restart."""
        self.follow(truth.tables)

    def _follow_tip(self, name: str, tip: Tip | None) -> None:
        match = _CHANNEL.match(name)
        if match is None:
            return
        handler = self._model.devices.get(match["device"])
        if not isinstance(handler, LiquidHandler):
            return
        head = handler.head96 if match["head"] else handler.head
        tracker = (head or {}).get(int(match["number"]))
        if tracker is not None:
            self._mount(tracker, tip)

    def _mount(self, tracker: TipTracker, tip: Tip | None) -> None:
        if tracker.has_tip:
            tracker.clear()
        spot = None if tip is None else self._model.resources.find(tip.spot)
        if isinstance(spot, TipSpot):
            tracker.add_tip(spot.make_tip(), commit=True)

    def _follow_places(self, places: dict[str, Place | None], held: set[str | None]) -> None:
        moved: list[tuple[Resource, Place]] = []
        # What comes from something that goes is taken off it first.
        for name, place in sorted(places.items(), key=lambda each: each[1] is None):
            resource = self._model.resources.find(name)
            if resource is None or _stands(resource, place):
                continue
            if place is not None and place.parent is not None:
                moved.append((resource, place))
            elif name in held or _goes_with_its_parent(resource, place, places):
                continue  # it stays in the tree where it was, as PyLabRobot has it
            resource.unassign()
        for resource, place in moved:
            self._stand(resource, place)

    def _stand(self, resource: Resource, place: Place) -> None:
        parent = self._model.resources.get(place.parent or "")
        resource.rotation = Rotation(*place.rotation)
        location: Coordinate | None = None
        if place.location is not None:
            location = Coordinate(*place.location)
        elif isinstance(parent, PlateAdapter):
            location = parent.compute_plate_location(resource)
        parent.assign_child_resource(resource, location=location)


def _goes_with_its_parent(
    resource: Resource, place: Place | None, places: dict[str, Place | None]
) -> bool:
    """Whether a resource leaves as a part of what it stands on: a carrier keeps its sites."""
    parent = resource.parent
    if place is not None or parent is None or parent.name not in places:
        return False
    return places[parent.name] is None


def _stands(resource: Resource, place: Place | None) -> bool:
    """Whether a resource stands there already."""
    parent = resource.parent
    if parent is None or place is None or parent.name != place.parent:
        return False
    turn, at = resource.rotation, resource.location
    if (turn.x, turn.y, turn.z) != tuple(place.rotation):
        return False
    return place.location is None or (at is not None and (at.x, at.y, at.z) == place.location)
