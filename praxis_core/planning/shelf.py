"""The things of a workcell by name: devices, labware, and the parts of labware."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pylabrobot.resources import ItemizedResource

from praxis_core.errors import Problem
from praxis_core.protocol.parameters import AssetRequirement

_PART = re.compile(r"(?P<owner>.+)\[(?P<part>[^\[\]]+)\]")
_MOST_SHOWN = 12
"""Names in one message; a full deck has more than a person reads."""


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """One thing that a requirement may be bound to."""

    name: str
    """``"plate_01"``, or of a part ``"plate_01[A1]"``."""
    thing: object
    whole: str
    """The name under which the workcell has it: of ``"plate_01[A1]"``, ``"plate_01"``."""

    @property
    def kind(self) -> str:
        """What it is, with its article: ``"a Plate"``."""
        return a(type(self.thing).__name__)

    def fits(self, requirement: AssetRequirement) -> bool:
        """Whether it is of the class that is needed."""
        return requirement.annotation.accepts(self.thing)


class Shelf:
    """What a user can name on a workcell: its things by name, and the parts of its labware."""

    def __init__(self, candidates: Mapping[str, object]) -> None:
        self._things = [Thing(name, thing, whole=name) for name, thing in candidates.items()]
        self._by_name = {thing.name: thing for thing in self._things}

    def find(self, name: str, where: str) -> list[Thing] | Problem:
        """What a name stands for: one thing, or several for a range such as ``plate_01[A1:H1]``."""
        if name in self._by_name:
            return [self._by_name[name]]
        part = _PART.fullmatch(name)
        if part is None or part["owner"] not in self._by_name:
            return self._unknown(part["owner"] if part else name, where)
        whole = part["owner"]
        owner = self._by_name[whole].thing
        if not isinstance(owner, ItemizedResource):
            what = f"{whole} is {self._by_name[whole].kind}, which has no positions to name"
            return Problem(where, what, f"name {whole} itself, or labware with positions")
        try:
            items = owner[part["part"].strip()]
        except (IndexError, ValueError, KeyError, TypeError):
            return _no_such_part(whole, part["part"], owner, where)
        return [
            Thing(f"{whole}[{owner.get_child_identifier(item)}]", item, whole) for item in items
        ]

    def fitting(self, requirement: AssetRequirement) -> list[Thing]:
        """Everything of the class that is needed, in the order of the workcell."""
        return [thing for thing in self._things if thing.fits(requirement)]

    def named(self, name: str) -> Thing | None:
        """The thing of exactly this name."""
        return self._by_name.get(name)

    def owners_of(self, requirement: AssetRequirement) -> list[Thing]:
        """Labware that holds parts of the class that is needed."""
        cls = requirement.annotation.load()
        return [
            thing
            for thing in self._things
            if isinstance(thing.thing, ItemizedResource)
            and any(isinstance(part, cls) for part in thing.thing.children)
        ]

    def _unknown(self, name: str, where: str) -> Problem:
        close = difflib.get_close_matches(name, self._by_name, n=3)
        mend = (
            f"did you mean {' or '.join(close)}?" if close else f"it has: {listed(self._by_name)}"
        )
        return Problem(where, f"the workcell has nothing called {name!r}", mend)


def a(noun: str) -> str:
    """A class name with its article."""
    return f"{'an' if noun[:1] in 'AEIOU' else 'a'} {noun}"


def listed(names: Iterable[str]) -> str:
    """Names for a message, shortened when there are many."""
    known = list(names)
    rest = len(known) - _MOST_SHOWN
    shown = ", ".join(known[:_MOST_SHOWN]) or "nothing"
    return f"{shown} and {rest} more" if rest > 0 else shown


def _no_such_part(owner: str, part: str, labware: ItemizedResource, where: str) -> Problem:
    parts = [part for part in labware.children if labware.index_of_item(part) is not None]
    ends = [labware.get_child_identifier(part) for part in (*parts[:1], *parts[-1:])]
    mend = f"its positions are {' to '.join(ends)}" if ends else "it holds nothing"
    return Problem(where, f"{owner} has no position {part}", mend)
