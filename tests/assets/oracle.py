"""The truth of a small deck: what really happens, written without a look at the bookkeeping."""

from __future__ import annotations

from dataclasses import dataclass, field

CHANNELS = 8


class Refused(Exception):  # noqa: N818 (it is what a device says, not a fault)
    """What is there does not allow it; nothing happened."""


@dataclass
class Fluid:
    """Some liquid: µL, and pmol of each solute."""

    volume: float = 0.0
    solutes: dict[str, float] = field(default_factory=dict)

    def give(self, other: Fluid, volume: float) -> None:
        """Let liquid go over; all there is when that is less."""
        if self.volume <= 0 or volume <= 0:
            return
        part = min(1.0, volume / self.volume)
        for solute, amount in list(self.solutes.items()):
            other.solutes[solute] = other.solutes.get(solute, 0) + amount * part
            self.solutes[solute] = amount * (1 - part)
        other.volume += self.volume * part
        self.volume *= 1 - part


@dataclass
class Truth:
    """What is really there."""

    containers: dict[str, Fluid] = field(default_factory=dict)
    spots: dict[str, Fluid | None] = field(default_factory=dict)
    """The tip in each spot, as what is in it."""
    channels: dict[int, Fluid] = field(default_factory=dict)
    places: dict[str, str | None] = field(default_factory=dict)
    gripped: str | None = None

    def pick(self, channel: int, spot: str, _part: float = 1) -> None:
        """Take a tip."""
        tip = self.spots[spot]
        if tip is None or channel in self.channels:
            raise Refused
        self.channels[channel], self.spots[spot] = tip, None

    def drop(self, channel: int, target: str, _part: float = 1) -> None:
        """Put a tip down, or into the waste."""
        if channel not in self.channels or self.spots.get(target) is not None:
            raise Refused
        tip = self.channels.pop(channel)
        if target in self.containers:
            tip.give(self.containers[target], tip.volume)
        else:
            self.spots[target] = tip

    def aspirate(
        self, channel: int, source: str, volume: float, mix: tuple[float, int] | None, part: float
    ) -> None:
        """Mix, then draw; of both only a part when it stops half-way."""
        tip, liquid = self._tip(channel), self.containers[source]
        if not self._mixed(tip, liquid, mix, part):
            return
        liquid.give(tip, volume * part)

    def dispense(
        self, channel: int, target: str, volume: float, mix: tuple[float, int] | None, part: float
    ) -> None:
        """Give, then mix; of both only a part when it stops half-way."""
        tip, liquid = self._tip(channel), self.containers[target]
        tip.give(liquid, volume * part)
        if part == 1:
            self._mixed(tip, liquid, mix, part)

    def _tip(self, channel: int) -> Fluid:
        if channel not in self.channels:
            raise Refused
        return self.channels[channel]

    @staticmethod
    def _mixed(tip: Fluid, liquid: Fluid, mix: tuple[float, int] | None, part: float) -> bool:
        """Mix; one that stops half-way leaves what it drew in the tip."""
        if mix is None:
            return True
        kept = tip.volume
        for _ in range(mix[1]):
            liquid.give(tip, mix[0] * part)
            if part < 1:
                return False
            tip.give(liquid, tip.volume - kept)
        return True

    def grip(self, plate: str) -> None:
        """Take labware."""
        if self.gripped is not None or self.places[plate] is None:
            raise Refused
        self.gripped, self.places[plate] = plate, None

    def put_down(self, plate: str, place: str) -> None:
        """Put labware down."""
        if self.gripped != plate or place in self.places.values():
            raise Refused
        self.gripped, self.places[plate] = None, place
