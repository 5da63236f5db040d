"""What is physically so in the pretend lab, whatever anybody believes or has recorded.

The truth is a few tables of values that are replaced, never altered: a call works on a ``Draft``,
whose changes are written down before they become true. Nothing here knows the bookkeeping of
``praxis_core.assets``: the two are compared with each other in tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import JsonValue

ROUNDING = 1e-6
"""µL; smaller differences come from floating point."""

SPILLED = "spilled"
"""The container of what ran over or dripped: the table under everything."""

Seconds = float
"""A time of the lab's clock, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Liquid:
    """Some liquid, ideally mixed."""

    volume: float = 0.0
    """µL."""
    amounts: Mapping[str, float] = field(default_factory=dict)
    """pmol of each solute."""
    since: Mapping[str, Seconds] = field(default_factory=dict)
    """When each solute came here."""

    def without(self, volume: float) -> tuple[Liquid, Liquid]:
        """Take some out; all there is when that is less, or when only rounding would stay.

        Returns:
            What is left, and what was taken.
        """
        if volume >= self.volume - ROUNDING:
            return Liquid(), self
        part = max(volume, 0.0) / self.volume
        taken = {solute: amount * part for solute, amount in self.amounts.items()}
        left = {solute: amount - taken[solute] for solute, amount in self.amounts.items()}
        return (
            Liquid(self.volume - max(volume, 0.0), left, self.since),
            Liquid(max(volume, 0.0), taken),
        )

    def plus(self, other: Liquid, now: Seconds) -> Liquid:
        """Pour another liquid into it."""
        if other.volume <= 0:
            return self
        amounts, since = dict(self.amounts), dict(self.since)
        for solute, amount in other.amounts.items():
            amounts[solute] = amounts.get(solute, 0.0) + amount
            since.setdefault(solute, now)
        return Liquid(self.volume + other.volume, amounts, since)


@dataclass(frozen=True, slots=True)
class Tip:
    """One tip, wherever it is."""

    name: str
    """The spot where it was when it was new; after the rack was filled again, with a number."""
    spot: str
    """The spot where it was when it was new."""
    capacity: float
    """µL."""
    liquid: Liquid = field(default_factory=Liquid)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a piece of labware stands."""

    parent: str | None
    """What it stands on; None: in a gripper, in the waste, or taken away."""
    location: tuple[float, float, float] | None = None
    """In its parent, mm; None: where that parent puts what stands on it."""
    rotation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """In its parent, degrees."""


@dataclass(frozen=True, slots=True)
class Heat:
    """A temperature that follows its set-point, and the room when it has none."""

    celsius: float
    """At ``since``."""
    since: Seconds
    target: float | None = None
    room: float = 22.0
    lag: Seconds = 0.0
    """Time in which a difference falls to 1/e of itself; 0: there at once."""

    def now(self, at: Seconds) -> float:
        """Give the temperature, °C."""
        goal = self.room if self.target is None else self.target
        if self.lag <= 0:
            return goal if self.target is not None or at > self.since else self.celsius
        return goal + (self.celsius - goal) * math.exp(-max(at - self.since, 0.0) / self.lag)

    def aimed(self, target: float | None, at: Seconds) -> Heat:
        """Give it another set-point; None: switch it off."""
        return replace(self, celsius=self.now(at), since=at, target=target)


@dataclass(frozen=True, slots=True)
class DeviceTruth:
    """What a device is set to."""

    initialised: bool = False
    """Whether it was set up since it was switched on."""
    epoch: int = 0
    """The newest that has connected."""
    settings: Mapping[str, JsonValue] = field(default_factory=dict)
    """Speeds, doors, locks, by name; what is not here is off, shut and unlocked."""
    heats: Mapping[str, Heat] = field(default_factory=dict)
    counts: Mapping[str, float] = field(default_factory=dict)
    """How often, or how much, was done that leaves no other trace: seals, spins, revolutions."""


TABLES: dict[str, Callable[[Any], Any]] = {}
"""How the values of each table are read from JSON."""

Value = Any
Table = dict[str, Value]
Changes = dict[str, dict[str, Value]]
"""New values by table and name; None: gone."""


def _liquid(data: dict[str, Any]) -> Liquid:
    return Liquid(**data)


def _tip(data: dict[str, Any]) -> Tip:
    return Tip(**{**data, "liquid": _liquid(data["liquid"])})


def _place(data: dict[str, Any]) -> Place:
    location, rotation = data["location"], data["rotation"]
    return Place(data["parent"], location and tuple(location), tuple(rotation))


def _device(data: dict[str, Any]) -> DeviceTruth:
    heats = {name: Heat(**heat) for name, heat in data["heats"].items()}
    return DeviceTruth(**{**data, "heats": heats})


def _as_it_is(data: Any) -> Any:
    return data


TABLES.update(
    liquids=_liquid,  # by container
    tips=_tip,  # by spot, or by channel: "star[3]", "star[96:3]"
    waste=_tip,  # tips that were thrown away, by name
    places=_place,  # by labware
    grippers=_as_it_is,  # the labware that is held, by device
    made=_as_it_is,  # how to make labware that came later, by name
    devices=_device,  # by device
    attributes=_as_it_is,  # what a simulated backend has been told, by "device/attribute"
)


class Truth:
    """The tables, as they are."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {name: {} for name in TABLES}
        self.skipped = 0.0
        """Seconds that the lab's clock is ahead."""

    def apply(self, changes: Mapping[str, Mapping[str, Value]]) -> None:
        """Make changes true."""
        for table, entries in changes.items():
            into = self.tables[table]
            for name, value in entries.items():
                if value is None:
                    into.pop(name, None)
                else:
                    into[name] = value

    def dump(self) -> dict[str, Any]:
        """Give everything, for ``orjson`` to write down."""
        return {"skipped": self.skipped, **self.tables}

    def load(self, data: Mapping[str, Any]) -> None:
        """Go on from ``dump``."""
        self.skipped = data["skipped"]
        self.tables = {name: dict(decoded({name: data[name]})[name]) for name in TABLES}


class Draft:
    """The truth as it would be: what one call would change, until it is made true or forgotten."""

    def __init__(self, truth: Truth, now: Seconds) -> None:
        self._tables = truth.tables
        self.changes: Changes = {}
        self.now = now

    def get(self, table: str, name: str) -> Value:
        """Give an entry; None: there is none."""
        changed = self.changes.get(table, {})
        return changed[name] if name in changed else self._tables[table].get(name)

    def put(self, table: str, name: str, value: Value) -> None:
        """Replace an entry; None removes it."""
        self.changes.setdefault(table, {})[name] = value

    def items(self, table: str) -> Iterator[tuple[str, Value]]:
        """Give all entries of a table."""
        changed = self.changes.get(table, {})
        for name, value in self._tables[table].items():
            if name not in changed:
                yield name, value
        for name, value in changed.items():
            if value is not None:
                yield name, value

    def liquid(self, container: str) -> Liquid:
        """Give what is in a container."""
        found: Liquid | None = self.get("liquids", container)
        return found or Liquid()

    def pour(self, container: str, liquid: Liquid) -> None:
        """Pour liquid into a container."""
        if liquid.volume > 0:
            self.put("liquids", container, self.liquid(container).plus(liquid, self.now))

    def tip(self, where: str) -> Tip | None:
        """Give the tip in a spot or on a channel."""
        found: Tip | None = self.get("tips", where)
        return found

    def device(self, name: str) -> DeviceTruth:
        """Give what a device is set to."""
        found: DeviceTruth | None = self.get("devices", name)
        return found or DeviceTruth()

    def parent(self, labware: str) -> str | None:
        """Name what a piece of labware stands on."""
        place: Place | None = self.get("places", labware)
        return place.parent if place else None

    def held_by(self, labware: str) -> str | None:
        """Name the device whose gripper holds a piece of labware."""
        return next((name for name, held in self.items("grippers") if held == labware), None)

    def standing_on(self, parent: str) -> list[str]:
        """Name what stands directly on something."""
        return [name for name, place in self.items("places") if place.parent == parent]


def decoded(tables: Mapping[str, Mapping[str, JsonValue]]) -> Changes:
    """Read changes from JSON; written they are by ``orjson``, which knows data classes."""
    return {
        table: {
            name: None if value is None else TABLES[table](value) for name, value in entries.items()
        }
        for table, entries in tables.items()
    }


def channel(device: str, number: int, *, head96: bool = False) -> str:
    """Name a channel as the table of tips does."""
    return f"{device}[96:{number}]" if head96 else f"{device}[{number}]"
