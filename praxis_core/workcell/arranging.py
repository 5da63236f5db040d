"""A workcell as it really is: labware where it stands, with the liquids and tips that are left.

A definition says how a workcell is set up. What runs and people have done since is known as
``AssetManagerState``; what is built from the definition is brought to that here.
"""

from __future__ import annotations

from collections.abc import Mapping

from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import (
    Container,
    Coordinate,
    Lid,
    PlateAdapter,
    Resource,
    ResourceHolder,
    ResourceStack,
    TipSpot,
    TipTracker,
)
from pylabrobot.resources.errors import NoTipError

from praxis_core.assets.state import AssetManagerState, MountedTip
from praxis_core.workcell.model import WorkcellModel
from praxis_core.workcell.resource_index import ResourceIndex


def arrange(
    model: WorkcellModel,
    state: AssetManagerState,
    locations: Mapping[str, Coordinate] | None = None,
) -> None:
    """Bring what was built from a definition to what is known of the workcell.

    Labware that stands on nothing known, or of which nobody knows where it stands, is taken off the
    deck. Of a well of which nobody knows what it holds the last known volume counts, and a tip of
    which nobody knows is there.

    Args:
        model: Nothing has moved on it yet.
        state: What is where, and how much of it.
        locations: Where on its parent something stands, by name; of others the parent says it.
    """
    locations = locations or {}
    moved = _moved(model, state, locations)
    for resource, _ in moved:
        resource.unassign()  # all of them first: two may have changed places
    for resource, parent in _lowest_first(moved):
        if parent is None:
            continue
        if resource.name in locations:
            parent.assign_child_resource(resource, location=locations[resource.name])
        else:
            _stand(resource, parent)
    for resource in model.resources:
        if isinstance(resource, TipSpot) and resource.name in state.tip_spots:
            _fill_spot(resource, there=state.tip_spots[resource.name])
        elif isinstance(resource, Container) and resource.name in state.containers:
            _fill_container(resource, state.containers[resource.name].volume)


def mount(model: WorkcellModel, state: AssetManagerState) -> None:
    """Let the heads of frontends carry the tips that are known to be, or may be, on them.

    A tip of which nobody knows where it came from is left out: nobody knows what it is like.
    """
    for name, device in model.devices.items():
        if isinstance(device, LiquidHandler):
            _carry(model, device.head, state.heads.get(name, {}))
            _carry(model, device.head96, state.heads96.get(name, {}))


def _carry(
    model: WorkcellModel, head: Mapping[int, TipTracker], tips: Mapping[int, MountedTip]
) -> None:
    for channel, carried in tips.items():
        spot = model.resources.find(carried.spot) if carried.spot else None
        tracker = head.get(channel)
        if carried.there is False or not isinstance(spot, TipSpot) or tracker is None:
            continue
        tip = spot.make_tip()
        tip.tracker.set_volume(carried.volume)
        tracker.clear()
        tracker.add_tip(tip, origin=spot, commit=True)


def restock(resources: ResourceIndex, state: AssetManagerState) -> None:
    """Let labware hold what somebody says is in it, while commands are under way.

    Args:
        resources: Of the workcell.
        state: What is in containers and tip spots.
    """
    for name, there in state.tip_spots.items():
        spot = resources.find(name)
        if isinstance(spot, TipSpot):
            _fill_spot(spot, there=there)
    for name, contents in state.containers.items():
        container = resources.find(name)
        if isinstance(container, Container):
            tracker = container.tracker
            pending = tracker.pending_volume - tracker.volume
            _fill_container(container, contents.volume)
            tracker.pending_volume = tracker.volume + pending


def _moved(
    model: WorkcellModel,
    state: AssetManagerState,
    locations: Mapping[str, Coordinate],
) -> list[tuple[Resource, Resource | None]]:
    """Find what stands elsewhere than it was built, and where."""
    moved = []
    for resource in model.resources:
        place = state.locations.get(resource.name)
        built_on = resource.parent.name if resource.parent else None
        parent = None if place is None or place.unknown else place.parent
        there = locations.get(resource.name, resource.location) == resource.location
        if place is not None and (parent != built_on or not there):
            moved.append((resource, None if parent is None else model.resources.find(parent)))
    return moved


def _lowest_first(
    moved: list[tuple[Resource, Resource | None]],
) -> list[tuple[Resource, Resource | None]]:
    """Put what stands on other moved things after these."""
    movers = {id(resource): parent for resource, parent in moved}

    def depth(resource: Resource) -> int:
        steps, here = 0, movers.get(id(resource))
        while here is not None and steps <= len(movers):
            steps, here = steps + 1, movers.get(id(here), here.parent)
        return steps

    return sorted(moved, key=lambda pair: depth(pair[0]))


def _stand(resource: Resource, parent: Resource) -> None:
    if isinstance(parent, PlateAdapter):
        parent.assign_child_resource(resource, location=parent.compute_plate_location(resource))
    elif isinstance(parent, (ResourceHolder, ResourceStack)) or isinstance(resource, Lid):
        parent.assign_child_resource(resource)
    else:
        # Where on it is not known; nothing that a gripper puts down ends there.
        parent.assign_child_resource(resource, location=Coordinate.zero())


def _fill_spot(spot: TipSpot, *, there: bool | None) -> None:
    try:
        spot.tracker.get_tip()
        has_tip = True
    except NoTipError:
        has_tip = False
    if there is False and has_tip:
        spot.tracker.clear()
    elif there is not False and not has_tip:
        spot.tracker.add_tip(spot.make_tip(), commit=True)


def _fill_container(container: Container, volume: float) -> None:
    if container.tracker.volume != volume:
        container.tracker.set_volume(volume)
