"""What a protocol asks of an asset beyond its class: ``Annotated[TipRack, Needs(tips=24)]``."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

if TYPE_CHECKING:
    from praxis_core.labware.capacity import Holds

Fault = tuple[str, str]
"""What is wrong, and how to mend it."""


_Class = type
"""A class; ``Needs`` has an attribute called ``type``."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What an asset must have when the run begins; where it is a list, all of them together.

    Nothing is checked here: a fault is told with the parameter's name when the protocol is defined.
    """

    tips: int | None = None
    """Tips that a tip rack must have."""
    type: str | None = None
    """Name of the PyLabRobot factory that makes it, ``"hamilton_96_tiprack_300uL_filter"``."""
    empty: bool = False
    """Whether no liquid may be in it."""
    volume: float | None = None
    """µL that must be in it."""
    reagent: str | None = None
    """What must be in it, as inventory and definitions call it."""
    free: int | None = None
    """Wells without liquid, tip spots without a tip, or sites without labware."""
    max: float | None = None
    """The most tips, or µL, that the run may take of it, whatever it measures."""

    def told(self) -> str:
        """Say it in a few words: ``tips 24, max 96``."""
        said = [
            (field.name, getattr(self, field.name))
            for field in fields(self)
            if getattr(self, field.name) not in (None, False)
        ]
        return ", ".join(
            name if value is True else f"{name} {_shown(value)}" for name, value in said
        )

    def faults(self, cls: _Class) -> Iterator[Fault]:
        """Say what cannot be asked of an asset of a class."""
        from praxis_core.labware.capacity import capacity

        yield from self._faults_of_values()
        yield from self._faults_of_class(cls, capacity(cls))
        if self.empty and (self.volume or self.reagent is not None):
            yield (
                "needs to be empty and to hold something",
                "leave out empty, or volume and reagent",
            )

    def _faults_of_values(self) -> Iterator[Fault]:
        for name, whole in (("tips", True), ("free", True), ("volume", False), ("max", False)):
            value = getattr(self, name)
            if value is not None and not _is_amount(value, whole=whole):
                number = "a whole number" if whole else "a number"
                yield f"needs {name}={value!r}", f"write {number} greater than 0"
        empty: object = self.empty  # whatever the author wrote
        if not isinstance(empty, bool):
            yield f"needs empty={empty!r}", "write empty=True, or leave it out"
        if self.reagent is not None and not (isinstance(self.reagent, str) and self.reagent):
            yield f"needs reagent={self.reagent!r}", "write the name of a reagent"
        yield from self._fault_of_type()
        least = self.volume if self.tips is None else self.tips
        if _is_amount(least) and _is_amount(self.max) and self.max < least:  # type: ignore[operator]
            what = f"needs max={_shown(self.max)}, which is less than the {_shown(least)} it needs"
            yield what, "max is the most that the run may take"

    def _fault_of_type(self) -> Iterator[Fault]:
        from praxis_core.labware.factories import factory_names

        known = factory_names()
        # A name with a dot is the import path of a factory of one's own.
        if self.type is None or self.type in known or "." in str(self.type):
            return
        close = difflib.get_close_matches(str(self.type), known, n=1)
        mend = f"did you mean {close[0]}?" if close else "write the name of a PyLabRobot factory"
        yield f"needs type={self.type!r}, which PyLabRobot does not know", mend

    def _faults_of_class(self, cls: _Class, holds: frozenset[Holds]) -> Iterator[Fault]:
        asked = {name: getattr(self, name) not in (None, False) for name in _HELD_BY}
        for name, kinds in _HELD_BY.items():
            if asked[name] and not kinds & holds:
                what = f"needs {name}, which {_a(cls.__name__)} cannot have"
                possible = [each for each, kinds in _HELD_BY.items() if kinds & holds]
                mend = (
                    f"of {_a(cls.__name__)} ask {', '.join(possible)}"
                    if possible
                    else ("leave Needs out")
                )
                yield what, mend


_HELD_BY: dict[str, frozenset[Holds]] = {
    "tips": frozenset({"tips"}),
    "type": frozenset({"tips", "liquid", "labware", "anything"}),
    "empty": frozenset({"liquid"}),
    "volume": frozenset({"liquid"}),
    "reagent": frozenset({"liquid"}),
    "free": frozenset({"tips", "wells", "labware"}),
    "max": frozenset({"tips", "liquid"}),
}
"""What a class must be able to hold so that each can be asked of it."""


def needs_in(annotation: object) -> tuple[list[Needs], bool]:
    """Find every ``Needs`` of an annotation.

    Returns:
        They, and whether one of them stands inside a list, where it would be said of each.
    """
    found, inside = _search(annotation, in_list=False)
    return found, inside


def _search(annotation: object, *, in_list: bool) -> tuple[list[Needs], bool]:
    parts: tuple[Any, ...] = get_args(annotation)
    found: list[Needs] = []
    if get_origin(annotation) is Annotated:
        found = [extra for extra in parts[1:] if isinstance(extra, Needs)]
        parts = parts[:1]
    is_list = isinstance(get_origin(annotation), type)
    wrong = bool(found) and in_list
    for part in parts:
        more, inside = _search(part, in_list=in_list or is_list)
        found += more
        wrong = wrong or inside
    return found, wrong


def _is_amount(value: object, *, whole: bool = False) -> bool:
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        return False
    return math.isfinite(value) and value > 0


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _a(noun: str) -> str:
    return f"{'an' if noun[:1] in 'AEIOU' else 'a'} {noun}"
