"""What is known about the things of a workcell at one moment.

Volumes are in µL and amounts in pmol, so that amount / volume is a concentration in µM.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class Liquid(BaseModel):
    """Some liquid, ideally mixed: the bulk, and what is dissolved in it."""

    model_config = ConfigDict(extra="forbid")

    volume: float = 0.0
    """µL."""
    amounts: dict[str, float] = {}
    """pmol of each solute."""


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


class Location(BaseModel):
    """Where a resource is."""

    model_config = ConfigDict(extra="forbid")

    parent: str | None
    """What it stands on; None: on nothing known, or in a gripper."""


class AssetManagerState(BaseModel):
    """Everything ``AssetManager`` knows; JSON and back without loss."""

    model_config = ConfigDict(extra="forbid")

    containers: dict[str, ContainerContents] = {}
    tip_spots: dict[str, bool] = {}
    """Whether a tip is there, by name of the spot."""
    racks: dict[str, list[str]] = {}
    """Tip spots of each rack, in the order of a 96-head's channels."""
    used_tips: dict[str, MountedTip] = {}
    """Tips that were put back with liquid in them, by spot."""
    locations: dict[str, Location] = {}
    heads: dict[str, dict[int, MountedTip]] = {}
    """Tips on the single channels, by device and channel."""
    heads96: dict[str, dict[int, MountedTip]] = {}
    """Tips on the 96-head, by device and channel."""
    grippers: dict[str, str | None] = {}
    """What each device's gripper holds."""
