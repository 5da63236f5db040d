"""What was changed of assets: part by part, as it was before and as it is now.

An asset is a whole thing: a device, a plate, a rack, a lid. Its parts go by the names of
``AssetManagerState``: wells, tip spots, channels (``"star[3]"``, ``"star[96:3]"``) and grippers
(``"star[gripper]"``). What is known of a part is written as a document, the same in a change and
in the database:

- of a container the fields of ``ContainerContents``;
- of a tip spot ``tip`` (true, false; null: nobody knows), ``uses`` and ``used``, the fields of the
  ``MountedTip`` in it or null;
- of a channel the fields of ``MountedTip``; None when it carries no tip;
- of a gripper ``holds`` and ``unknown``;
- of a place the fields of ``Location``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import JsonValue

if TYPE_CHECKING:
    from praxis_core.assets.state import Location

Document = dict[str, JsonValue]
"""What is known of a part, or of a place; JSON."""


@dataclass(frozen=True, slots=True)
class PartChange:
    """A part, or a place, before and after."""

    before: Document | None
    """None: it was not known, or there was none."""
    after: Document | None
    """None: it is there no more."""


@dataclass(frozen=True, slots=True)
class AssetChange:
    """All that was changed of one asset."""

    asset: str
    """Its name on the workcell."""
    parts: Mapping[str, PartChange] = field(default_factory=dict)
    """By name of the container, tip spot, channel or gripper."""
    places: Mapping[str, PartChange] = field(default_factory=dict)
    """By name of the resource: of the asset itself, or of what belongs to it and was moved."""
    rack: tuple[str, ...] = ()
    """Of a rack that is new: its tip spots in the order of a 96-head's channels."""


@dataclass(frozen=True, slots=True)
class Changes:
    """All that was changed since it was last asked for; false when nothing was."""

    assets: Mapping[str, AssetChange] = field(default_factory=dict)
    """By name of the asset."""
    doubts: Mapping[str, Document | None] = field(default_factory=dict)
    """``AssetManagerState.doubts`` that came, changed or went (None), by their key there."""

    def __bool__(self) -> bool:
        """Whether anything was changed."""
        return bool(self.assets or self.doubts)


def owner(part: str, locations: Mapping[str, Location], assets: Iterable[str]) -> str:
    """Name the asset that a part belongs to.

    To be asked once, when the part is first known: a lid that is moved to another plate stays an
    asset of its own, and a well stays its plate's.

    Args:
        part: A resource, a channel or a gripper.
        locations: ``AssetManagerState.locations``.
        assets: Names of all assets of the workcell.

    Returns:
        The part itself if it is an asset, else the nearest asset that it stands on; without one the
        outermost thing that it stands on.
    """
    known = assets if isinstance(assets, set | frozenset | dict) else set(assets)
    if part.endswith("]") and part not in locations:
        return part.partition("[")[0]
    here = part
    while here not in known:
        place = locations.get(here)
        if place is None or place.parent is None:
            return here
        here = place.parent
    return here
