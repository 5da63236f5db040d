"""What is known about the things of a workcell at one moment, and what is not.

A command that failed, or of which nobody knows whether it happened, leaves things of which nobody
knows what they are. They keep the last figure that was known, and the reason why it counts no more.
Volumes are in µL and amounts in pmol, so that amount / volume is a concentration in µM.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ConfigDict

_Thing = TypeVar("_Thing")

_MOST_TOUCHED = 100
"""Sources that a tip is said to have touched; a pool of a whole plate has 96."""


class Liquid(BaseModel):
    """Some liquid, ideally mixed: the bulk, and what is dissolved in it."""

    model_config = ConfigDict(extra="forbid")

    if not TYPE_CHECKING:
        # Nothing is checked when a field is set. Pydantic's own way to find that out takes ten
        # times as long, and a command of 8 channels sets 50.
        __setattr__ = object.__setattr__

    volume: float = 0.0
    """µL."""
    amounts: dict[str, float] = {}
    """pmol of each solute."""
    sources: dict[str, float] = {}
    """µL of each filling that is in it. A filling is what was once put into one container: its key
    is that of its row in ``praxis.source``, or else the name of the container. Together they are
    the volume where it is known where all of it came from."""
    unknown: str = ""
    """Why nobody knows what it is, so that these figures do not count; empty: it is known."""


class ContainerContents(Liquid):
    """What a well, trough, tube or waste holds."""

    max_volume: float | None = None
    """µL; None: without limit, or unknown."""
    changed_at: datetime | None = None
    """When liquid last came or went; None: not since the state was set up."""
    since: dict[str, datetime] = {}
    """When each solute came in, if that was after the state was set up."""


class MountedTip(Liquid):
    """A tip on a channel, or one that was put back after use."""

    spot: str | None
    """Tip spot it was taken from; None: unknown."""
    there: bool | None = True
    """None: nobody knows whether the channel carries it."""
    uses: int = 0
    """How often it was picked up, or may have been; at least, if ``spot`` is not known."""
    touched: list[str] = []
    """Keys of ``sources`` in all that it was dipped into, or may have been, in order."""
    touched_more: bool = False
    """Whether that was more than is kept."""

    def touch(self, sources: Iterable[str]) -> None:
        """Note what it is dipped into."""
        new = set(sources).difference(self.touched)
        if new:
            touched = sorted({*self.touched, *new})
            self.touched = touched[:_MOST_TOUCHED]
            self.touched_more = self.touched_more or len(touched) > _MOST_TOUCHED


class Location(BaseModel):
    """Where a resource is."""

    model_config = ConfigDict(extra="forbid")

    parent: str | None
    """What it stands on; None: on nothing known, or in a gripper."""
    unknown: str = ""
    """Why nobody knows whether it stands there; empty: it is known."""
    shelf: str = ""
    """Its place outside of the workcell; empty: it is not outside, or nobody said where."""


class Before(BaseModel):
    """What was known of the things that a command touched of which nobody knows if it happened."""

    model_config = ConfigDict(extra="forbid")

    containers: dict[str, ContainerContents] = {}
    tip_spots: dict[str, bool | None] = {}
    used_tips: dict[str, MountedTip] = {}
    channels: dict[str, MountedTip | None] = {}
    """By name of the channel; None: it carried no tip."""
    locations: dict[str, Location] = {}
    grippers: dict[str, str | None] = {}
    grippers_unknown: dict[str, str] = {}
    set_up: list[str] = []
    """Devices that were set up since, in order: that comes after the command, if it happened."""
    said: list[str] = []
    """What somebody has said of these since; it stays so, whatever the command did."""
    overtaken: bool = False
    """Whether something else has touched these since, so that nothing of it counts any more."""


class AssetManagerState(BaseModel):
    """Everything ``AssetManager`` knows; JSON and back without loss."""

    model_config = ConfigDict(extra="forbid")

    containers: dict[str, ContainerContents] = {}
    tip_spots: dict[str, bool | None] = {}
    """Whether a tip is there, by name of the spot; None: nobody knows."""
    racks: dict[str, list[str]] = {}
    """Tip spots of each rack, in the order of a 96-head's channels."""
    used_tips: dict[str, MountedTip] = {}
    """Tips that were put back after use, by spot; where nobody knows whether a tip is in the spot:
    the one that would be."""
    locations: dict[str, Location] = {}
    heads: dict[str, dict[int, MountedTip]] = {}
    """Tips on the single channels, by device and channel."""
    heads96: dict[str, dict[int, MountedTip]] = {}
    """Tips on the 96-head, by device and channel."""
    grippers: dict[str, str | None] = {}
    """What each device's gripper holds."""
    grippers_unknown: dict[str, str] = {}
    """Why nobody knows whether a device's gripper holds what ``grippers`` says, by device."""
    doubts: dict[str, Before] = {}
    """What was known before each command of which nobody knows whether it happened."""

    def restricted(self, names: Iterable[str]) -> AssetManagerState:
        """Give what is known of some things only.

        Args:
            names: Of labware and devices; names of which nothing is known are left out.

        Returns:
            A copy. Of labware: its place, its wells or tips, and what stands on it. Of a device:
            its heads, named also when they carry no tip, and its gripper; not what stands on it.
        """
        wanted = set(names)
        devices = wanted & {*self.grippers, *self.heads, *self.heads96}
        parts = self._with_all_on_them(wanted - devices)
        return AssetManagerState(
            containers=_only(self.containers, parts),
            tip_spots=_only(self.tip_spots, parts),
            racks=_only(self.racks, parts),
            used_tips=_only(self.used_tips, parts),
            locations=_only(self.locations, parts),
            heads={device: self.heads.get(device, {}) for device in devices},
            heads96={device: self.heads96.get(device, {}) for device in devices},
            grippers={device: self.grippers.get(device) for device in devices},
            grippers_unknown=_only(self.grippers_unknown, devices),
        ).model_copy(deep=True)

    def contents(self, names: Iterable[str]) -> AssetManagerState:
        """Give, as ``restricted``, only what is in the wells and tip spots of some labware."""
        found = self.restricted(names)
        return AssetManagerState(
            containers=found.containers, tip_spots=found.tip_spots, used_tips=found.used_tips
        )

    def take_over(self, other: AssetManagerState) -> None:
        """Say what another state says in place of all that the other one speaks of.

        A gripper that the other one does not name no longer holds what the other one places. What
        is taken over is not copied.
        """
        for spot in other.tip_spots:
            self.used_tips.pop(spot, None)
        for resource in other.locations:
            self.let_go(resource)
        for device in other.grippers:
            self.grippers_unknown.pop(device, None)
        for part in AssetManagerState.model_fields:  # all of them are dictionaries
            getattr(self, part).update(getattr(other, part))

    def let_go(self, resource: str) -> None:
        """Note that no gripper holds a resource; call it before its new place is noted.

        A gripper of which nobody knows more than whether it holds just this is empty then.
        """
        why = self.locations[resource].unknown if resource in self.locations else ""
        for device, held in self.grippers.items():
            if held == resource:
                self.grippers[device] = None
                if self.grippers_unknown.get(device) == why:
                    del self.grippers_unknown[device]

    def _with_all_on_them(self, names: set[str]) -> set[str]:
        standing: dict[str, list[str]] = {}
        for name, location in self.locations.items():
            if location.parent is not None:
                standing.setdefault(location.parent, []).append(name)
        parts, waiting = set[str](), [*names]
        while waiting:
            part = waiting.pop()
            if part not in parts:
                parts.add(part)
                waiting += standing.get(part, [])
        return parts


def _only(things: Mapping[str, _Thing], names: set[str]) -> dict[str, _Thing]:
    return {name: thing for name, thing in things.items() if name in names}
