"""The one keeper of what is where: changed by commands, read as values."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Protocol, Self, runtime_checkable

from pydantic import JsonValue

from praxis_core.assets.contents import Change, apply
from praxis_core.assets.state import AssetManagerState, ContainerContents, Liquid, Location
from praxis_core.errors import AssetUnknown
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.protocol.command import Command, DeckChange, Outcome
from praxis_core.protocol.lifecycle import OutcomeStatus


@dataclass(frozen=True, slots=True)
class Contents:
    """What was in a container or a tip at one moment."""

    volume: float
    """µL."""
    amounts: Mapping[str, float]
    """pmol of each solute."""
    max_volume: float | None = None
    """µL; None: without limit, or unknown."""
    changed_at: datetime | None = None
    """When liquid last came or went; None: not since the record began."""
    since: Mapping[str, datetime] = field(default_factory=lambda: MappingProxyType({}))
    """When each solute came in, if that was after the record began."""

    def concentration(self, solute: str) -> float:
        """Give the concentration of a solute in µM; 0 when there is none, or no liquid."""
        amount = self.amounts.get(solute, 0.0)
        return amount / self.volume if self.volume > 0 else 0.0


class AssetManager:
    """Knows what is in every container and tip, and where everything stands.

    Only ``apply``, ``apply_deck_changes`` and ``add`` change it; what it gives out are copies.
    """

    def __init__(self, state: AssetManagerState) -> None:
        self._state = state.model_copy(deep=True)

    @classmethod
    def restore(cls, snapshot: JsonValue) -> Self:
        """Go on from ``snapshot``."""
        return cls(AssetManagerState.model_validate(snapshot))

    def snapshot(self) -> dict[str, JsonValue]:
        """Write everything down as JSON."""
        return self._state.model_dump(mode="json")

    def learn(self, state: AssetManagerState) -> None:
        """Know ``state`` from now on, and nothing of before: somebody looked, or set things up."""
        self._state = state.model_copy(deep=True)

    def apply(self, command: Command, outcome: Outcome, at: datetime) -> list[Change]:
        """Enter what a command did.

        Args:
            command: The backend call.
            outcome: How it ended. Where PyLabRobot tells which channels failed, the others count;
                otherwise a failed command is not entered: what it did is not known.
            at: When it was done.

        Returns:
            What changed; ``flag`` says what is not as it should be.
        """
        if outcome.status is OutcomeStatus.SUCCEEDED:
            return apply(self._state, command, at)
        failed = _failed_channels(outcome.error)
        if not failed:
            return []
        return apply(self._state, command, at, failed_channels=failed)

    def apply_deck_changes(self, changes: Sequence[DeckChange]) -> None:
        """Enter where resources were put, in order; what is new among them, ``add`` describes."""
        for change in changes:
            self._state.locations[change.resource] = Location(parent=change.parent)

    def add(self, things: AssetManagerState) -> None:
        """Take up new labware; what is known already stays as it is known."""
        new = things.model_copy(deep=True)
        for known, added in (
            (self._state.containers, new.containers),
            (self._state.tip_spots, new.tip_spots),
            (self._state.racks, new.racks),
            (self._state.locations, new.locations),
        ):
            _add_missing(known, added)

    def contents(self, name: str) -> Contents:
        """Give what is in a container.

        Raises:
            AssetUnknown: there is no such container.
        """
        return _contents(self._known(self._state.containers, name))

    def mounted_tips(self, device: str, *, head96: bool = False) -> dict[int, Contents]:
        """Give what is in each tip that a device carries, by channel."""
        heads = self._state.heads96 if head96 else self._state.heads
        return {channel: _contents(tip) for channel, tip in heads.get(device, {}).items()}

    def where(self, name: str) -> tuple[str, ...]:
        """Give what a resource stands on, and what that stands on, up to the deck or the device.

        A resource in a gripper is at that device.

        Raises:
            AssetUnknown: there is no such resource.
        """
        self._known(self._state.locations, name)
        holders = [device for device, held in self._state.grippers.items() if held == name]
        chain = list(holders)
        here = self._state.locations[name].parent
        while here is not None and here not in chain:
            chain.append(here)
            here = self._state.locations.get(here, Location(parent=None)).parent
        return tuple(chain)

    def stands_on(self, parent: str) -> list[str]:
        """Name what stands directly on a resource."""
        return [name for name, place in self._state.locations.items() if place.parent == parent]

    def gripper(self, device: str) -> str | None:
        """Name what a device's gripper holds."""
        return self._state.grippers.get(device)

    def has_tip(self, spot: str) -> bool:
        """Whether a tip is in a tip spot.

        Raises:
            AssetUnknown: there is no such tip spot.
        """
        return bool(self._known(self._state.tip_spots, spot))

    def tips_left(self, rack: str) -> int:
        """Count the tips in a rack, used ones that were put back included.

        Raises:
            AssetUnknown: there is no such rack.
        """
        spots: list[str] = self._known(self._state.racks, rack)
        return sum(self._state.tip_spots.get(spot, False) for spot in spots)

    def _known(self, things: Mapping[str, Any], name: str) -> Any:
        if name not in things:
            closest = difflib.get_close_matches(name, things, n=3, cutoff=0.4)
            raise AssetUnknown(asset=name, closest=", ".join(closest) or "none")
        return things[name]


@runtime_checkable
class ContentsReader(Protocol):
    """A simulated device that reads what the commands put into its labware."""

    def use_contents(self, assets: AssetManager, clock: Callable[[], datetime]) -> None:
        """Take the assets and the clock that the device reads from now on."""


def _contents(liquid: Liquid) -> Contents:
    amounts = MappingProxyType(dict(liquid.amounts))
    if not isinstance(liquid, ContainerContents):
        return Contents(liquid.volume, amounts)
    since = MappingProxyType(dict(liquid.since))
    return Contents(liquid.volume, amounts, liquid.max_volume, liquid.changed_at, since)


def _add_missing(known: dict[str, Any], added: Mapping[str, Any]) -> None:
    for name, thing in added.items():
        known.setdefault(name, thing)


def _failed_channels(error: EncodedError | None) -> frozenset[int]:
    """Read which channels failed from PyLabRobot's ChannelizedError; empty when nobody said."""
    match error:
        case EncodedError(args={"state": {"errors": {"$dict": list(pairs)}}}) if (
            error.type.endswith(":ChannelizedError")
        ):
            channels = [pair[0] for pair in pairs if isinstance(pair, list)]
            return frozenset(channel for channel in channels if isinstance(channel, int))
        case _:
            return frozenset()
