"""Which thing of the workcell each asset of a protocol is: what the user said, and what is certain.

Nothing is guessed. An asset that the user did not name is bound only to a free thing of the same
name, or when exactly one free thing fits; otherwise the run is refused and the choices are
listed. An optional asset for which several fit stays unbound.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from praxis_core.errors import Problem, RunRefused
from praxis_core.planning.shelf import Shelf, Thing, a, listed
from praxis_core.protocol.definition import ProtocolDefinition
from praxis_core.protocol.parameters import AssetRequirement

Binding = dict[str, str | list[str]]
"""Name of the requirement -> name on the workcell, or names when it takes a list."""


@dataclass(frozen=True, slots=True)
class BindingResult:
    """What was bound, and everything that stands against it."""

    assets: Binding
    """Complete when there are no problems; an optional asset without a thing is left out."""
    problems: tuple[Problem, ...]
    wholes: tuple[str, ...]
    """The devices and whole labware that are bound or hold what is bound; sorted, each once."""


def bind(
    definition: ProtocolDefinition,
    candidates: Mapping[str, object],
    chosen: Mapping[str, object],
    *,
    workcell: str = "",
) -> Binding:
    """Bind every asset of a protocol.

    Args:
        definition: The protocol.
        candidates: The workcell's devices and labware by name, as live PyLabRobot objects.
        chosen: What the user named: requirement -> ``"plate_01"``, ``"plate_01[A1]"``, a list of
            such names (the range ``"plate_01[A1:H1]"`` stands for eight), or None for "without it".
        workcell: Name of the workcell, for the message.

    Raises:
        RunRefused: an asset is missing, ambiguous, unknown, of the wrong class or used twice; it
            lists every problem.
    """
    result = match(definition.assets, candidates, chosen)
    if result.problems:
        raise RunRefused(
            protocol=definition.name,
            workcell=workcell,
            count=len(result.problems),
            problems=list(result.problems),
        )
    return result.assets


def match(
    requirements: Sequence[AssetRequirement],
    candidates: Mapping[str, object],
    chosen: Mapping[str, object],
) -> BindingResult:
    """Bind what can be bound and list every problem; see :func:`bind`."""
    return _Matching(requirements, Shelf(candidates), chosen).result()


@dataclass(slots=True)
class _Matching:
    """One matching under way."""

    requirements: Sequence[AssetRequirement]
    shelf: Shelf
    chosen: Mapping[str, object]
    bound: dict[str, list[Thing]] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)
    """Requirements of which the user spoke, rightly or wrongly: nothing is filled in for them."""
    takers: dict[int, str] = field(default_factory=dict)
    """Identity of a thing that is taken -> the requirement that has it."""
    problems: list[Problem] = field(default_factory=list)

    def result(self) -> BindingResult:
        self._note_unknown_requirements()
        for requirement in self.requirements:
            if requirement.name in self.chosen:
                self._take_choice(requirement, self.chosen[requirement.name])
        for requirement in self._open():
            same_name = self.shelf.named(requirement.name)
            if same_name is not None and self._free([same_name]) and same_name.fits(requirement):
                self._take(requirement, [same_name])
        self._take_what_is_certain(optional=False)
        self._take_what_is_certain(optional=True)
        for requirement in self._open():
            if not requirement.optional:
                self.problems.append(self._missing(requirement))
        assets: Binding = {}
        for requirement in self.requirements:
            names = [thing.name for thing in self.bound.get(requirement.name, [])]
            if names:
                assets[requirement.name] = names if requirement.many else names[0]
        wholes = {thing.whole for things in self.bound.values() for thing in things}
        return BindingResult(assets, tuple(self.problems), tuple(sorted(wholes)))

    def _note_unknown_requirements(self) -> None:
        names = [requirement.name for requirement in self.requirements]
        for name in self.chosen:
            if name not in names:
                close = difflib.get_close_matches(name, names, n=1)
                mend = f"did you mean {close[0]}? " if close else ""
                what = f"the protocol needs no asset called {name!r}"
                self.problems.append(
                    Problem(f"assets.{name}", what, f"{mend}it needs: {listed(names)}")
                )

    def _take_choice(self, requirement: AssetRequirement, choice: object) -> None:
        """Take what the user named, or note everything that is wrong with it."""
        self.settled.add(requirement.name)
        where = f"assets.{requirement.name}"
        if requirement.optional and choice in (None, []):
            return
        names = [choice] if isinstance(choice, str) else choice
        if not isinstance(names, (list, tuple)) or not names:
            what = f"{choice!r} is not the name of {a(requirement.kind)}"
            self.problems.append(Problem(where, what, self._choices(requirement)))
            return
        things: list[Thing] = []
        for name in names:
            found = self.shelf.find(str(name), where)
            if isinstance(found, Problem):
                self.problems.append(found)
            else:
                things += [thing for thing in found if self._usable(thing, requirement, where)]
        if len(things) > 1 and not requirement.many:
            what = f"{len(things)} assets are named, and the protocol takes one {requirement.kind}"
            self.problems.append(Problem(where, what, f"name one of {listed(_names(things))}"))
        elif things:
            self.bound[requirement.name] = things

    def _usable(self, thing: Thing, requirement: AssetRequirement, where: str) -> bool:
        """Whether it fits and is free; a thing that fits is taken at once."""
        if not thing.fits(requirement):
            what = f"{thing.name} is {thing.kind}, and {a(requirement.kind)} is needed"
            self.problems.append(Problem(where, what, self._choices(requirement)))
            return False
        taker = self.takers.get(id(thing.thing))
        if taker is not None:
            what = f"{thing.name} is already used as {taker}"
            self.problems.append(Problem(where, what, self._choices(requirement)))
            return False
        self.takers[id(thing.thing)] = requirement.name
        return True

    def _take_what_is_certain(self, *, optional: bool) -> None:
        """Bind what only one free thing fits, until nothing more follows from it."""
        changed = True
        while changed:
            changed = False
            for requirement in self._open():
                free = self._free(self.shelf.fitting(requirement))
                if requirement.optional is optional and len(free) == 1:
                    self._take(requirement, free)
                    changed = True

    def _take(self, requirement: AssetRequirement, things: list[Thing]) -> None:
        self.bound[requirement.name] = things
        self.takers.update((id(thing.thing), requirement.name) for thing in things)

    def _open(self) -> list[AssetRequirement]:
        return [
            requirement
            for requirement in self.requirements
            if requirement.name not in self.bound and requirement.name not in self.settled
        ]

    def _free(self, things: Sequence[Thing]) -> list[Thing]:
        return [thing for thing in things if id(thing.thing) not in self.takers]

    def _choices(self, requirement: AssetRequirement) -> str:
        """What the user could name instead."""
        free = self._free(self.shelf.fitting(requirement))
        if free:
            return f"these would do: {listed(_names(free))}"
        owners = self.shelf.owners_of(requirement)
        if owners:
            return f"name one in {listed(_names(owners))}, e.g. {owners[0].name}[A1]"
        return f"the workcell has no free {requirement.kind}"

    def _missing(self, requirement: AssetRequirement) -> Problem:
        where = f"assets.{requirement.name}"
        fitting = self.shelf.fitting(requirement)
        free = self._free(fitting)
        if free:
            what = f"{len(free)} assets fit, and none is chosen: {listed(_names(free))}"
            return Problem(where, what, f"name one, e.g. {requirement.name}={free[0].name}")
        if fitting:
            taken = [
                f"{thing.name} is taken as {self.takers[id(thing.thing)]}" for thing in fitting
            ]
            what = f"no {requirement.kind} is left: {listed(taken)}"
            return Problem(where, what, f"add {a(requirement.kind)} to the workcell")
        what = f"{a(requirement.kind)} is needed, and none is named"
        owners = self.shelf.owners_of(requirement)
        if owners:
            return Problem(where, what, self._choices(requirement))
        what = f"the workcell has no {requirement.kind}"
        return Problem(where, what, f"add {a(requirement.kind)} to it")


def _names(things: Sequence[Thing]) -> list[str]:
    return [thing.name for thing in things]
