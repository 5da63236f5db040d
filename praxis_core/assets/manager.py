"""The one keeper of what is where: changed by commands, read as values."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Protocol, Self, runtime_checkable
from uuid import UUID

from pydantic import JsonValue

from praxis_core.assets.contents import Change, apply
from praxis_core.assets.doubts import (
    gripper_name,
    head_of,
    identity,
    is_touched,
    put_back,
    remember,
)
from praxis_core.assets.state import (
    AssetManagerState,
    Before,
    ContainerContents,
    Liquid,
    Location,
    MountedTip,
)
from praxis_core.errors import AssetUnknown, ContentsUnknown
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.protocol.command import Command, DeckChange, Outcome
from praxis_core.protocol.lifecycle import OutcomeStatus, Sent

_CHANNELS = 384
"""More than any head has."""

_NOT_FOLLOWED = "nobody followed what this tip took up"
_NO_SIGHT = "nobody knows whether a tip is there"


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
    unknown: str = ""
    """Why nobody knows what is in it: the figures are the last known ones, and count no more."""
    there: bool | None = True
    """Of a tip: whether it is there; None: nobody knows."""
    name: str = ""
    """Container or channel."""

    @property
    def known(self) -> bool:
        """Whether the figures say what is in it."""
        return not self.unknown

    def concentration(self, solute: str) -> float:
        """Give the concentration of a solute in µM; 0 when there is none, or no liquid.

        Raises:
            ContentsUnknown: nobody knows.
        """
        if self.unknown:
            raise ContentsUnknown(asset=self.name, why=self.unknown)
        amount = self.amounts.get(solute, 0.0)
        return amount / self.volume if self.volume > 0 else 0.0


class AssetManager:
    """Knows what is in every container and tip, and where everything stands.

    What it gives out are copies. Where a command failed, or nobody knows whether it happened, all
    that it touched is unknown until somebody says what it is; nothing is ever guessed.
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
        """Enter what a command did, and where it leaves its labware (``command.new_parent``).

        Args:
            command: The backend call.
            outcome: How it ended. Of a failed command of which something was or may have been sent,
                all that it touched is unknown from here on; where PyLabRobot tells which channels
                failed, that holds for these, and the others did what they were told.
            at: When it was done.

        Returns:
            What changed; ``flag`` says what is not as it should be.
        """
        before = self._state.doubts.pop(identity(command), None)
        if before is not None and not before.overtaken:
            # It is done anew, so the first time it did not happen.
            put_back(before, self._state)
        return self._told(command, outcome, at)

    def _told(self, command: Command, outcome: Outcome, at: datetime) -> list[Change]:
        if outcome.status is OutcomeStatus.SUCCEEDED:
            return self._entered(command, at)
        if outcome.sent is Sent.NONE:
            return []
        message = outcome.error.message if outcome.error is not None else ""
        why = f"{command.name} failed" + (f": {message}" if message else "")
        return self._entered(command, at, why, _failed_channels(outcome.error) or None)

    def doubt(self, command: Command, at: datetime) -> list[Change]:
        """Enter a command of which nobody knows whether it happened.

        All that it touches is unknown until ``settle``, or until somebody says what it is.
        """
        before = self._state.model_copy(deep=True)
        why = f"nobody knows whether {command.name} happened"
        changes = apply(self._state, command, at, why=why)
        touched = _touched_by(command, changes)
        self._touched(touched)
        self._state.doubts[identity(command)] = remember(before, touched, command.device)
        return changes

    def settle(self, command: Command, outcome: Outcome | None, at: datetime) -> list[Change]:
        """Enter what a person, or a device, says about a command that is in doubt here.

        All is what it was before the command; then the outcome is entered, if there is one. Unless
        something else has touched any of it since: then it stays as it is, unknown or said. To be
        called for what was done once; a command that is done anew needs ``apply`` only.

        Args:
            command: The command.
            outcome: How it ended; None: it did not happen.
            at: When it was done.

        Returns:
            What the command changed; nothing of one that is not in doubt here.
        """
        before = self._state.doubts.pop(identity(command), None)
        if before is None or before.overtaken:
            return []
        put_back(before, self._state)
        return [] if outcome is None else self._told(command, outcome, at)

    def in_doubt(self, run_id: UUID) -> set[tuple[str, int]]:
        """Name the commands of a run that are in doubt here, by branch and ordinal."""
        found = (key.split("/") for key in self._state.doubts)
        return {(branch, int(ordinal)) for run, branch, ordinal in found if run == str(run_id)}

    def _entered(
        self,
        command: Command,
        at: datetime,
        why: str = "",
        channels: frozenset[int] | None = None,
    ) -> list[Change]:
        changes = apply(self._state, command, at, why=why, channels=channels)
        self._touched(_touched_by(command, changes))
        return changes

    def _touched(self, names: Iterable[str]) -> None:
        """Note that what was there before a doubt does not count any more."""
        touched = set(names)
        for key, before in self._state.doubts.items():
            if is_touched(before, touched):
                self._state.doubts[key] = Before(overtaken=True)

    # --- what others than commands say -----------------------------------------------------------

    def say(
        self,
        name: str,
        volume: float,
        amounts: Mapping[str, float] | None = None,
        *,
        at: datetime | None = None,
    ) -> None:
        """Enter what a person says is in a container or a tip.

        Args:
            name: A container, a tip spot with a used tip, or a channel: ``"star[3]"``; of the
                96-head ``"star[96:3]"``.
            volume: µL.
            amounts: pmol of each solute; None: nothing is dissolved in it.
            at: When it was seen; for containers.

        Raises:
            AssetUnknown: there is no such thing.
        """
        liquid = self._liquid(name)
        self._touched([name])
        liquid.volume, liquid.amounts, liquid.unknown = volume, dict(amounts or {}), ""
        if isinstance(liquid, ContainerContents):
            liquid.changed_at = at or liquid.changed_at
            liquid.since = {} if at is None else dict.fromkeys(liquid.amounts, at)

    def say_tip(self, name: str, *, there: bool) -> None:
        """Enter whether a tip is in a tip spot or on a channel; its contents stay as they are.

        Args:
            name: A tip spot, or a channel: ``"star[3]"``; of the 96-head ``"star[96:3]"``.
            there: Whether a tip is there.

        Raises:
            AssetUnknown: there is no such tip spot or device.
        """
        self._touched([name])
        channel = self._channel(name)
        if channel is not None:
            head, number = channel
            if not there:
                head.pop(number, None)
            else:
                head.setdefault(number, MountedTip(spot=None, unknown=_NOT_FOLLOWED)).there = True
            return
        self._known(self._state.tip_spots, name)
        self._state.tip_spots[name] = there
        if not there:
            self._state.used_tips.pop(name, None)

    def say_place(self, resource: str, parent: str | None) -> None:
        """Enter where a person says that a resource stands: in no gripper, then.

        Raises:
            AssetUnknown: there is no such resource.
        """
        self._known(self._state.locations, resource)
        self._state.let_go(resource)
        self._state.locations[resource] = Location(parent=parent)
        self._touched([resource])

    def say_gripper(self, device: str, resource: str | None) -> None:
        """Enter what a person says that a device's gripper holds; None: nothing."""
        self._touched([gripper_name(device), *([] if resource is None else [resource])])
        if resource is not None:
            self._state.let_go(resource)
            self._state.locations[resource] = Location(parent=None)
        self._state.grippers[device] = resource
        self._state.grippers_unknown.pop(device, None)

    def discard_head(self, device: str, into: str | None = None) -> list[str]:
        """Enter that a device has thrown off all its tips, as some do when they are set up.

        Args:
            device: Whose heads carry nothing from here on.
            into: The container that took them with their liquid, now of unknown contents; None:
                nobody followed it.

        Returns:
            The channels that carried a tip, or may have.
        """
        thrown = []
        for prefix, heads in (("", self._state.heads), ("96:", self._state.heads96)):
            tips = heads.pop(device, {})
            heads[device] = {}
            for channel, tip in tips.items():
                thrown.append(f"{device}[{prefix}{channel}]")
                if into is not None and (tip.volume > 0 or tip.unknown):
                    waste = self._known(self._state.containers, into)
                    waste.unknown = (
                        waste.unknown or f"{device} threw off its tips when it was set up"
                    )
                    self._touched([into])
        self._touched(thrown)
        return thrown

    def drop_gripped(self, device: str) -> str | None:
        """Enter that a device has dropped what its gripper held, as some do when they are set up.

        Where it is, and what is still in it, nobody knows.

        Returns:
            What the gripper held, or may have; None: nothing.
        """
        held = self._state.grippers.get(device)
        self._state.grippers[device] = None
        self._state.grippers_unknown.pop(device, None)
        if held is None:
            return None
        why = f"{device} dropped {held} when it was set up"
        place = self._state.locations.get(held, Location(parent=None))
        self._state.locations[held] = place.model_copy(update={"unknown": why})
        inside = self._state.restricted([held])
        for name in inside.containers:
            self._state.containers[name].unknown = self._state.containers[name].unknown or why
        for spot in inside.tip_spots:
            self._state.tip_spots[spot] = None
        self._touched([gripper_name(device), held, *inside.containers, *inside.tip_spots])
        return held

    def set_back(self, things: AssetManagerState) -> None:
        """Take over what another state says of the things that it names; see ``restricted``."""
        self._state = self._state.merged(things)
        heads = [f"{device}[{number}]" for device in things.heads for number in range(_CHANNELS)]
        heads96 = [f"{device}[96:{n}]" for device in things.heads96 for n in range(_CHANNELS)]
        grippers = map(gripper_name, things.grippers)
        self._touched(
            [*things.containers, *things.tip_spots, *things.locations, *heads, *heads96, *grippers]
        )

    def _liquid(self, name: str) -> Liquid:
        channel = self._channel(name)
        if channel is not None:
            head, number = channel
            return head.setdefault(number, MountedTip(spot=None))
        if name in self._state.tip_spots:
            return self._state.used_tips.setdefault(name, MountedTip(spot=name))
        liquid: Liquid = self._known(self._state.containers, name)
        return liquid

    def _channel(self, name: str) -> tuple[dict[int, MountedTip], int] | None:
        """Find the head of a channel; None: it is not the name of a channel of a device."""
        device = name.partition("[")[0]
        if device not in {*self._state.grippers, *self._state.heads, *self._state.heads96}:
            return None
        return head_of(self._state, name)

    def apply_deck_changes(self, changes: Sequence[DeckChange]) -> None:
        """Enter where resources were put, in order; what is new among them, ``add`` describes."""
        for change in changes:
            self._state.locations[change.resource] = Location(parent=change.parent)
        self._touched([change.resource for change in changes])

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
        return _contents(self._known(self._state.containers, name), name)

    def mounted_tips(self, device: str, *, head96: bool = False) -> dict[int, Contents]:
        """Give what is in each tip that a device carries, or may (``there``), by channel."""
        heads = self._state.heads96 if head96 else self._state.heads
        prefix = "96:" if head96 else ""
        return {
            channel: _contents(tip, f"{device}[{prefix}{channel}]")
            for channel, tip in heads.get(device, {}).items()
        }

    def where(self, name: str) -> tuple[str, ...]:
        """Give what a resource stands on, and what that stands on, up to the deck or the device.

        A resource in a gripper is at that device. Where nobody knows (``unknown``), the last place
        that was known, and the gripper that may have it.

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
        """Name what stands directly on a resource, or may: its place there is not free."""
        return [name for name, place in self._state.locations.items() if place.parent == parent]

    def gripper(self, device: str) -> str | None:
        """Name what a device's gripper holds, or may: it is not free."""
        return self._state.grippers.get(device)

    def has_tip(self, spot: str) -> bool | None:
        """Whether a tip is in a tip spot; None: nobody knows.

        Raises:
            AssetUnknown: there is no such tip spot.
        """
        there: bool | None = self._known(self._state.tip_spots, spot)
        return there

    def tips_left(self, rack: str) -> int:
        """Count the tips that are in a rack for certain, used ones that were put back included.

        Raises:
            AssetUnknown: there is no such rack.
        """
        spots: list[str] = self._known(self._state.racks, rack)
        return sum(self._state.tip_spots.get(spot) is True for spot in spots)

    def unknown(self) -> dict[str, str]:
        """List all of which nobody knows what it holds or where it is, each with the reason.

        Channels are called ``"star[3]"``, those of a 96-head ``"star[96:3]"``, and a gripper
        ``"star[gripper]"``.
        """
        state = self._state
        found = {name: held.unknown for name, held in state.containers.items() if held.unknown}
        for spot, there in state.tip_spots.items():
            if there is None:
                found[spot] = _NO_SIGHT
            elif spot in state.used_tips and state.used_tips[spot].unknown:
                found[spot] = state.used_tips[spot].unknown
        for prefix, heads in (("", state.heads), ("96:", state.heads96)):
            for device, tips in heads.items():
                for channel, tip in tips.items():
                    if tip.unknown or tip.there is None:
                        found[f"{device}[{prefix}{channel}]"] = tip.unknown or _NO_SIGHT
        found |= {name: place.unknown for name, place in state.locations.items() if place.unknown}
        return found | {gripper_name(one): why for one, why in state.grippers_unknown.items()}

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


def _contents(liquid: Liquid, name: str) -> Contents:
    amounts = MappingProxyType(dict(liquid.amounts))
    found = Contents(liquid.volume, amounts, unknown=liquid.unknown, name=name)
    if isinstance(liquid, MountedTip):
        return replace(found, there=liquid.there)
    if isinstance(liquid, ContainerContents):
        since = MappingProxyType(dict(liquid.since))
        limit, changed_at = liquid.max_volume, liquid.changed_at
        return replace(found, max_volume=limit, changed_at=changed_at, since=since)
    return found


def _touched_by(command: Command, changes: Sequence[Change]) -> list[str]:
    moved = any(change.what == "held by" for change in changes)
    gripper = [gripper_name(command.device)] if moved else []
    return [*(change.asset for change in changes), *gripper]


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
