"""Which of several things a protocol gets that asks by kind; all rules of it are here.

Free things of the right class that have what is needed, in this order: what expires soonest; a rack
that is opened already; the name, whose numbers count as numbers. A protocol that needs two gets
two, also where the first choice of one is the only choice of the other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from praxis_core.assets.state import AssetManagerState
from praxis_core.assets.water import WATER, is_water
from praxis_core.errors import Problem
from praxis_core.protocol.needs import Needs
from praxis_core.protocol.parameters import AssetRequirement

_NUMBERED = re.compile(r"([^0-9]*)([0-9]*)")

USABLE = frozenset({"available", "empty"})
"""Statuses of a thing that a run may be given."""


@dataclass(frozen=True, slots=True)
class Fact:
    """What the catalogue knows of a thing."""

    factory: str | None = None
    """Name of the PyLabRobot factory that makes it."""
    reagent: str | None = None
    expires: date | None = None
    status: str = "available"
    filled: bool = False
    """Whether somebody filled it for a purpose; what runs pour into it does not count."""
    water: bool = False
    """Whether there is water in it and nothing else, whatever it is meant for."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, and what cannot be had."""

    assets: dict[str, str | list[str]]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class _Lack:
    """What a thing does not have that is needed; the nearer, the sooner it is told."""

    far: float
    what: str
    mend: str


def choose(  # noqa: PLR0913  # both sides of the choice, by name
    requirements: Sequence[AssetRequirement],
    candidates: Mapping[str, object],
    state: AssetManagerState,
    facts: Mapping[str, Fact] | None = None,
    *,
    taken: Iterable[str] = (),
    workcell: str = "",
) -> Choice:
    """Choose a thing for each requirement that says what it needs.

    Args:
        requirements: Those that nobody has chosen for; without ``needs`` nothing is chosen.
        candidates: The workcell's things by name, as live objects.
        state: What is in them.
        facts: What the catalogue knows of them.
        taken: Names of things that the run uses otherwise.
        workcell: Where they are, for what is to be typed.

    Returns:
        What was chosen; and a problem for each requirement without a choice, which says what would
        have to be brought. One that is optional simply stays without.
    """
    return _Choosing(
        requirements, candidates, Stock(state, facts or {}, workcell), set(taken)
    ).choice()


class Stock:
    """What is in the things of a workcell, and what else is known of them."""

    def __init__(
        self, state: AssetManagerState, facts: Mapping[str, Fact], workcell: str = ""
    ) -> None:
        self._state = state
        self._facts = facts
        self._of = f" -w {workcell}" if workcell else ""
        self._on: dict[str, list[str]] = {}
        for name, location in state.locations.items():
            if location.parent is not None:
                self._on.setdefault(location.parent, []).append(name)

    def fact(self, name: str) -> Fact:
        """What the catalogue knows of a thing."""
        return self._facts.get(name, _NO_FACT)

    def shelf(self, name: str) -> str:
        """Say on which shelf outside of the workcell a thing is; empty: on none."""
        location = self._state.locations.get(name)
        return "" if location is None else location.shelf

    def tips(self, rack: str) -> int:
        """Count the tips that are certainly in a rack."""
        return sum(self._state.tip_spots.get(spot) is True for spot in self.spots(rack))

    def spots(self, rack: str) -> list[str]:
        """Name the tip spots of a rack."""
        return self._state.racks.get(rack, [])

    def wells(self, name: str) -> list[str]:
        """Name the containers that a thing is or has."""
        names = [name, *self._on.get(name, [])]
        return [one for one in names if one in self._state.containers]

    def volume(self, name: str) -> float:
        """Add up what is certainly in a thing, µL."""
        contents = (self._state.containers[well] for well in self.wells(name))
        return sum(one.volume for one in contents if not one.unknown)

    def filled(self, name: str) -> int:
        """Count the wells that hold liquid, or may."""
        contents = [self._state.containers[well] for well in self.wells(name)]
        return sum(one.volume > 0 or bool(one.unknown) for one in contents)

    def free(self, name: str) -> int:
        """Count the wells without liquid, the spots without a tip, or the sites without labware."""
        if name in self._state.racks:
            return sum(self._state.tip_spots.get(spot) is False for spot in self.spots(name))
        wells = self.wells(name)
        if wells:
            return len(wells) - self.filled(name)
        return sum(not self._on.get(site) for site in self._on.get(name, []))

    def contributes(self, name: str, needs: Needs) -> bool:
        """Whether a thing has anything of what several are to have together."""
        tips, volume, free = needs.tips, needs.volume, needs.free
        return bool(
            (tips is not None and self.tips(name))
            or (volume is not None and self.volume(name))
            or (free is not None and self.free(name))
        )

    def holds(self, name: str, reagent: str) -> bool:
        """Whether a reagent is in a thing: the catalogue says so, or it is dissolved there."""
        if self.fact(name).water:
            return is_water(reagent)
        known = self.fact(name).reagent
        if known is not None:
            return known == reagent or (is_water(known) and is_water(reagent))
        dissolved = (self._state.containers[well].amounts for well in self.wells(name))
        return name == reagent or any(amounts.get(reagent, 0) > 0 for amounts in dissolved)

    def is_opened(self, name: str) -> bool:
        """Whether somebody has begun to use a rack."""
        return 0 < self.tips(name) < len(self.spots(name))

    def order(self, name: str) -> tuple[date, bool, tuple[tuple[str, int], ...]]:
        """By what things are sorted before one is chosen."""
        parts = tuple((word, int(number or 0)) for word, number in _NUMBERED.findall(name))
        return self.fact(name).expires or date.max, not self.is_opened(name), parts

    def lacks(self, names: Sequence[str], needs: Needs) -> list[_Lack]:
        """Say what things do not have, all of them together, that is needed."""
        full = self._too_full(names) if needs.empty else ()
        return [*self._wrong_kind(names, needs), *self._too_little(names, needs), *full]

    def unusable(self, name: str) -> Iterator[_Lack]:
        """Say why a run is not given a thing, whatever it needs of it."""
        fact = self.fact(name)
        if fact.status not in USABLE:
            mend = "name another"
            if fact.status == "discarded":
                mend = f"once another one stands in its place: praxis assets refill {name}"
                mend += self._of
            yield _Lack(math.inf, f"{name} is {fact.status.replace('_', ' ')}", mend)
        if fact.expires is not None and fact.expires < datetime.now(UTC).date():
            mend = f"bring another, then: praxis assets replace {name}{self._of}"
            yield _Lack(math.inf, f"{name} expired on {fact.expires}", mend)
        if shelf := self.shelf(name):
            what, mend = on_a_shelf(name, shelf)
            yield _Lack(math.inf, what, mend)

    def _wrong_kind(self, names: Sequence[str], needs: Needs) -> Iterator[_Lack]:
        for name in names:
            fact = self.fact(name)
            if needs.type is not None and fact.factory not in (None, needs.type):
                yield _Lack(math.inf, f"{name} is {fact.factory}, not {needs.type}", "name another")
            yield from self.unusable(name)
            if needs.reagent is not None and not self.holds(name, needs.reagent):
                mend = f"fill {name}"
                if is_water(needs.reagent):
                    mend += f", then: praxis assets volume {name} --set VOLUME"
                    mend += self._filled_with(needs)
                yield _Lack(math.inf, f"{name} holds no {needs.reagent}", mend)

    def _too_little(self, names: Sequence[str], needs: Needs) -> Iterator[_Lack]:
        told = " and ".join(names)
        if needs.tips is not None:
            left, places = sum(map(self.tips, names)), sum(len(self.spots(one)) for one in names)
            if left < needs.tips:
                rack = "rack" if len(names) == 1 else "racks"
                have = "has" if len(names) == 1 else "have"
                missing = needs.tips - left
                what = f"{rack} {told} {have} {left} of {places} tips; needs {missing} more"
                yield _Lack(missing, what, f"praxis assets replace {names[-1]}{self._of}")
        if needs.volume is not None:
            there = sum(map(self.volume, names))
            if there < needs.volume:
                missing_volume = needs.volume - there
                what = f"{told} has {there:g} µL; needs {missing_volume:g} µL more"
                mend = f"fill {names[-1]}, then: praxis assets volume {names[-1]} --set VOLUME"
                yield _Lack(missing_volume, what, mend + self._filled_with(needs))
        if needs.free is not None and (free := sum(map(self.free, names))) < needs.free:
            what = f"{told} has {free} free places; needs {needs.free - free} more"
            yield _Lack(needs.free - free, what, "make room in it")

    def _filled_with(self, needs: Needs) -> str:
        """Give the end of a line that says what somebody has filled in."""
        return (f" --reagent {WATER}" if is_water(needs.reagent) else "") + self._of

    def _too_full(self, names: Sequence[str]) -> Iterator[_Lack]:
        for name in names:
            if filled := self.filled(name):
                of = len(self.wells(name))
                what = f"{name} is not empty: {filled} of {of} wells hold liquid"
                if self.fact(name).filled:
                    yield _Lack(math.inf, what, "name another")
                else:
                    yield _Lack(filled, what, f"praxis assets replace {name}{self._of}")


_NO_FACT = Fact()


def on_a_shelf(name: str, shelf: str) -> tuple[str, str]:
    """Say that a thing is not on the workcell, and how to mend it."""
    what = f"{name} is not on the workcell, but on shelf {shelf}"
    return what, f'put it there, and say so: praxis assets move {name} "PLACE"'


def shortfalls(
    requirement: AssetRequirement,
    named: Sequence[str],
    state: AssetManagerState,
    facts: Mapping[str, Fact] | None = None,
    *,
    workcell: str = "",
) -> list[Problem]:
    """Say what things that a person named do not have.

    Args:
        requirement: What they were named for.
        named: Their names.
        state: What is in them.
        facts: What the catalogue knows of them.
        workcell: Where they are, for what is to be typed.
    """
    if requirement.needs is None or not named:
        return []
    where = f"assets.{requirement.name}"
    lacks = Stock(state, facts or {}, workcell).lacks(named, requirement.needs)
    return [Problem(where, lack.what, lack.mend) for lack in lacks]


def unusable(
    names: Iterable[str],
    state: AssetManagerState,
    facts: Mapping[str, Fact] | None = None,
    *,
    workcell: str = "",
) -> list[Problem]:
    """Say what a run is not given, whatever it needs: quarantined, expired, on a shelf.

    Args:
        names: Of all that it would have to itself.
        state: Where they are.
        facts: What the catalogue knows of them.
        workcell: Where they are to be, for what is to be typed.
    """
    stock = Stock(state, facts or {}, workcell)
    lacks = ((name, lack) for name in names for lack in stock.unusable(name))
    return [Problem(f"assets.{name}", lack.what, lack.mend) for name, lack in lacks]


@dataclass(slots=True)
class _Choosing:
    """One choosing under way."""

    requirements: Sequence[AssetRequirement]
    candidates: Mapping[str, object]
    stock: Stock
    taken: set[str]
    holder: dict[str, str] = field(default_factory=dict)
    """Thing -> requirement."""
    problems: list[Problem] = field(default_factory=list)

    def choice(self) -> Choice:
        asking = [one for one in self.requirements if one.needs is not None]
        singles = [one for one in asking if not one.many]
        # What must be had comes first; what is optional takes nothing away from it.
        for requirement in sorted(singles, key=lambda one: one.optional):
            if not self._find(requirement, set()) and not requirement.optional:
                self.problems.append(self._missing(requirement))
        assets: dict[str, str | list[str]] = {need: name for name, need in self.holder.items()}
        for requirement in (one for one in asking if one.many):
            several = self._several(requirement)
            if several:
                assets[requirement.name] = several
        return Choice(assets, tuple(self.problems))

    def _fitting(self, requirement: AssetRequirement) -> list[str]:
        """Name what is of the right class and free, in the order in which it is chosen."""
        fits = requirement.annotation.accepts
        names = [
            name
            for name, thing in self.candidates.items()
            if name not in self.taken and fits(thing)
        ]
        return sorted(names, key=self.stock.order)

    def _find(self, requirement: AssetRequirement, tried: set[str]) -> bool:
        """Give a requirement a thing; another one moves on to its next choice if need be."""
        needs = requirement.needs or Needs()
        by_name = {one.name: one for one in self.requirements}
        good = [
            name
            for name in self._fitting(requirement)
            if name not in tried and not self.stock.lacks([name], needs)
        ]
        for name in (one for one in good if one not in self.holder):
            self.holder[name] = requirement.name
            return True
        for name in good:
            tried.add(name)
            holder = by_name[self.holder[name]]
            if requirement.optional and not holder.optional:
                continue
            if self._find(holder, tried):
                self.holder[name] = requirement.name
                return True
        return False

    def _several(self, requirement: AssetRequirement) -> list[str]:
        """Take things until they have together what is needed."""
        needs = requirement.needs or Needs()
        if needs.tips is None and needs.volume is None and needs.free is None:
            return []  # nobody said how many
        chosen: list[str] = []
        for name in self._fitting(requirement):
            if name in self.holder or any(
                math.isinf(lack.far) for lack in self.stock.lacks([name], needs)
            ):
                continue
            if not self.stock.contributes(name, needs):
                continue
            chosen.append(name)
            if not self.stock.lacks(chosen, needs):
                self.holder.update(dict.fromkeys(chosen, requirement.name))
                return chosen
        if not requirement.optional:
            self.problems.append(self._missing(requirement, chosen))
        return []

    def _missing(self, requirement: AssetRequirement, together: Sequence[str] = ()) -> Problem:
        """Say what would have to be brought so that there is a choice: the least of it."""
        where, needs = f"assets.{requirement.name}", requirement.needs or Needs()
        fitting = self._fitting(requirement)
        free = [name for name in fitting if name not in self.holder]
        lacks = [self.stock.lacks(list(together), needs)] if together else []
        lacks += [self.stock.lacks([name], needs) for name in free]
        told = [max(each, key=lambda lack: lack.far) for each in lacks if each]
        if told:
            nearest = min(told, key=lambda lack: lack.far)
            return Problem(where, nearest.what, nearest.mend)
        if fitting:
            taken = ", ".join(f"{name} is taken as {self.holder[name]}" for name in fitting)
            return Problem(where, f"no {requirement.kind} is left: {taken}", "bring another")
        return Problem(where, f"the workcell has no free {requirement.kind}", "bring one")
