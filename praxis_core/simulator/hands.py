"""The hands of a person in a pretend lab: what somebody says he put right there is put right."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pylabrobot.resources import TipSpot

from praxis_core.assets.names import channels_of
from praxis_core.assets.state import AssetManagerState, ContainerContents
from praxis_core.simulator.beginning import renamed
from praxis_core.simulator.lab_control import LabControl
from praxis_core.simulator.pipetting import new_tip
from praxis_core.simulator.truth import Tip
from praxis_core.workcell.model import WorkcellModel

Table = dict[str, Any]


def put_right(
    control: LabControl,
    model: WorkcellModel,
    known: AssetManagerState,
    names: Iterable[str],
    fresh: Collection[str] = (),
) -> None:
    """Let some labware be in the lab as it is known; what is there so already is left alone.

    What nobody knows (``unknown``) stays as it truly is.

    Args:
        control: Of the lab.
        model: As the definition of the workcell built it.
        known: What the catalogue says.
        names: The labware.
        fresh: Of these, racks with other tips than before.

    Raises:
        LabRefused: the lab does not take it.
        DeviceLinkLost: the lab is gone.
    """
    truth, now = control.truth(), control.now()
    wanted = known.restricted(names)
    places = _places(truth, wanted, known.grippers.values())
    tables: dict[str, Table] = {
        "liquids": _liquids(truth["liquids"], wanted, now),
        "tips": {},
        "waste": {},
        "places": places,
        "grippers": {device: None for device, held in truth["grippers"].items() if held in places},
    }
    new = {spot for rack in fresh for spot in wanted.racks.get(rack, ())}
    _tips(truth, wanted, model, new, tables)
    _heads(truth, wanted, tables)
    filled: Mapping[str, Table] = {table: entries for table, entries in tables.items() if entries}
    if filled:
        control.stage(tables=filled)


def _liquids(truly: Table, wanted: AssetManagerState, now: float) -> Table:
    return {
        name: {
            "volume": container.volume,
            "amounts": container.amounts,
            "since": dict.fromkeys(container.amounts, now),
        }
        for name, container in wanted.containers.items()
        if not container.unknown and not _holds(truly.get(name), container)
    }


def _holds(truly: Table | None, container: ContainerContents) -> bool:
    if truly is None:
        return container.volume == 0
    return bool(truly["volume"] == container.volume and truly["amounts"] == container.amounts)


def _places(truth: Table, wanted: AssetManagerState, held: Collection[str | None]) -> Table:
    return {
        name: {"parent": place.parent, "location": None, "rotation": (0.0, 0.0, 0.0)}
        for name, place in wanted.locations.items()
        if name in truth["places"]
        and not place.unknown
        and (place.parent is not None or name not in held)
        and truth["places"][name]["parent"] != place.parent
    }


def _tips(
    truth: Table,
    wanted: AssetManagerState,
    model: WorkcellModel,
    new: Collection[str],
    tables: dict[str, Table],
) -> None:
    taken = {tip["name"] for tip in truth["tips"].values()} | {*truth["waste"]}
    for spot, there in wanted.tip_spots.items():
        old = truth["tips"].get(spot)
        if there is None or ((old is not None) == there and spot not in new):
            continue
        if old is not None:
            tables["waste"][old["name"]] = old
            tables["tips"][spot] = None
        resource = model.resources.find(spot)
        if there and isinstance(resource, TipSpot):
            tables["tips"][spot] = _as_json(renamed(new_tip(resource, spot), taken))


def _heads(truth: Table, wanted: AssetManagerState, tables: dict[str, Table]) -> None:
    """Take off what channels carry that are known to carry nothing."""
    known = channels_of(wanted)
    for channel, tip in truth["tips"].items():
        device = channel.partition("[")[0]
        if channel != device and device in wanted.heads and channel not in known:
            tables["waste"][tip["name"]] = tip
            tables["tips"][channel] = None


def _as_json(tip: Tip) -> Table:
    liquid = {"volume": 0.0, "amounts": {}, "since": {}}
    return {"name": tip.name, "spot": tip.spot, "capacity": tip.capacity, "liquid": liquid}
