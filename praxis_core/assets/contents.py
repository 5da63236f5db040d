"""What a command does to liquids, tips and the gripper: bookkeeping from commands alone.

PyLabRobot's own trackers are not used: scripts run with them switched off, and after an error they
keep half of what failed. Everything here is arithmetic on ``AssetManagerState``; liquids mix
ideally, in a container and in a tip.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

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
from praxis_core.protocol.command import Command

_ROUNDING = 1e-6
"""µL; smaller differences come from floating point."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a command changed."""

    asset: str
    """Container, tip spot or labware; a channel is ``"star[3]"``, or ``"star[96:3]"``."""
    what: str
    """``"volume"`` (µL), ``"tip"`` (whether one is there) or ``"held by"`` (a device's gripper)."""
    before: float | bool | str | None
    after: float | bool | str | None
    flag: str = ""
    """What is not as it should be; empty: nothing."""


def apply(
    state: AssetManagerState,
    command: Command,
    at: datetime,
    *,
    failed_channels: frozenset[int] = frozenset(),
) -> list[Change]:
    """Enter what one command did.

    Args:
        state: Is changed.
        command: Backend call; those that move neither liquid nor tips nor labware change nothing.
        at: When it was done.
        failed_channels: Channels that did nothing, where only some failed.

    Returns:
        What changed, in the order it happened. Drawing more than there is, giving more than the tip
        holds and giving more than fits are flagged: the difference was air, or ran over.
    """
    operations = operations_of(command, state)
    if not operations:
        return []
    head96 = uses_head96(command)
    heads = (state.heads96 if head96 else state.heads).setdefault(command.device, {})
    work = _Work(state, heads, command.device, "96:" if head96 else "", at)
    return [
        change
        for operation in operations
        if isinstance(operation, Grip | Release) or operation.channel not in failed_channels
        for change in work.carry_out(operation)
    ]


@dataclass(frozen=True, slots=True)
class _Work:
    """One command at work on the state."""

    state: AssetManagerState
    channels: dict[int, MountedTip]
    device: str
    prefix: str
    at: datetime

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
        return f"{self.device}[{self.prefix}{channel}]"

    def container(self, name: str) -> ContainerContents:
        """Give a container; one that nobody described was empty and has no known limit."""
        if name not in self.state.containers:
            self.state.containers[name] = ContainerContents()
        return self.state.containers[name]

    def tip(self, channel: int) -> MountedTip:
        """Give the tip on a channel; one that was mounted before the record began was empty."""
        if channel not in self.channels:
            self.channels[channel] = MountedTip(spot=None)
        return self.channels[channel]

    def pick_tip(self, channel: int, spot: str) -> Iterator[Change]:
        there = self.state.tip_spots.get(spot, True)
        flag = "" if there else "no tip was left here"
        if channel in self.channels:
            flag = f"{self.channel_name(channel)} carried a tip already"
        tip = self.state.used_tips.pop(spot, None) or MountedTip(spot=spot)
        tip.spot = spot
        self.channels[channel] = tip
        self.state.tip_spots[spot] = False
        yield Change(spot, "tip", there, after=False, flag=flag)
        yield Change(self.channel_name(channel), "tip", before=False, after=True)

    def drop_tip(self, channel: int, target: str) -> Iterator[Change]:
        tip = self.channels.pop(channel, None) or MountedTip(spot=None)
        yield Change(self.channel_name(channel), "tip", before=True, after=False)
        if target in self.state.containers:
            waste = self.container(target)
            before, solutes = waste.volume, frozenset(waste.amounts)
            if tip.volume > 0:
                _move(tip, waste, tip.volume)
                self.touch(waste, solutes)
                yield Change(target, "volume", before, waste.volume)
            return
        there = self.state.tip_spots.get(target, False)
        self.state.tip_spots[target] = True
        if tip.volume > 0:
            self.state.used_tips[target] = tip
        flag = "a tip was here already" if there else ""
        yield Change(target, "tip", there, after=True, flag=flag)

    def aspirate(
        self,
        channel: int,
        source: ContainerContents,
        name: str,
        volume: float,
        mixing: Mixing | None,
    ) -> Iterator[Change]:
        tip = self.tip(channel)
        before, in_tip, solutes = source.volume, tip.volume, frozenset(source.amounts)
        _mix(tip, source, mixing)
        _move(source, tip, volume)
        self.touch(source, solutes)
        flag = _missing(volume, before)
        yield Change(name, "volume", before, source.volume, flag)
        yield Change(self.channel_name(channel), "volume", in_tip, tip.volume)

    def dispense(
        self,
        channel: int,
        target: ContainerContents,
        name: str,
        volume: float,
        mixing: Mixing | None,
    ) -> Iterator[Change]:
        tip = self.tip(channel)
        before, in_tip, solutes = target.volume, tip.volume, frozenset(target.amounts)
        _move(tip, target, volume)
        flag = _overflow(target)
        _mix(tip, target, mixing)
        self.touch(target, solutes)
        yield Change(self.channel_name(channel), "volume", in_tip, tip.volume)
        yield Change(name, "volume", before, target.volume, _missing(volume, in_tip) or flag)

    def grip(self, resource: str) -> Iterator[Change]:
        self.state.grippers[self.device] = resource
        self.state.locations[resource] = Location(parent=None)
        yield Change(resource, "held by", None, self.device)

    def release(self, resource: str) -> Iterator[Change]:
        self.state.grippers[self.device] = None
        yield Change(resource, "held by", self.device, None)

    def touch(self, container: ContainerContents, solutes: frozenset[str]) -> None:
        """Note when the container changed, and when what was not among its solutes came."""
        container.changed_at = self.at
        for solute in container.since.keys() - container.amounts.keys():
            del container.since[solute]
        for solute in container.amounts.keys() - solutes:
            container.since[solute] = self.at


def _move(source: Liquid, target: Liquid, volume: float) -> None:
    """Move liquid; all there is when that is less, or when only rounding would stay behind."""
    if volume <= 0 or source.volume <= 0:
        return
    all_of_it = volume >= source.volume - _ROUNDING
    moved = source.volume if all_of_it else volume
    part = 1.0 if all_of_it else moved / source.volume
    source.volume -= moved
    target.volume += moved
    for solute, amount in source.amounts.items():
        target.amounts[solute] = target.amounts.get(solute, 0.0) + amount * part
        source.amounts[solute] = amount - amount * part
    if all_of_it:
        source.amounts = {}


def _mix(tip: MountedTip, container: Liquid, mixing: Mixing | None) -> None:
    """Draw and give back; only what is in the tip makes a difference, for containers are mixed."""
    if mixing is None or tip.volume <= 0:
        return
    kept = tip.volume
    for _ in range(mixing.repetitions):
        _move(container, tip, mixing.volume)
        _move(tip, container, tip.volume - kept)


def _missing(wanted: float, there: float) -> str:
    if wanted <= there + _ROUNDING:
        return ""
    return f"{wanted - there:.2f} µL of air: {wanted:.2f} µL were asked of {there:.2f} µL"


def _overflow(container: ContainerContents) -> str:
    limit = container.max_volume
    if limit is None or container.volume <= limit + _ROUNDING:
        return ""
    return f"{container.volume - limit:.2f} µL ran over: it holds {limit:.2f} µL"
