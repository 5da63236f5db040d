"""The one keeper of what is where: changed by commands, read as values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, Self, runtime_checkable
from uuid import UUID

from pydantic import JsonValue

from praxis_core.assets import statements
from praxis_core.assets.changes import Changes
from praxis_core.assets.contents import Change, apply
from praxis_core.assets.doubts import (
    followed,
    identity,
    put_back,
    remember,
    said_since,
    things_of,
)
from praxis_core.assets.ledger import Ledger
from praxis_core.assets.names import channels_of, gripper_name, known
from praxis_core.assets.operations import operations_of
from praxis_core.assets.readings import Contents, TipUse, contents_of
from praxis_core.assets.state import (
    AssetManagerState,
    Before,
    Liquid,
    Location,
    MountedTip,
)
from praxis_core.assets.water import Fillings, against
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.protocol.command import Command, DeckChange, Outcome
from praxis_core.protocol.lifecycle import OutcomeStatus, Sent

_NO_SIGHT = "nobody knows whether a tip is there"


class AssetManager:
    """Knows what is in every container and tip, and where everything stands.

    What it gives out are copies. Where a command failed, or nobody knows whether it happened, all
    that it touched is unknown until somebody says what it is; nothing is ever guessed.
    """

    def __init__(self, state: AssetManagerState, wholes: Iterable[str] = ()) -> None:
        """Begin.

        Args:
            state: What is known.
            wholes: Names of devices and labware; what changes, changes of one of them. Those with a
                head or a gripper, and racks, are known.
        """
        self._state = state.model_copy(deep=True)
        self._ledger = Ledger(self._state, wholes)

    @classmethod
    def restore(cls, snapshot: JsonValue, wholes: Iterable[str] = ()) -> Self:
        """Go on from ``snapshot``."""
        return cls(AssetManagerState.model_validate(snapshot), wholes)

    def snapshot(self) -> dict[str, JsonValue]:
        """Write everything down as JSON."""
        return self._state.model_dump(mode="json")

    @property
    def state(self) -> AssetManagerState:
        """A copy of all that is known."""
        return self._state.model_copy(deep=True)

    def learn(self, state: AssetManagerState) -> None:
        """Know ``state`` from now on, and nothing of before: somebody looked, or set things up."""
        self._state = state.model_copy(deep=True)
        self._ledger.touch_all(self._state)

    def take_over(
        self,
        state: AssetManagerState,
        names: Iterable[str] | None = None,
        wholes: Iterable[str] = (),
    ) -> None:
        """Know what the catalogue says, which is not told to it as a change.

        Args:
            state: What it says; not to be changed any more.
            names: Of the devices and labware that count; None: all, and nothing else is known then.
            wholes: Names of the assets that it has.
        """
        if names is None:
            self._state = state
            self._ledger = Ledger(self._state, {*self._ledger.wholes, *wholes})
            return
        things = state.restricted(names)
        touched = self._parts_of(things)
        self._state.take_over(things)
        for key in self._state.doubts.keys() & state.doubts.keys():
            self._state.doubts[key] = state.doubts[key].model_copy(deep=True)
        self._ledger.is_told(touched, self._state)

    def places(self) -> dict[str, Location]:
        """Give where everything stands, by name; for ``take_places``."""
        return dict(self._state.locations)  # a place is never changed itself

    def take_places(
        self, places: Mapping[str, Location], before: Mapping[str, Location]
    ) -> list[str]:
        """Know where the catalogue says that things stand, which is not told to it as a change.

        Args:
            places: What it says.
            before: What was known here before it was asked (``places``): what was moved here since
                stays where it is.

        Returns:
            Names of those that stand elsewhere than was known.
        """
        here = self._state.locations
        moved = [
            name
            for name, place in places.items()
            if here.get(name) != place and here.get(name) is before.get(name)
        ]
        moved = [name for name in moved if not self._ledger.waits(name)]
        grippers = self._state.grippers
        let_go = [gripper_name(one) for one, held in grippers.items() if held in moved]
        for name in moved:
            self._state.let_go(name)
            here[name] = places[name]
        self._ledger.is_told([*moved, *let_go], self._state)
        return moved

    def _parts_of(self, things: AssetManagerState) -> set[str]:
        """Name all that is spoken of, and what the heads carry that it speaks of."""
        touched = {*things.containers, *things.tip_spots, *things.locations}
        touched |= {gripper_name(device) for device in things.grippers}
        for state in (self._state, things):
            touched.update(channels_of(state.restricted({*things.heads, *things.heads96})))
        return touched

    @property
    def wholes(self) -> frozenset[str]:
        """Names of the assets of which changes are told: also racks of a deck, and new labware."""
        return self._ledger.wholes

    def take_changes(self) -> Changes:
        """Give what changed since this was last called, or since the beginning.

        By whole asset: a part belongs to what it stood on when it was first known.
        """
        return self._ledger.take(self._state)

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
            said = remember(self._state, before.said, command.device)
            self._put_back(before)
            self._set_up_since(before)
            self._put_back(said)
        return self._told(command, outcome, at)

    def _told(self, command: Command, outcome: Outcome, at: datetime) -> list[Change]:
        if outcome.status is OutcomeStatus.SUCCEEDED:
            return self._entered(command, at)
        if outcome.sent is Sent.NONE:
            return []
        message = outcome.error.message if outcome.error is not None else ""
        why = f"{command.name} failed" + (f": {message}" if message else "")
        return self._entered(command, at, why, failed_channels(outcome.error) or None)

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

        All is what it was before the command; then the outcome is entered, if there is one; what
        somebody has said since, stays. Unless another command has touched any of it since: then
        all stays as it is, unknown or said. To be called for what was done once; a command that is
        done anew needs ``apply`` only.

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
        said = remember(self._state, before.said, command.device)
        self._put_back(before)
        changes = [] if outcome is None else self._told(command, outcome, at)
        self._set_up_since(before)
        self._put_back(said)
        return changes

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
        self._ledger.touch(touched)
        for key, before in self._state.doubts.items():
            if not touched.isdisjoint(things_of(before)):
                self._state.doubts[key] = Before(overtaken=True)

    def _said(self, names: Iterable[str]) -> None:
        """Note what somebody said: it stays so, also when it is known what a command did before."""
        touched = set(names)
        self._ledger.touch(touched)
        for key, before in self._state.doubts.items():
            of = touched & things_of(before)
            if of:
                self._state.doubts[key] = said_since(before, of)

    def _put_back(self, before: Before) -> None:
        put_back(before, self._state)
        self._ledger.touch(things_of(before))

    def _set_up_since(self, before: Before) -> None:
        for device in before.set_up:
            self.set_up(device)

    # --- what others than commands say -----------------------------------------------------------

    def say(
        self,
        name: str,
        volume: float,
        amounts: Mapping[str, float] | None = None,
        *,
        sources: Mapping[str, float] | None = None,
        at: datetime | None = None,
    ) -> None:
        """Enter what a person says is in a container or a tip.

        Args:
            name: A container, a tip spot with a used tip, or a channel: ``"star[3]"``; of the
                96-head ``"star[96:3]"``.
            volume: µL.
            amounts: pmol of each solute; None: nothing is dissolved in it.
            sources: µL of each filling that is in it; None: it is one of its own, called ``name``.
            at: When it was seen; for containers.

        Raises:
            AssetUnknown: there is no such thing.
        """
        filling = statements.Filling(volume, amounts, sources)
        self._said(statements.say(self._state, name, filling, at))

    def say_tip(self, name: str, *, there: bool) -> None:
        """Enter whether a tip is in a tip spot or on a channel; its contents stay as they are.

        Args:
            name: A tip spot, or a channel: ``"star[3]"``; of the 96-head ``"star[96:3]"``.
            there: Whether a tip is there.

        Raises:
            AssetUnknown: there is no such tip spot or device.
        """
        self._said(statements.say_tip(self._state, name, there=there))

    def say_place(self, resource: str, parent: str | None, shelf: str = "") -> None:
        """Enter where a person says that a resource stands: in no gripper, then.

        Args:
            resource: Its name.
            parent: What it stands on; None: nothing of the workcell.
            shelf: Where it is outside of the workcell.

        Raises:
            AssetUnknown: there is no such resource.
        """
        self._said(statements.say_place(self._state, resource, parent, shelf))

    def say_gripper(self, device: str, resource: str | None) -> None:
        """Enter what a person says that a device's gripper holds; None: nothing."""
        self._said(statements.say_gripper(self._state, device, resource))

    def discard_head(self, device: str, into: str | None = None) -> list[str]:
        """Enter that a device has thrown off all its tips, as some do when they are set up.

        Args:
            device: Whose heads carry nothing from here on.
            into: The container that took them with their liquid, now of unknown contents; None:
                nobody followed it.

        Returns:
            The channels that carried a tip, or may have.

        Raises:
            AssetUnknown: there is no such container.
        """
        touched = statements.discard_head(self._state, device, into)
        self._touched(touched)
        return [name for name in touched if name != into]

    def set_up(self, device: str) -> None:
        """Enter that a device was set up, and threw off its tips and what its gripper held.

        Where that is, and what is still in it, nobody knows. If a command of the device is in doubt
        here, what it may have carried then is known once that is settled.
        """
        before = self._state.model_copy(deep=True)
        touched = [
            *statements.discard_head(self._state, device, None),
            *statements.drop_gripped(self._state, device),
        ]
        doubts = self._state.doubts
        asked = [key for key, one in doubts.items() if not things_of(one).isdisjoint(touched)]
        earlier = doubts[asked[0]] if len(asked) == 1 else None
        self._touched(touched)
        if earlier is not None:
            doubts[asked[0]] = followed(earlier, remember(before, touched, device), device)

    def set_back(self, things: AssetManagerState) -> None:
        """Take over what another state says of the things that it names; see ``restricted``."""
        touched = self._parts_of(things)
        self._state.take_over(things.model_copy(deep=True))
        self._said(touched)

    def recount(self, things: AssetManagerState) -> None:
        """Know what is in some containers and tip spots, which is told also where it is the same.

        Args:
            things: What is in them; of where things stand it says nothing.
        """
        parts = [*things.containers, *things.tip_spots]
        self._state.take_over(things.model_copy(deep=True))
        self._ledger.forget(parts)
        self._touched(parts)

    def apply_deck_changes(self, changes: Sequence[DeckChange]) -> None:
        """Enter where resources were put, in order; what is new among them, ``add`` describes."""
        for change in changes:
            self._state.locations[change.resource] = Location(parent=change.parent)
        self._touched([change.resource for change in changes])

    def add(self, things: AssetManagerState) -> None:
        """Take up new labware; what is known already stays as it is known."""
        new = things.model_copy(deep=True)
        pairs: tuple[tuple[dict[str, Any], Mapping[str, Any]], ...] = (
            (self._state.containers, new.containers),
            (self._state.tip_spots, new.tip_spots),
            (self._state.racks, new.racks),
            (self._state.locations, new.locations),
        )
        for there, added in pairs:
            for name, thing in added.items():
                there.setdefault(name, thing)
        self._ledger.meet(new, self._state)

    def knows_container(self, name: str) -> bool:
        """Whether there is a container of this name; what was discarded has none any more."""
        return name in self._state.containers

    def not_water(
        self, command: Command, fillings: Fillings, is_waste: Callable[[str], bool]
    ) -> dict[str, Liquid]:
        """Give what a command would touch that is not known to be water.

        Args:
            command: Of a water run.
            fillings: What is known of what is in the containers.
            is_waste: Whether a container takes whatever comes.

        Returns:
            Copies of what is in it, by name of the container or tip spot.
        """
        operations = operations_of(command, self._state)
        found = against(self._state, operations, fillings, is_waste)
        return {name: liquid.model_copy(deep=True) for name, liquid in found}

    def contents(self, name: str) -> Contents:
        """Give what is in a container.

        Raises:
            AssetUnknown: there is no such container.
        """
        return contents_of(known(self._state.containers, name), name)

    def mounted_tips(self, device: str, *, head96: bool = False) -> dict[int, Contents]:
        """Give what is in each tip that a device carries, or may (``there``), by channel."""
        heads = self._state.heads96 if head96 else self._state.heads
        prefix = "96:" if head96 else ""
        return {
            channel: contents_of(tip, f"{device}[{prefix}{channel}]")
            for channel, tip in heads.get(device, {}).items()
        }

    def where(self, name: str) -> tuple[str, ...]:
        """Give what a resource stands on, and what that stands on, up to the deck or the device.

        A resource in a gripper is at that device. Where nobody knows (``unknown``), the last place
        that was known, and the gripper that may have it.

        Raises:
            AssetUnknown: there is no such resource.
        """
        known(self._state.locations, name)
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
        return known(self._state.tip_spots, spot)

    def tips_left(self, rack: str) -> int:
        """Count the tips that are in a rack for certain, used ones that were put back included.

        Raises:
            AssetUnknown: there is no such rack.
        """
        spots = known(self._state.racks, rack)
        return sum(self._state.tip_spots.get(spot) is True for spot in spots)

    def tip_uses(self, rack: str) -> dict[str, TipUse]:
        """Give what became of each tip that is in a rack, or may be, by its spot.

        Raises:
            AssetUnknown: there is no such rack.
        """
        unused = MountedTip(spot=None)
        spots = {spot: self._state.tip_spots.get(spot) for spot in known(self._state.racks, rack)}
        return {
            spot: TipUse.of(self._state.used_tips.get(spot, unused), there=there)
            for spot, there in spots.items()
            if there is not False
        }

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
        for channel, tip in channels_of(state).items():
            if tip.unknown or tip.there is None:
                found[channel] = tip.unknown or _NO_SIGHT
        found |= {name: place.unknown for name, place in state.locations.items() if place.unknown}
        return found | {gripper_name(one): why for one, why in state.grippers_unknown.items()}


@runtime_checkable
class ContentsReader(Protocol):
    """A simulated device that reads what the commands put into its labware."""

    def use_contents(self, assets: AssetManager, clock: Callable[[], datetime]) -> None:
        """Take the assets and the clock that the device reads from now on."""


def _touched_by(command: Command, changes: Sequence[Change]) -> list[str]:
    moved = any(change.what == "held by" for change in changes)
    gripper = [gripper_name(command.device)] if moved else []
    return [*(change.asset for change in changes), *gripper]


def failed_channels(error: EncodedError | None) -> frozenset[int]:
    """Read which channels failed from PyLabRobot's ChannelizedError; empty when nobody said."""
    match error:
        case EncodedError(args={"state": {"errors": {"$dict": list(pairs)}}}) if (
            error.type.endswith(":ChannelizedError")
        ):
            channels = [pair[0] for pair in pairs if isinstance(pair, list)]
            return frozenset(channel for channel in channels if isinstance(channel, int))
        case _:
            return frozenset()
