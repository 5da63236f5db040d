"""What a workcell has, as the catalogue of assets takes it up."""

from __future__ import annotations

from collections.abc import Iterator

from pylabrobot.resources import (
    Carrier,
    Deck,
    Lid,
    Plate,
    Resource,
    TipRack,
    Trash,
    Trough,
    Tube,
    TubeRack,
)

from praxis_core.assets.inventory import Description
from praxis_core.workcell.model import WorkcellModel

_KINDS: tuple[tuple[type[Resource], str], ...] = (
    (Lid, "lid"),
    (TipRack, "tip_rack"),
    (TubeRack, "tube_rack"),
    (Plate, "plate"),
    (Tube, "tube"),
    (Trash, "waste"),
    (Trough, "trough"),
    (Carrier, "carrier"),
    (Deck, "deck"),
)
_OF_THEIR_OWN = (Deck, Lid, TipRack, Tube)
"""What is an asset wherever it is: it can be taken away from what it stands on, or stays longer."""


def descriptions(model: WorkcellModel) -> dict[str, Description]:
    """Say what each thing of a workcell is: devices, decks, labware, lids, racks and tubes.

    Args:
        model: As its definition built it.
    """
    found = {name: Description("device") for name in model.devices}
    for labware in model.definition.labware:
        resource = model.resources.get(labware.name)
        kind = _kind(resource)
        found[labware.name] = Description(kind, labware.factory, labware.config)
    for part in _parts(model):
        if isinstance(part, _OF_THEIR_OWN) and part.name not in found:
            found[part.name] = Description(_kind(part), part.model)
    return found


def _kind(resource: Resource) -> str:
    for cls, kind in _KINDS:
        if isinstance(resource, cls):
            return kind
    return "labware"


def _parts(model: WorkcellModel) -> Iterator[Resource]:
    for root in model.roots():
        yield root
        yield from root.get_all_children()
