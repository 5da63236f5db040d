"""How a run pipettes for its rest, as a person has changed it: flow rates, offsets, heights.

A run's command says what its protocol asks for, and that is what a replay compares. What was
changed comes in on the devices' side, where the call is made, before what was taught
(``workcell.taught``); what was replayed is not sent, and so stays as it was.

Only how is changed, never what: volumes, wells and tips are what contents are computed from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from pydantic import JsonValue
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.liquid_handling.backends import STARBackend
from pylabrobot.liquid_handling.standard import (
    Drop,
    DropTipRack,
    MultiHeadAspirationContainer,
    MultiHeadAspirationPlate,
    MultiHeadDispenseContainer,
    MultiHeadDispensePlate,
    Pickup,
    PickupTipRack,
    SingleChannelAspiration,
    SingleChannelDispense,
)
from pylabrobot.resources import Coordinate

from praxis_core.errors import RequestError
from praxis_core.journal.records import EventRecord
from praxis_core.workcell.definition import DeviceDefinition, WorkcellDefinition
from praxis_core.workcell.model import class_of
from praxis_core.workcell.taught import NUMBERS, Key

CHANGED = "changed_for_the_rest"
"""Kind of the event that says how a method of a device is called for the rest of a run."""
CHANGED_GIVEN = "changed_values_given"
"""Kind of the event that says which command was sent otherwise than its protocol asked for it."""

_OPERATIONS = (
    *(Pickup, Drop, PickupTipRack, DropTipRack),
    *(SingleChannelAspiration, MultiHeadAspirationPlate, MultiHeadAspirationContainer),
    *(SingleChannelDispense, MultiHeadDispensePlate, MultiHeadDispenseContainer),
)

_AXES = 3
_OFFSET = "offset"
_LIQUID = ("flow_rate", _OFFSET, "liquid_height", "blow_out_air_volume")
_PLURAL = {"flow_rate": "flow_rates", _OFFSET: "offsets"}
_CHANNELS = {_PLURAL.get(one, one): one for one in _LIQUID}
"""Fields of an operation, by the parameters of the frontend."""
_HEAD96 = {one: one for one in _LIQUID}

FIELDS: Mapping[str, Mapping[str, str]] = {
    "aspirate": _CHANNELS,
    "dispense": _CHANNELS,
    "pick_up_tips": {"offsets": _OFFSET},
    "drop_tips": {"offsets": _OFFSET},
    "aspirate96": _HEAD96,
    "dispense96": _HEAD96,
    "pick_up_tips96": {_OFFSET: _OFFSET},
    "drop_tips96": {_OFFSET: _OFFSET},
}
"""What can be changed of which method of a liquid handler: field by parameter."""

_WHAT = "contents are computed from what the protocol asks for, and would not be what is there"
_WHERE = "what follows would look for liquid and tips where they are not"
_FIXED = {
    **dict.fromkeys(("vols", "volume", "volumes", "mix"), _WHAT),
    **dict.fromkeys(("resources", "resource", "wells", "tip_spots", "tip_rack"), _WHERE),
    **dict.fromkeys(("use_channels", "tips", "spread"), _WHERE),
}
"""Why these stay as they are."""

_OF_STAR = {"": Key("µL/s", 0.4, 500), "96": Key("µL/s", 0.3, 500)}
"""Flow rates that a STAR takes: its channels, its 96-head."""


@dataclass(frozen=True, slots=True)
class Change:
    """How a method is called for the rest of a run."""

    device: str
    method: str
    parameter: str
    """Of the frontend."""
    value: JsonValue
    """µL/s, mm, µL; an offset as [x, y, z] in mm; None: as the protocol asks."""
    by: str

    def __str__(self) -> str:
        """Say it as it was asked for."""
        return f"{self.device}.{self.method}.{self.parameter}={json.dumps(self.value)}"

    @property
    def details(self) -> dict[str, JsonValue]:
        """Give it for the audit trail, without who."""
        parts = {"device": self.device, "method": self.method, "parameter": self.parameter}
        return {**parts, "value": self.value}

    @property
    def field(self) -> str:
        """The field of PyLabRobot's operations."""
        return FIELDS[self.method][self.parameter]


# --- what may be changed --------------------------------------------------------------------------


def read(text: str) -> tuple[str, str, str, JsonValue]:
    """Read ``star.aspirate.flow_rates=50``: device, method, parameter and value.

    Raises:
        RequestError: it is nothing of that kind.
    """
    name, equals, said = text.partition("=")
    parts = name.strip().split(".")
    if not equals or len(parts) != len(("device", "method", "parameter")) or not all(parts):
        example = "lh.aspirate.flow_rates=50 or lh.aspirate.offsets=[0,0,1]"
        raise RequestError(what=f"{text!r} changes nothing; write {example}")
    try:
        value: JsonValue = json.loads(said)
    except ValueError:
        what = f"{said!r} in {text!r} is no number, and no list such as [0,0,1]"
        raise RequestError(what=what) from None
    return parts[0], parts[1], parts[2], value


def refuse_impossible(definition: WorkcellDefinition, change: Change) -> None:
    """Let nothing be changed that would reach no device, or would not be what is recorded.

    Raises:
        RequestError: it would.
    """
    device = definition.devices[change.device]
    kind = class_of(device.frontend)
    if not issubclass(kind, LiquidHandler):
        what = f"{change.device} is a {kind.__name__}; only of liquid handlers something is changed"
        raise RequestError(what=what)
    _refuse_unknown(change)
    if change.value is not None:
        _refuse_value(device, change)


def _refuse_unknown(change: Change) -> None:
    where = f"{change.device}.{change.method}"
    if change.method not in FIELDS:
        raise RequestError(what=f"nothing of {where} can be changed, only of {', '.join(FIELDS)}")
    known = FIELDS[change.method]
    if change.parameter in known:
        return
    if change.parameter in _FIXED:
        what = f"{change.parameter} of {where} stays as it is: {_FIXED[change.parameter]}"
        raise RequestError(what=f"{what}. What can be changed: {', '.join(known)}")
    close = get_close_matches(change.parameter, known, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    what = f"{where} has no {change.parameter}{hint}; what can be changed: {', '.join(known)}"
    raise RequestError(what=what)


def _refuse_value(device: DeviceDefinition, change: Change) -> None:
    if change.field == _OFFSET:
        key, given = NUMBERS["x_offset"], change.value
        axes = given if isinstance(given, list) else []
        if len(axes) != _AXES or not all(_is_within(one, key) for one in axes):
            what = f"three numbers, [x, y, z] in mm, each from {key.least:g} to {key.most:g}"
            raise RequestError(what=f"{change} is not possible: an offset is {what}")
        return
    key = _range(device, change)
    if not _is_within(change.value, key):
        what = f"it is one number for all channels, from {key.least:g} to {key.most:g} {key.unit}"
        raise RequestError(what=f"{change} is not possible: {what}")


def _range(device: DeviceDefinition, change: Change) -> Key:
    of_star = issubclass(class_of(device.backend), STARBackend)
    if change.field == "flow_rate" and of_star:
        return _OF_STAR["96" if change.method.endswith("96") else ""]
    side = change.method.removesuffix("96")
    return NUMBERS[f"{side}_{change.field}"]


def _is_within(value: JsonValue, key: Key) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return key.least <= value <= key.most


# --- what a call is given -------------------------------------------------------------------------


def changes_in(events: Iterable[EventRecord]) -> tuple[Change, ...]:
    """Read what was changed of a run from its audit trail; of one thing the last counts."""
    found: dict[tuple[str, str, str], Change] = {}
    for event in events:
        if event.kind != CHANGED or not isinstance(event.details, dict):
            continue
        said = {name: str(event.details[name]) for name in ("device", "method", "parameter", "by")}
        change = Change(**said, value=event.details["value"])
        key = change.device, change.method, change.parameter
        found.pop(key, None)
        if change.value is not None:
            found[key] = change
    return tuple(found.values())


def otherwise(
    changes: Sequence[Change], args: Iterable[Any], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Give the arguments of a call with what was changed of it.

    An offset is added to that of the protocol, as PyLabRobot spreads channels in one container by
    their offsets.

    Args:
        changes: Of this method of this device.
        args: As the run asks for it.
        kwargs: Likewise.
    """
    given = tuple(_changed(changes, one) for one in args)
    return given, {name: _changed(changes, one) for name, one in kwargs.items()}


def _changed(changes: Sequence[Change], value: Any) -> Any:
    if isinstance(value, list):
        return [_changed(changes, one) for one in value]
    if not isinstance(value, _OPERATIONS):
        return value
    for change in changes:
        new: Any = change.value
        if change.field == _OFFSET:
            new = value.offset + Coordinate(*new)
        value = replace(value, **{change.field: new})
    return value
