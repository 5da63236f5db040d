"""What labware of a class can hold."""

from __future__ import annotations

from typing import Literal

from pylabrobot.machines.machine import Machine
from pylabrobot.resources import Carrier, Container, ItemizedResource, Plate, Resource, TipRack

Holds = Literal["tips", "liquid", "wells", "labware", "anything"]
"""``wells``: liquid, in many places; ``anything``: nobody can tell of a class so general."""


def capacity(cls: type) -> frozenset[Holds]:
    """Say what labware of a class can hold; nothing of a machine."""
    if issubclass(cls, Machine):
        return frozenset()
    held: dict[type, tuple[Holds, ...]] = {
        TipRack: ("tips",),
        Plate: ("liquid", "wells"),
        Container: ("liquid",),
        Carrier: ("labware",),
    }
    found = {kind for base, kinds in held.items() if issubclass(cls, base) for kind in kinds}
    if issubclass(cls, ItemizedResource) and not found:
        found = {"liquid", "wells"}
    if issubclass(cls, Resource):
        found.add("anything")
    return frozenset(found)
