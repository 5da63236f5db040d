"""What there is for a run: followed command by command, and compared with what a call wants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from praxis_core.assets.description import blocks, called
from praxis_core.assets.manager import AssetManager
from praxis_core.assets.readings import Contents
from praxis_core.assets.state import AssetManagerState
from praxis_core.assets.water import WATER
from praxis_core.labware.inventory import inventory
from praxis_core.protocol.command import Command, DeckChange, Outcome
from praxis_core.workcell.kinds import TAKE_STOCK
from praxis_core.workcell.pending import PIPETTING
from praxis_core.workcell.wanted import Wanted

_ROUNDING = 1e-6
"""µL."""

_FEW = 4
"""Wells of a plate that are told one by one."""


@dataclass(frozen=True, slots=True)
class Lack:
    """One thing that is missing."""

    asset: str
    """The labware."""
    what: str
    """What is missing, and what to do."""
    then: tuple[str, ...] = ()
    """What to type then; one of them will do."""

    def __str__(self) -> str:
        """Give it with the commands below it, each on a line of its own."""
        return "\n      ".join((f"  - {self.what}", *self.then))


class Supplies:
    """What is on the deck for one attempt of a run, replayed commands included.

    Args:
        workcell: Its name.
        begun_with: What was where, and how much of it, when the run began.
        wholes: Names of the workcell's devices and labware.
        find: Gives a resource of the run's deck by its name.
        takes_some: Whether the run may work with some of the tips of a rack.
        water: Whether it is a water run, for which nobody brings anything else.
    """

    def __init__(  # noqa: PLR0913  # what the deck is looked up in, by name
        self,
        workcell: str,
        begun_with: JsonValue,
        wholes: Iterable[str],
        find: Callable[[str], Any],
        takes_some: Callable[[str], bool],
        *,
        water: bool = False,
    ) -> None:
        self._water = water
        state = AssetManagerState.model_validate(begun_with)
        self._of = f" -w {workcell}"
        self._assets = AssetManager(state, wholes)
        self._racks = dict(state.racks)
        self._empty = {spot for spot, there in state.tip_spots.items() if there is False}
        """Where no tip was when the run began."""
        self._wanted: dict[asyncio.Task[Any] | None, Wanted] = {}
        """What is wanted by calls whose commands have not ended, by their tasks."""
        self._find = find
        self._takes_some = takes_some

    def place(self, changes: Iterable[DeckChange]) -> None:
        """Follow what the run changes on its deck."""
        changes = list(changes)
        for change in changes:
            if change.definition is not None:
                new = AssetManagerState.model_validate(inventory(self._find(change.resource)))
                self._assets.add(new)
                self._racks |= new.racks
        self._assets.apply_deck_changes(changes)

    def follow(self, command: Command, outcome: Outcome) -> None:
        """Follow what a command did."""
        if command.method == TAKE_STOCK:
            self._assets.recount(AssetManagerState.model_validate(outcome.value))
        else:
            self._assets.apply(command, outcome, outcome.ended_at)
        if command.method in PIPETTING:
            self._wanted.pop(asyncio.current_task(), None)

    @contextmanager
    def wanting(self, wanted: Wanted) -> Iterator[None]:
        """Count what a call wants as taken, from its beginning until its command has ended."""
        task = asyncio.current_task()
        self._wanted[task] = wanted
        try:
            yield
        finally:
            self._wanted.pop(task, None)

    def lacks(self, wanted: Wanted) -> list[Lack]:
        """Say what is missing for one more call; of what nobody knows, nothing."""
        others = list(self._wanted.values())
        return [
            *self._tips(wanted, {spot for one in others for spot in one.tips}),
            *self._liquids(wanted.drawn, [one.drawn for one in others], self._too_little),
            *self._liquids(wanted.given, [one.given for one in others], self._too_much),
        ]

    def _tips(self, wanted: Wanted, taken: set[str]) -> Iterator[Lack]:
        gone = [spot for spot in wanted.tips if spot in taken or self._is_gone(spot)]
        if wanted.rack and len(gone) < len(wanted.tips):
            # What a 96-head may leave out, as in the plan: what the run itself has taken.
            before = [spot for spot in gone if spot in self._empty]
            if not before or self._takes_some(wanted.rack):
                return
        by_rack: dict[str, list[str]] = {}
        for spot in gone:
            by_rack.setdefault(self._whole(spot), []).append(spot)
        for rack, spots in by_rack.items():
            there = ""
            if rack in self._racks:
                all_ = self._racks[rack]
                left = sum(self._assets.has_tip(spot) is True for spot in all_)
                there = f"; it has {left} of {len(all_)} tips"
            what = f"no tip in {blocks(spots)}{there}. Bring another rack, or other tips, then:"
            then = (
                f"praxis assets refill {rack}{self._of}",
                f"praxis assets tips {rack} --fresh{self._of}",
            )
            yield Lack(rack, what, then)

    def _is_gone(self, spot: str) -> bool:
        try:
            return self._assets.has_tip(spot) is False
        except LookupError:
            return False

    def _liquids(
        self,
        volumes: Mapping[str, float],
        besides: Iterable[Mapping[str, float]],
        lack: Callable[[str, float], Lack | None],
    ) -> Iterator[Lack]:
        more = list(besides)
        found: dict[str, list[Lack]] = {}
        for name, volume in volumes.items():
            if not self._assets.knows_container(name):
                continue
            lacks = lack(name, volume + sum(one.get(name, 0.0) for one in more))
            if lacks is not None:
                found.setdefault(lacks.asset, []).append(lacks)
        for whole, several in found.items():
            yield from several[:_FEW]
            if len(several) > _FEW:
                yield Lack(whole, f"the same of {len(several) - _FEW} more wells of {whole}")

    def _too_little(self, name: str, volume: float) -> Lack | None:
        there = self._assets.contents(name)
        if there.unknown or volume <= there.volume + _ROUNDING or _no_room(there, volume):
            return None
        container, whole = called(name), self._whole(name)
        what = (
            f"{container} has {_number(there.volume)} µL; needs {_number(volume - there.volume)} µL"
        )
        then = [f"praxis assets volume {container} --set VOLUME{self._of}"]
        if self._water:
            water = f"praxis assets volume {container} --set VOLUME --reagent {WATER}{self._of}"
            return Lack(whole, f"{what} more. Fill it with water, then:", (water,))
        if getattr(self._find(whole), "num_items", 1) == 1:  # else other wells go with it
            then.append(f"praxis assets refill {whole}{self._of}")
        return Lack(whole, f"{what} more. Fill it, then:", tuple(then))

    def _too_much(self, name: str, volume: float) -> Lack | None:
        there = self._assets.contents(name)
        most = there.max_volume
        if there.unknown or most is None or there.volume + volume <= most + _ROUNDING:
            return None
        if _no_room(there, volume):
            return None
        what = f"{called(name)} holds {_number(there.volume)} of {_number(most)} µL; "
        what += f"{_number(volume)} µL more do not fit. Empty it, then:"
        then = f"praxis assets volume {called(name)} --set 0uL{self._of}"
        return Lack(self._whole(name), what, (then,))

    def _whole(self, part: str) -> str:
        """Name the labware that a well or tip spot belongs to."""
        wholes = self._assets.wholes
        try:
            chain = (part, *self._assets.where(part))
        except LookupError:
            return part
        return next((name for name in chain if name in wholes), part)


def _no_room(there: Contents, volume: float) -> bool:
    """Whether a volume fits into a container at no time, so that nobody can put it right."""
    return there.max_volume is not None and volume > there.max_volume + _ROUNDING


def _number(volume: float) -> str:
    return f"{round(volume, 2):g}"
