"""What a plan takes from racks and containers, what it gives to them, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from praxis_core.assets.contents import Change
from praxis_core.assets.operations import (
    Aspirate,
    Dispense,
    DropTip,
    Operation,
    PickTip,
    operations_of,
    uses_head96,
)
from praxis_core.assets.state import AssetManagerState
from praxis_core.assets.water import WATER
from praxis_core.planning.plan import Consumption
from praxis_core.protocol.command import Command

_ENOUGH = 1e-6
"""µL that are no more than rounding."""


class Account:
    """Follows what the commands of a plan use.

    Args:
        state: What is there before the first of them.
        whole: Names the labware that a well or tip spot belongs to.
        water: Whether it is of a water run, for which nobody brings anything else.
    """

    def __init__(
        self, state: AssetManagerState, whole: Callable[[str], str], *, water: bool = False
    ) -> None:
        self._water = water
        self._whole = whole
        self._start = state
        self._racks = AssetManagerState(racks=state.racks)
        self._spots: dict[str, set[str]] = {}
        self._drawn: dict[str, dict[str, float]] = {}
        self._given: dict[str, dict[str, float]] = {}
        self._in_tips: dict[tuple[str, bool, int], dict[str, float]] = {}
        self._missing_tips: dict[str, set[str]] = {}
        self._missing: dict[str, float] = {}

    def enter(self, command: Command, changes: Iterable[Change]) -> None:
        """Enter what a command does."""
        head96 = uses_head96(command)
        for operation in operations_of(command, self._racks):
            self._operate(operation, command.device, head96=head96)
        draws = command.method.startswith("aspirate")
        for change in changes:
            if change.flag:
                self._lack(change, draws=draws)

    def _operate(self, operation: Operation, device: str, *, head96: bool) -> None:
        match operation:
            case PickTip(channel, spot):
                self._spots.setdefault(self._whole(spot), set()).add(spot)
                self._in_tips[device, head96, channel] = {}
            case DropTip(channel):
                self._in_tips.pop((device, head96, channel), None)
            case Aspirate(channel, container, volume):
                whole = self._whole(container)
                drawn = self._drawn.setdefault(whole, {})
                drawn[container] = drawn.get(container, 0.0) + volume
                tip = self._in_tips.setdefault((device, head96, channel), {})
                tip[whole] = tip.get(whole, 0.0) + volume
            case Dispense(channel, container, volume):
                tip = self._in_tips.get((device, head96, channel), {})
                self._give(self._whole(container), tip, volume)

    def _give(self, whole: str, tip: dict[str, float], volume: float) -> None:
        there = sum(tip.values())
        given = self._given.setdefault(whole, {})
        part = min(1.0, volume / there) if there > 0 else 0.0
        for source, amount in tip.items():
            given[source] = given.get(source, 0.0) + amount * part
            tip[source] = amount * (1 - part)

    def _lack(self, change: Change, *, draws: bool) -> None:
        name = change.asset
        if change.what == "tip" and change.before is False:
            if self._start.tip_spots.get(name) is False:
                self._missing_tips.setdefault(self._whole(name), set()).add(name)
        elif draws and name in self._start.containers and "of air" in change.flag:
            air = float(change.flag.partition(" ")[0])
            self._missing[name] = self._missing.get(name, 0.0) + air

    def lack_tips(self, rack: str, spots: Iterable[str]) -> None:
        """Enter tips of a rack that are not there, and are wanted."""
        gone = {spot for spot in spots if self._start.tip_spots.get(spot) is False}
        if gone:
            self._missing_tips.setdefault(rack, set()).update(gone)

    @property
    def consumption(self) -> dict[str, Consumption]:
        """What was used of each piece of labware, sorted by name."""
        found = {}
        for name in sorted({*self._spots, *self._drawn, *self._given}):
            drawn = self._drawn.get(name, {})
            found[name] = Consumption(
                tips=len(self._spots.get(name, ())),
                drawn=_rounded(sum(drawn.values())),
                drawn_from={well: _rounded(volume) for well, volume in drawn.items()},
                given=_sizable(self._given.get(name, {})),
                tips_there=self._tips_there(name),
                volume_there=self._volume_there(drawn),
            )
        return found

    def _tips_there(self, rack: str) -> int | None:
        spots = [self._start.tip_spots.get(spot) for spot in self._start.racks.get(rack, [])]
        return None if not spots or None in spots else spots.count(True)

    def _volume_there(self, containers: Iterable[str]) -> float | None:
        known = [self._start.containers.get(one) for one in containers]
        if not known or any(one is None or one.unknown for one in known):
            return None
        return _rounded(sum(one.volume for one in known if one is not None))

    @property
    def refill(self) -> tuple[str, ...]:
        """What has to be brought, a line for each rack and container."""
        lines = []
        for rack, spots in sorted(self._missing_tips.items()):
            lines.append(tips_told(self._start, rack, len(spots)))
        for name, volume in self._missing.items():
            there = self._start.containers[name].volume
            lines.append(f"{name} has {there:g} µL; needs {_rounded(volume):g} µL more")
        return tuple(lines)

    def mends(self, workcell: str) -> tuple[str, ...]:
        """Give what to type when it was brought, for each line of ``refill``."""
        of = f" -w {workcell}"
        return (
            *(f"praxis assets replace {rack}{of}" for rack in sorted(self._missing_tips)),
            *(self._mend_volume(one, of) for one in self._missing),
        )

    def _mend_volume(self, container: str, of: str) -> str:
        volume = f"praxis assets volume {container} --set VOLUME"
        if self._water:
            return f"fill it with water, then: {volume} --reagent {WATER}{of}"
        refill = f"praxis assets refill {self._whole(container)}{of}"
        return f"fill it, then: {volume}{of}; filled as the workcell's definition says: {refill}"


def tips_told(state: AssetManagerState, rack: str, missing: int) -> str:
    """Say how many tips a rack has, and how many have to be brought."""
    spots = state.racks.get(rack, [])
    left = sum(state.tip_spots.get(spot) is True for spot in spots)
    return f"rack {rack} has {left} of {len(spots)} tips; needs {missing} more"


def _sizable(volumes: Mapping[str, float]) -> dict[str, float]:
    return {name: _rounded(volume) for name, volume in volumes.items() if volume > _ENOUGH}


def _rounded(volume: float) -> float:
    return round(volume, 6)
