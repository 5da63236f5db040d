"""What was taught to devices, given to their calls: offsets, grips, and how to pipette.

A run's command says what its protocol asks for, and that is what a resume compares. The values of
``praxis calibration`` come in here, on the devices' side, where the call is made.

The rule: of several values that fit, the one of the nearest place wins (a shaker before the site on
which it stands, any place before none), then the one for this kind of labware before the one for
any. A run uses what was in force when its attempt came to the devices; what ends meanwhile is no
longer used. What a protocol says itself about how to pipette stays.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import JsonValue
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.liquid_handling.standard import (
    Drop,
    DropTipRack,
    Mix,
    MultiHeadAspirationContainer,
    MultiHeadAspirationPlate,
    MultiHeadDispenseContainer,
    MultiHeadDispensePlate,
    Pickup,
    PickupTipRack,
    ResourceDrop,
    ResourceMove,
    ResourcePickup,
    SingleChannelAspiration,
    SingleChannelDispense,
)
from pylabrobot.pumps import PumpArray
from pylabrobot.resources import Coordinate, Resource
from pylabrobot.resources.errors import ResourceNotFoundError

from praxis_core.assets.calibration import Calibration, Taught, name_of
from praxis_core.errors import RequestError
from praxis_core.workcell.definition import DeviceDefinition, WorkcellDefinition
from praxis_core.workcell.model import WorkcellModel, calibration_of, class_of

GIVEN = "taught_values_given"
"""Kind of the event that says which values a command was given."""


@dataclass(frozen=True, slots=True)
class Key:
    """A value that can be taught."""

    unit: str
    least: float
    most: float


_OFFSET = Key("mm", -20, 20)
_PIPETTING = ("x_offset", "y_offset", "z_offset")
_GRIPPING = ("grip_x_offset", "grip_y_offset", "grip_z_offset")
_MIX = {"volume": Key("µL", 0.1, 5000), "repetitions": Key("", 1, 100)} | {
    "flow_rate": Key("µL/s", 0.1, 2000)
}
_HOW = {
    "flow_rate": Key("µL/s", 0.1, 2000),
    "blow_out_air_volume": Key("µL", 0, 1000),
    "liquid_height": Key("mm", 0, 200),
}
_SIDES = ("aspirate", "dispense")

NUMBERS: Mapping[str, Key] = {
    **dict.fromkeys((*_PIPETTING, *_GRIPPING), _OFFSET),
    "grip_width": Key("mm", 5, 200),
    "grip_height": Key("mm", 0, 100),
    **{f"{side}_{name}": key for side in _SIDES for name, key in _HOW.items()},
}
"""What a liquid handler can be taught that is one number; ``<side>_mix`` is a table of three."""

VOLUME_PER_SECOND = "volume_per_second"
"""What pumps can be taught: a number, or a list of one per channel, in the protocol's own unit."""

_MIXES = tuple(f"{side}_mix" for side in _SIDES)
_KEYS = (*NUMBERS, *_MIXES)

_ASPIRATIONS = (SingleChannelAspiration, MultiHeadAspirationPlate, MultiHeadAspirationContainer)
_DISPENSES = (SingleChannelDispense, MultiHeadDispensePlate, MultiHeadDispenseContainer)
_TIPS = (Pickup, Drop, PickupTipRack, DropTipRack)


# --- what may be taught ---------------------------------------------------------------------------


def refuse_unknown(definition: WorkcellDefinition, of: Taught, value: JsonValue) -> None:
    """Let nothing be taught that would reach no device.

    Raises:
        RequestError: a device of this kind takes no such value, or not this one.
    """
    kind = class_of(definition.devices[of.device].frontend)
    if issubclass(kind, PumpArray):
        _refuse_no_pumping(definition.devices[of.device], of, value)
        return
    if not issubclass(kind, LiquidHandler):
        what = f"{of.device} is a {kind.__name__}; nothing can be taught to one, {of.key} neither"
        raise RequestError(what=what)
    if of.key not in _KEYS:
        known = ", ".join(_described(key) for key in _KEYS)
        raise RequestError(what=f"{of.device} knows no {of.key}; it can be taught {known}")
    kinds = sorted({one.factory for one in definition.labware})
    if of.labware_kind and of.labware_kind not in kinds:
        what = f"no labware of the workcell is {of.labware_kind!r}; there are {', '.join(kinds)}"
        raise RequestError(what=what)
    if of.key == "grip_width":
        backend = class_of(definition.devices[of.device].backend)
        if not takes_width(backend.pick_up_resource):
            raise RequestError(what=f"{of.device} cannot be told how wide it grips")
    if of.key in _MIXES:
        _refuse_no_mix(of.key, value)
    else:
        _refuse_beyond(of.key, value, NUMBERS[of.key])


def _refuse_no_mix(name: str, value: JsonValue) -> None:
    if not isinstance(value, dict) or value.keys() != _MIX.keys():
        example = '{"volume": 50, "repetitions": 3, "flow_rate": 100}'
        raise RequestError(what=f"{name} is a table such as {example} (µL, µL/s)")
    for part, key in _MIX.items():
        _refuse_beyond(f"{part} of {name}", value[part], key)
    if not isinstance(value["repetitions"], int):
        raise RequestError(what=f"repetitions of {name} is a whole number")


def _refuse_no_pumping(device: DeviceDefinition, of: Taught, value: JsonValue) -> None:
    if of.key != VOLUME_PER_SECOND:
        raise RequestError(what=f"{of.device} knows no {of.key}; teach it {VOLUME_PER_SECOND}")
    if of.site or of.labware_kind:
        raise RequestError(what=f"{of.key} is of no place and no labware; leave them out")
    calibration = calibration_of(device)
    if calibration is None or calibration.calibration_mode != "duration":
        why = "it is not calibrated" if calibration is None else "it counts revolutions"
        what = f"{of.device} pumps for no time by the workcell's definition: {why}. Write there: "
        raise RequestError(what=what + "{calibration: [12.5], calibration_mode: duration}")
    each = value if isinstance(value, list) else [value] * len(calibration)
    numbers = [one for one in each if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(numbers) != len(each) or min(numbers, default=1) <= 0:
        what = f"{of.key} is a number above 0, or a list of them, one per channel, not {value!r}"
        raise RequestError(what=what)
    if len(each) != len(calibration):
        raise RequestError(what=f"{of.device} has {len(calibration)} channels, not {len(each)}")


def _described(name: str) -> str:
    if name not in NUMBERS:
        return f"{name} (a table)"
    key = NUMBERS[name]
    return f"{name} ({key.unit}, {key.least:g} to {key.most:g})"


def _refuse_beyond(name: str, value: JsonValue, key: Key) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not key.least <= value <= key.most:  # type: ignore[operator]  # it is a number
        between = f"{key.least:g} to {key.most:g} {key.unit}".strip()
        raise RequestError(what=f"{name} is a number from {between}, not {value!r}")


def reaches(definition: WorkcellDefinition, one: Calibration) -> bool:
    """Whether a value that is kept can be given to a device; the workcell may be another now."""
    if one.of.device not in definition.devices:
        return False
    try:
        refuse_unknown(definition, one.of, one.value)
    except RequestError:
        return False
    return True


def refuse_unknown_place(model: WorkcellModel, site: str) -> None:
    """Let nothing be taught for a place that is nowhere.

    Raises:
        RequestError: the workcell has no such place.
    """
    if _place(model, site) is None:
        known = ", ".join(model.places) or "none with names"
        what = f"the workcell has no place {site!r}; it has {known}, and such as carrier[0]"
        raise RequestError(what=what)


def _place(model: WorkcellModel, site: str) -> Resource | None:
    found = model.places.get(site)
    if found is not None:
        return found
    try:
        return model.resources.get(site)
    except ResourceNotFoundError:
        return None


# --- what a call is given -------------------------------------------------------------------------


@dataclass(slots=True)
class Lessons:
    """The values that one attempt of a run uses.

    Args:
        values: In force when it came to its devices.
        model: The workcell; None: there are no values.
    """

    values: Sequence[Calibration] = ()
    model: WorkcellModel | None = None
    heights: dict[str, float | None] = field(default_factory=dict)
    """How far from its top each gripper was taught to grip what it holds, mm; None: as asked."""
    _kinds: dict[str, str] = field(default_factory=dict)

    def find(
        self, device: str, key: str, resource: Resource, on: Resource | None = None
    ) -> Calibration | None:
        """Give the value that counts for labware; None: there is none.

        Args:
            device: Which works on it.
            key: What the value is.
            resource: The labware, or a part of it.
            on: What it will stand on; None: it stays where it is.
        """
        best: tuple[tuple[int, bool], Calibration] | None = None
        for one in self.of_device(device, key):
            rank = self._rank(one.of, resource, on)
            if rank is not None and (best is None or rank < best[0]):
                best = rank, one
        return None if best is None else best[1]

    def of_device(self, device: str, key: str) -> Iterator[Calibration]:
        """Give the values of a device that are not over."""
        now = datetime.now(UTC)
        for one in self.values:
            over = one.valid_until is not None and one.valid_until <= now
            if not over and one.of.device == device and one.of.key == key:
                yield one

    def _rank(self, of: Taught, resource: Resource, on: Resource | None) -> tuple[int, bool] | None:
        """Say how well a value fits: the least is the best; None: it does not."""
        if self.model is None:
            return None
        if of.labware_kind and of.labware_kind != self._kind(resource):
            return None
        places = list(_upwards(resource if on is None else on))
        distance = len(places)
        if of.site:
            place = _place(self.model, of.site)
            distance = next((n for n, one in enumerate(places) if one is place), -1)
            if distance < 0:
                return None
        return distance, not of.labware_kind

    def _kind(self, resource: Resource) -> str | None:
        if not self._kinds and self.model is not None:
            self._kinds = {one.name: one.factory for one in self.model.definition.labware}
        names = (self._kinds.get(one.name) for one in _upwards(resource))
        return next((kind for kind in names if kind is not None), None)


def _upwards(resource: Resource | None) -> Iterator[Resource]:
    while resource is not None:
        yield resource
        resource = resource.parent


@dataclass(slots=True)
class Given:
    """One call, with what was taught."""

    lessons: Lessons
    device: str
    target: Resource | None = None
    """What labware will stand on that is put down."""
    used: dict[str, JsonValue] = field(default_factory=dict)
    """Which versions were used, by what they are of."""

    def value(self, value: Any) -> Any:
        """Give an argument with what was taught of it."""
        if isinstance(value, list):
            return [self.value(one) for one in value]
        for kinds, change in _CHANGES:
            if isinstance(value, kinds):
                return change(self, value)
        return value

    def find(self, key: str, resource: Resource, on: Resource | None = None) -> Any:
        """Give a value and note it; None: nothing was taught."""
        return self._noted(self.lessons.find(self.device, key, resource, on))

    def _noted(self, found: Calibration | None) -> Any:
        if found is None:
            return None
        self.used[name_of(found.of)] = {"version": found.version, "value": found.value}
        return found.value

    def pumped(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Let a channel that is to give a volume run for as long as that takes."""
        volume, channel = asked.get("volume"), asked.get("use_channels")
        if volume is None or channel is None:
            return dict(asked)
        rate = self._noted(next(self.lessons.of_device(self.device, VOLUME_PER_SECOND), None))
        if rate is None:
            return dict(asked)
        return {**asked, "duration": volume / (rate[channel] if isinstance(rate, list) else rate)}

    def offset(
        self, operation: Any, keys: Sequence[str], of: Resource, on: Resource | None = None
    ) -> Any:
        """Move an operation."""
        x, y, z = (self.find(key, of, on) or 0 for key in keys)
        if x == y == z == 0:
            return operation
        return replace(operation, offset=operation.offset + Coordinate(x, y, z))

    def tips(self, operation: Any) -> Any:
        """Take or drop tips where they are."""
        return self.offset(operation, _PIPETTING, operation.resource)

    def liquid(self, operation: Any) -> Any:
        """Draw or give a liquid, as is taught where the protocol says nothing."""
        side = _SIDES[not isinstance(operation, _ASPIRATIONS)]
        resource = _container(operation)
        how: dict[str, Any] = {}
        for name in (*_HOW, "mix"):
            if getattr(operation, name) is None:
                taught = self.find(f"{side}_{name}", resource)
                if taught is not None:
                    how[name] = Mix(**taught) if name == "mix" else taught
        return self.offset(replace(operation, **how), _PIPETTING, resource)

    def grip(self, pickup: ResourcePickup) -> ResourcePickup:
        """Take labware where, and as high, as is taught."""
        height = self.find("grip_height", pickup.resource)
        self.lessons.heights[self.device] = height
        moved: ResourcePickup = self.offset(pickup, _GRIPPING, pickup.resource)
        return moved if height is None else replace(moved, pickup_distance_from_top=height)

    def hold(self, move: ResourceMove) -> ResourceMove:
        """Carry labware as it was gripped."""
        height = self.lessons.heights.get(self.device)
        return move if height is None else replace(move, pickup_distance_from_top=height)

    def put(self, drop: ResourceDrop) -> ResourceDrop:
        """Put labware down where is taught, as it was gripped."""
        height = self.lessons.heights.get(self.device)
        held = drop if height is None else replace(drop, pickup_distance_from_top=height)
        if self.target is None:
            return held
        put: ResourceDrop = self.offset(held, _GRIPPING, drop.resource, self.target)
        return put


def _container(operation: Any) -> Resource:
    wells: list[Resource] | None = getattr(operation, "wells", None)
    if wells:
        return wells[0]
    found: Resource = getattr(operation, "container", None) or operation.resource
    return found


_CHANGES: tuple[tuple[Any, Callable[[Given, Any], Any]], ...] = (
    (_TIPS, Given.tips),
    ((*_ASPIRATIONS, *_DISPENSES), Given.liquid),
    (ResourcePickup, Given.grip),
    (ResourceMove, Given.hold),
    (ResourceDrop, Given.put),
)


def give(
    given: Given, method: Callable[..., Any] | None, args: Iterable[Any], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Give the arguments of a call with what was taught; ``given.used`` says what.

    Args:
        given: The call.
        method: Of the backend; None: the call is one of the frontend, and contains time.
        args: As the run asks for it.
        kwargs: Likewise.
    """
    if method is None:
        return tuple(args), given.pumped(kwargs)
    all_args = tuple(given.value(one) for one in args)
    named = {name: given.value(one) for name, one in kwargs.items()}
    gripped = [one for one in (*all_args, *named.values()) if isinstance(one, ResourcePickup)]
    takes = gripped and takes_width(method) and named.get("plate_width") is None
    if takes and named.get("use_arm", "iswap") == "iswap":
        width = given.find("grip_width", gripped[0].resource)
        if width is not None:
            named["plate_width"] = width
    return all_args, named


def takes_width(method: Callable[..., Any]) -> bool:
    """Whether a gripper can be told how wide something is."""
    return "plate_width" in inspect.signature(method).parameters
