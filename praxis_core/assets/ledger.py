"""What became of assets since it was last asked for: kept up by naming what was touched.

It holds what was last handed on of each part, so that to find what changed only what was touched is
looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from praxis_core.assets.changes import AssetChange, Changes, Document, PartChange, owner
from praxis_core.assets.documents import part, parts, place, places, stands_as
from praxis_core.assets.names import channels_of, gripper_name
from praxis_core.assets.state import AssetManagerState


@dataclass(slots=True)
class _Found:
    """What changed of one asset, while it is collected."""

    parts: dict[str, PartChange] = field(default_factory=dict)
    places: dict[str, PartChange] = field(default_factory=dict)
    rack: tuple[str, ...] = ()


class Ledger:
    """Knows what was handed on of a state, and what was touched since."""

    def __init__(self, state: AssetManagerState, wholes: Iterable[str]) -> None:
        devices = {*state.grippers, *state.heads, *state.heads96}
        self._wholes = {*wholes, *state.racks, *devices}
        self._parts = parts(state)
        self._places = places(state)
        self._racks = dict(state.racks)
        self._doubts = dict(state.doubts)
        self._touched: dict[str, None] = {}
        self._owners: dict[str, str] = {}
        self._name_owners([*self._parts, *self._places], state)

    @property
    def wholes(self) -> frozenset[str]:
        """Names of the assets that parts belong to, where any is known."""
        return frozenset(self._wholes)

    def touch(self, names: Iterable[str]) -> None:
        """Note that some parts and resources may have changed."""
        self._touched |= dict.fromkeys(names)

    def waits(self, name: str) -> bool:
        """Whether a part or resource may have changed since changes were last taken."""
        return name in self._touched

    def touch_all(self, state: AssetManagerState) -> None:
        """Note that everything may have changed, and that what is not in ``state`` is gone."""
        self.touch([*self._parts, *self._places])
        self.touch([*state.containers, *state.tip_spots, *state.locations, *channels_of(state)])

    def forget(self, names: Iterable[str]) -> None:
        """Note that some parts are to be told as they are, also where nothing of them changed."""
        for name in names:
            self._parts.pop(name, None)

    def is_told(self, names: Iterable[str], state: AssetManagerState) -> None:
        """Note that what ``state`` says of some parts and resources is known already."""
        told = [*names]
        self._name_owners(told, state)
        for name in told:
            self._touched.pop(name, None)
            _replaced(self._parts, name, part(state, name))
            _replaced(self._places, name, place(state, name))
        self._racks = dict(state.racks)

    def meet(self, things: AssetManagerState, state: AssetManagerState) -> None:
        """Take up new things, of which ``state`` knows: each that stands on none of them is whole.

        Parts that are known stay where they belong.
        """
        names = [*things.containers, *things.tip_spots, *things.locations]
        self._wholes.update(things.racks)
        self._wholes.update(
            name
            for name, location in things.locations.items()
            if name not in self._owners and location.parent not in things.locations
        )
        self.touch(names)
        self._name_owners(names, state)

    def _name_owners(self, names: Iterable[str], state: AssetManagerState) -> None:
        for name in names:
            if name not in self._owners:
                self._owners[name] = owner(name, state.locations, self._wholes)

    def take(self, state: AssetManagerState) -> Changes:
        """Give what changed since the last time, and begin anew."""
        found: dict[str, _Found] = {}
        # To take something in hand is to take it out of every other gripper.
        names = self._touched | dict.fromkeys(map(gripper_name, state.grippers))
        self._touched = {}
        self._name_owners(names, state)
        for name in names:
            changed = _replaced(self._parts, name, part(state, name))
            moved = None
            if not stands_as(self._places.get(name), state.locations.get(name)):
                moved = _replaced(self._places, name, place(state, name))
            if changed is None and moved is None:
                continue
            whole = self._owners[name]
            of = found.get(whole) or found.setdefault(whole, _Found())
            if changed is not None:
                of.parts[name] = changed
            if moved is not None:
                of.places[name] = moved
            if name not in self._parts and name not in self._places:
                del self._owners[name]
        self._take_racks(state, found)
        assets = {
            name: AssetChange(name, one.parts, one.places, one.rack) for name, one in found.items()
        }
        return Changes(assets, self._take_doubts(state))

    def _take_racks(self, state: AssetManagerState, found: dict[str, _Found]) -> None:
        for name, spots in state.racks.items():
            if self._racks.get(name) != spots:
                found.setdefault(name, _Found()).rack = tuple(spots)
        self._racks = dict(state.racks)

    def _take_doubts(self, state: AssetManagerState) -> dict[str, Document | None]:
        before, self._doubts = self._doubts, dict(state.doubts)
        gone: dict[str, Document | None] = dict.fromkeys(before.keys() - state.doubts.keys())
        return gone | {
            key: doubt.model_dump(mode="json")
            for key, doubt in state.doubts.items()
            if before.get(key) is not doubt and before.get(key) != doubt
        }


def _replaced(
    known: dict[str, Document], name: str, document: Document | None
) -> PartChange | None:
    """Replace what was handed on; None: it is the same."""
    before = known.get(name)
    if before == document:
        return None
    if document is None:
        del known[name]
    else:
        known[name] = document
    return PartChange(before, document)
