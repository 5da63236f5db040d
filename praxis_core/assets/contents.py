"""What a command does to liquids, tips and the gripper: bookkeeping from commands alone.

PyLabRobot's own trackers are not used: scripts run with them switched off, and after an error they
keep half of what failed. Everything here is arithmetic on ``AssetManagerState``; liquids mix
ideally, in a container and in a tip. What is not known stays so, and what it comes into becomes so:
nothing here ever guesses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from praxis_core.assets.liquids import known_volume, missing, mix, move, overflow
from praxis_core.assets.operations import (
    Aspirate,
    Dispense,
    DropTip,
    Grip,
    Mixing,
    Operation,
    PickTip,
    Release,
    operations_of,
    uses_head96,
)
from praxis_core.assets.state import (
    AssetManagerState,
    ContainerContents,
    Liquid,
    Location,
    MountedTip,
)
from praxis_core.assets.water import OF_WATER_RUN, leave_no_trace
from praxis_core.protocol.command import Command

_NO_TIP = "nobody knows whether the channel carried a tip"
_WHICH_TIP = "another tip may have been in its place"


class Change(NamedTuple):
    """One thing that a command changed."""

    asset: str
    """Container, tip spot or labware; a channel is ``"star[3]"``, or ``"star[96:3]"``."""
    what: str
    """``"volume"`` (µL), ``"tip"`` (whether one is there) or ``"held by"`` (a device's gripper)."""
    before: float | bool | str | None
    after: float | bool | str | None
    """Of volumes and tips: None when nobody knows."""
    flag: str = ""
    """What is not as it should be; empty: nothing."""


def apply(
    state: AssetManagerState,
    command: Command,
    at: datetime,
    *,
    why: str = "",
    channels: frozenset[int] | None = None,
) -> list[Change]:
    """Enter what one command did.

    Args:
        state: Is changed.
        command: Backend call; those that move neither liquid nor tips nor labware change nothing.
        at: When it was done.
        why: Why nobody knows what it did; empty: it did what it says.
        channels: Of which channels nobody knows it; None: of all.

    Returns:
        What changed, in the order it happened. Drawing more than there is, giving more than the tip
        holds and giving more than fits are flagged: the difference was air, or ran over.
    """
    operations = operations_of(command, state)
    if not operations:
        return []
    head96 = uses_head96(command)
    heads = (state.heads96 if head96 else state.heads).setdefault(command.device, {})
    work = _Work(state, heads, command, "96:" if head96 else "", at, why)
    if not why:
        return [change for operation in operations for change in work.carry_out(operation)]
    doubtful = [one for one in operations if _is_among(one, channels)]
    sure = [one for one in operations if one not in doubtful]
    begun = [*map(work.doubt, doubtful)]
    done = [*map(work.carry_out, sure)]
    in_order = [*done, *begun] if _independent(operations, state) else [*begun, *done]
    return [change for changes in in_order for change in changes]


def _is_among(operation: Operation, channels: frozenset[int] | None) -> bool:
    return (
        channels is None or isinstance(operation, Grip | Release) or operation.channel in channels
    )


def _independent(operations: Sequence[Operation], state: AssetManagerState) -> bool:
    """Whether what one channel did or did not do makes no difference to the others.

    All draw from one container at most what it holds, and nothing comes from a tip into a container
    from which another one draws.
    """
    wanted: dict[str, float] = {}
    for operation in operations:
        if isinstance(operation, Aspirate | Dispense) and operation.mixing is not None:
            return False
        if isinstance(operation, Aspirate):
            wanted[operation.container] = wanted.get(operation.container, 0) + operation.volume
    return all(
        volume <= state.containers.get(name, ContainerContents()).volume
        for name, volume in wanted.items()
    )


@dataclass(frozen=True, slots=True)
class _Work:
    """One command at work on the state."""

    state: AssetManagerState
    channels: dict[int, MountedTip]
    command: Command
    prefix: str
    at: datetime
    why: str

    def carry_out(self, operation: Operation) -> Iterator[Change]:
        match operation:
            case PickTip(channel, spot):
                return self.pick_tip(channel, spot)
            case DropTip(channel, target):
                return self.drop_tip(channel, target)
            case Aspirate(channel, container, volume, mixing):
                return self.aspirate(channel, self.container(container), container, volume, mixing)
            case Dispense(channel, container, volume, mixing):
                return self.dispense(channel, self.container(container), container, volume, mixing)
            case Grip(resource):
                return self.grip(resource)
            case Release(resource):
                return self.release(resource)

    def channel_name(self, channel: int) -> str:
        return f"{self.command.device}[{self.prefix}{channel}]"

    def container(self, name: str) -> ContainerContents:
        """Give a container; one that nobody described was empty and has no known limit."""
        if name not in self.state.containers:
            self.state.containers[name] = ContainerContents()
        return self.state.containers[name]

    def tip(self, channel: int) -> MountedTip:
        """Give the tip on a channel; one that was mounted before the record began was empty."""
        if channel not in self.channels:
            self.channels[channel] = MountedTip(spot=None, uses=1)
        return self.channels[channel]

    def pick_tip(self, channel: int, spot: str) -> Iterator[Change]:
        there = self.state.tip_spots.get(spot, True)
        flag = "no tip was left here" if there is False else ""
        mounted = self.channels.get(channel)
        if mounted is not None and mounted.there:
            flag = f"{self.channel_name(channel)} carried a tip already"
        tip = self.state.used_tips.pop(spot, None) or MountedTip(spot=spot)
        tip.spot, tip.uses = spot, tip.uses + 1
        self.channels[channel] = tip
        self.state.tip_spots[spot] = False
        yield Change(spot, "tip", there, after=False, flag=flag)
        yield Change(self.channel_name(channel), "tip", before=False, after=True)

    def drop_tip(self, channel: int, target: str) -> Iterator[Change]:
        tip = self.channels.pop(channel, None) or MountedTip(spot=None, uses=1)
        was_there, tip.there = tip.there, True
        yield Change(self.channel_name(channel), "tip", was_there, after=False)
        if target in self.state.containers:
            yield from self.empty_into(tip, target, was_there=was_there)
            return
        there = self.state.tip_spots.get(target, False)
        flag = "a tip was here already" if there else ""
        if was_there is None:
            if there is not False:
                tip.unknown = tip.unknown or _WHICH_TIP
            self.put_back(tip, target, there=there or None)
        else:
            self.put_back(tip, target, there=True)
        yield Change(target, "tip", there, self.state.tip_spots[target], flag=flag)

    def empty_into(
        self, tip: MountedTip, target: str, *, was_there: bool | None
    ) -> Iterator[Change]:
        """Let a tip go into waste with all that is in it."""
        waste = self.container(target)
        before, solutes = known_volume(waste), frozenset(waste.amounts)
        if tip.volume <= 0 and not tip.unknown:
            return
        waste.unknown = waste.unknown or tip.unknown or ("" if was_there else _NO_TIP)
        move(tip, waste, tip.volume)
        self.touch(waste, solutes)
        yield Change(target, "volume", before, known_volume(waste))

    def put_back(self, tip: MountedTip, spot: str, *, there: bool | None) -> None:
        """Note which tip is in a tip spot, or may be."""
        self.state.tip_spots[spot] = there
        self.state.used_tips[spot] = tip

    def aspirate(
        self,
        channel: int,
        source: ContainerContents,
        name: str,
        volume: float,
        mixing: Mixing | None,
    ) -> Iterator[Change]:
        tip = self.tip(channel)
        before, in_tip, solutes = known_volume(source), known_volume(tip), frozenset(source.amounts)
        if volume > 0 or mixing is not None:
            if tip.there is None or (mixing is not None and tip.unknown):
                source.unknown = source.unknown or tip.unknown or _NO_TIP
            tip.unknown = tip.unknown or source.unknown
            self.dip(tip, source)
        mix(tip, source, mixing)
        move(source, tip, volume)
        self.forget_origin(tip)
        self.touch(source, solutes)
        yield Change(name, "volume", before, known_volume(source), missing(volume, before))
        yield Change(self.channel_name(channel), "volume", in_tip, known_volume(tip))

    def dispense(
        self,
        channel: int,
        target: ContainerContents,
        name: str,
        volume: float,
        mixing: Mixing | None,
    ) -> Iterator[Change]:
        tip = self.tip(channel)
        before, in_tip, solutes = known_volume(target), known_volume(tip), frozenset(target.amounts)
        if volume > 0 or mixing is not None:
            if tip.there is None or tip.unknown:
                target.unknown = target.unknown or tip.unknown or _NO_TIP
            if tip.there is None or (mixing is not None and target.unknown):
                tip.unknown = tip.unknown or target.unknown
            self.dip(tip, target)
        move(tip, target, volume)
        flag = overflow(target)
        mix(tip, target, mixing)
        self.forget_origin(tip)
        self.touch(target, solutes)
        yield Change(self.channel_name(channel), "volume", in_tip, known_volume(tip))
        yield Change(name, "volume", before, known_volume(target), missing(volume, in_tip) or flag)

    def dip(self, tip: MountedTip, liquid: Liquid) -> None:
        """Note what a tip is dipped into; in a water run that is water, and leaves no lineage."""
        water = self.command.water and liquid.sources
        tip.touch([OF_WATER_RUN] if water else liquid.sources)

    def forget_origin(self, tip: MountedTip) -> None:
        """Let what a water run takes up be of no filling."""
        if self.command.water:
            leave_no_trace(tip)

    def grip(self, resource: str) -> Iterator[Change]:
        self.state.let_go(resource)
        self.hold(self.command.device, resource)
        self.state.locations[resource] = Location(parent=None)
        yield Change(resource, "held by", None, self.command.device)

    def release(self, resource: str) -> Iterator[Change]:
        device = self.command.device
        unknown = self.state.grippers_unknown.get(device, "")
        self.hold(device, None)
        if unknown or self.command.new_parent is not None:
            place = Location(parent=self.command.new_parent, unknown=unknown)
            self.state.locations[resource] = place
        yield Change(resource, "held by", device, None)

    def hold(self, device: str, resource: str | None, unknown: str = "") -> None:
        self.state.grippers[device] = resource
        self.state.grippers_unknown.pop(device, None)
        if unknown:
            self.state.grippers_unknown[device] = unknown

    # --- commands of which nobody knows what they did --------------------------------------------

    def doubt(self, operation: Operation) -> Iterator[Change]:
        """Give up what is known of all that an operation touches."""
        match operation:
            case PickTip(channel, spot):
                return self.doubt_pick(channel, spot)
            case DropTip(channel, target):
                return self.doubt_drop(channel, target)
            case Aspirate(channel, container, volume, mixing):
                return self.doubt_liquid(channel, container, touched=volume > 0 or bool(mixing))
            case Dispense(channel, container, volume, mixing):
                return self.doubt_liquid(channel, container, touched=volume > 0 or bool(mixing))
            case Grip(resource):
                return self.doubt_place(resource, self.state.locations.get(resource))
            case Release(resource):
                return self.doubt_place(resource, Location(parent=self.command.new_parent))

    def doubt_pick(self, channel: int, spot: str) -> Iterator[Change]:
        there = self.state.tip_spots.get(spot, True)
        if there is False:
            return  # there was none to be taken
        self.state.tip_spots[spot] = None
        yield Change(spot, "tip", there, after=None, flag=self.why)
        mounted = self.channels.get(channel)
        if mounted is not None:
            before = known_volume(mounted)
            mounted.unknown = mounted.unknown or self.why
            yield Change(self.channel_name(channel), "volume", before, after=None, flag=self.why)
            return
        tip = self.state.used_tips.get(spot) or MountedTip(spot=spot)
        taken = {"spot": spot, "there": None, "uses": tip.uses + 1}
        self.channels[channel] = tip.model_copy(deep=True, update=taken)
        yield Change(self.channel_name(channel), "tip", before=False, after=None, flag=self.why)

    def doubt_drop(self, channel: int, target: str) -> Iterator[Change]:
        tip = self.channels.setdefault(channel, MountedTip(spot=None, uses=1))
        yield Change(self.channel_name(channel), "tip", tip.there, after=None, flag=self.why)
        tip.there = None
        if target in self.state.containers:
            if tip.volume > 0 or tip.unknown:
                yield from self.doubt_liquid(channel, target, touched=True)
            return
        there = self.state.tip_spots.get(target, False)
        left = tip.model_copy(deep=True, update={"there": True})
        if there is not False:
            left.unknown = left.unknown or _WHICH_TIP
        self.put_back(left, target, there=there or None)
        yield Change(target, "tip", there, self.state.tip_spots[target], flag=self.why)

    def doubt_liquid(self, channel: int, name: str, *, touched: bool) -> Iterator[Change]:
        if not touched:
            return
        container = self.container(name)
        things: list[tuple[str, Liquid]] = [(name, container)]
        if channel in self.channels:
            self.dip(self.channels[channel], container)
            things.append((self.channel_name(channel), self.channels[channel]))
        for asset, liquid in things:
            before = known_volume(liquid)
            liquid.unknown = liquid.unknown or self.why
            yield Change(asset, "volume", before, after=None, flag=self.why)
        container.changed_at = self.at

    def doubt_place(self, resource: str, place: Location | None) -> Iterator[Change]:
        device = self.command.device
        before = self.state.grippers.get(device)
        unknown = self.state.grippers_unknown.get(device, "")
        known = self.state.locations.get(resource, Location(parent=None))
        same = before == resource and known.unknown == unknown
        # What it held it may hold still, whatever it was told to take or to put down.
        why = f"{unknown}; {self.why}" if unknown and not same else self.why
        self.hold(device, before or resource, why)
        parent = place.parent if place is not None else None
        self.state.locations[resource] = Location(parent=parent, unknown=self.why)
        yield Change(resource, "held by", before, after=None, flag=self.why)

    def touch(self, container: ContainerContents, solutes: frozenset[str]) -> None:
        """Note when the container changed, and when what was not among its solutes came."""
        container.changed_at = self.at
        since, amounts = container.since, container.amounts
        for solute in [one for one in since if one not in amounts]:
            del since[solute]
        for solute in amounts:
            if solute not in solutes:
                since[solute] = self.at
