"""The physics of labware that is gripped, put down, and gets in the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pylabrobot.liquid_handling.standard import ResourceDrop, ResourcePickup
from pylabrobot.resources import (
    Container,
    Coordinate,
    Deck,
    ItemizedResource,
    Lid,
    Resource,
    ResourceHolder,
    ResourceStack,
    TipSpot,
)

from praxis_core.simulator.act import Act
from praxis_core.simulator.truth import Place


def is_labware(resource: Resource) -> bool:
    """Whether something can be somewhere else than it is: not a well, a tip spot, a deck."""
    return not (
        isinstance(resource, (TipSpot, Deck))
        or resource.parent is None
        or (isinstance(resource, Container) and isinstance(resource.parent, ItemizedResource))
    )


def grip(call: Act) -> None:
    """Take labware into the gripper."""
    pickup: ResourcePickup = call.argument("pickup")
    name, draft = pickup.resource.name, call.draft
    held = draft.get("grippers", call.device)
    if held is not None:
        raise call.crash(f"its gripper holds {held} already")
    by = draft.held_by(name)
    if by is not None:
        raise call.crash(f"{name} is in the gripper of {by}")
    parent = draft.parent(name)
    if parent is None:
        raise call.crash(f"{name} does not stand where it was to be gripped; it was taken away")
    _refuse_shut(call, name, parent)
    draft.put("grippers", call.device, name)
    draft.put("places", name, Place(None))
    call.note(do="grip", labware=name, parent=parent)


def release(call: Act) -> None:
    """Put down what the gripper holds."""
    drop: ResourceDrop = call.argument("drop")
    draft = call.draft
    held = draft.get("grippers", call.device)
    if held is None:
        raise call.crash(f"its gripper holds nothing, {drop.resource.name} least of all")
    resource, parent = call.resources.get(held), call.new_parent
    if parent is not None:
        _refuse_occupied(call, resource, call.resources.get(parent))
        _refuse_shut(call, held, parent)
    draft.put("grippers", call.device, None)
    draft.put("places", held, _place(resource, parent, drop, call))
    call.note(do="release", labware=held, parent=parent)


def put_down_anything(call: Act) -> None:
    """Let go of what is held, as setting up does: it falls, and stands nowhere any more."""
    held = call.draft.get("grippers", call.device)
    if held is not None:
        call.draft.put("grippers", call.device, None)
        call.draft.put("places", held, Place(None))
        call.flags.append(f"{held} fell out of the gripper")
        call.note(do="fall", labware=held)


def fetch(call: Act) -> None:
    """Bring a plate of an incubator to its loading tray."""
    _shift(call, call.argument("plate"), call.machine.loading_tray)


def take_in(call: Act) -> None:
    """Bring a plate from the loading tray of an incubator to a site."""
    _shift(call, call.argument("plate"), call.argument("site"))


def _shift(call: Act, plate: Resource, to: Resource) -> None:
    _refuse_occupied(call, plate, to)
    parent = call.draft.parent(plate.name)
    if parent is None:
        raise call.crash(f"{plate.name} is not in there")
    call.draft.put("places", plate.name, Place(to.name))
    call.note(do="shift", labware=plate.name, before=parent, parent=to.name)


def _place(resource: Resource, parent: str | None, drop: ResourceDrop, call: Act) -> Place:
    if parent is None:
        return Place(None)
    onto = call.resources.get(parent)
    turned = drop.resource.get_absolute_rotation().z + drop.rotation
    turn = (turned - onto.get_absolute_rotation().z) % 360
    rotation = (resource.rotation.x, resource.rotation.y, turn)
    if not isinstance(onto, Deck):
        return Place(parent, None, rotation)
    corner = drop.destination - (onto.location or Coordinate.zero())
    return Place(parent, (corner.x, corner.y, corner.z), rotation)


def _refuse_occupied(call: Act, resource: Resource, onto: Resource) -> None:
    if isinstance(onto, (Deck, ResourceStack)):
        return
    standing = call.draft.standing_on(onto.name)
    if not isinstance(onto, ResourceHolder) and isinstance(resource, Lid):
        standing = [name for name in standing if _is_lid(call, name)]
    if standing:
        raise call.crash(f"{standing[0]} stands on {onto.name}, where {resource.name} was to go")


def _is_lid(call: Act, name: str) -> bool:
    return isinstance(call.resources.find(name), Lid)


def _refuse_shut(call: Act, labware: str, parent: str) -> None:
    """A reader with its tray in, a thermocycler with its lid on, a shaker that holds the plate."""
    settings = call.draft.device(parent).settings
    if settings.get("tray") == "in":
        raise call.crash(f"the tray of {parent} is in, so nothing reaches {labware} there")
    if settings.get("lid") == "shut":
        raise call.crash(f"the lid of {parent} is shut, so nothing reaches {labware} there")
    if settings.get("locked"):
        raise call.crash(f"{parent} is locked and holds {labware} fast")
    if settings.get("shaking"):
        raise call.crash(f"{parent} is shaking {labware}")


GRIPPING: dict[str, Callable[[Act], Any]] = {
    "pick_up_resource": grip,
    "drop_resource": release,
}
"""What each method of a liquid handler's arm does to labware."""
