"""What is known of a workcell: what is where, how much of it, and the tips on its heads."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self
from uuid import UUID

from pylabrobot.resources import Container, Coordinate, Resource, ResourceHolder, Rotation

from praxis_core.assets.manager import AssetManager, ContentsReader
from praxis_core.assets.operations import on_channels
from praxis_core.assets.state import AssetManagerState, Location
from praxis_core.journal.doubts import channels_of
from praxis_core.journal.records import CommandRecord, Doubt
from praxis_core.labware.inventory import inventory
from praxis_core.protocol.command import Command, DeckChange, Outcome
from praxis_core.protocol.lifecycle import Answer, DoubtSubject, OutcomeStatus
from praxis_core.workcell.arranging import arrange, restock
from praxis_core.workcell.clock import Clock
from praxis_core.workcell.deck_changes import DeckFollower, made, turn
from praxis_core.workcell.device import Device
from praxis_core.workcell.doubts import DESTROYED_AFTER
from praxis_core.workcell.initial_state import initial_assets
from praxis_core.workcell.model import WorkcellModel

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Home:
    """Where a piece of labware stands."""

    parent: Resource | None
    location: tuple[float, float, float] | None
    rotation: tuple[float, float, float]

    @classmethod
    def of(cls, resource: Resource) -> Self:
        place, turn = resource.location, resource.rotation
        location = None if place is None else (place.x, place.y, place.z)
        return cls(resource.parent, location, (turn.x, turn.y, turn.z))

    def is_(self, other: _Home) -> bool:
        """Whether it is the same place; ``==`` of PyLabRobot compares whole decks."""
        return self.parent is other.parent and self.location == other.location

    def take(self, resource: Resource) -> None:
        """Put it there."""
        if self.parent is not None:
            resource.rotation = Rotation(*self.rotation)
            location = None if self.location is None else Coordinate(*self.location)
            self.parent.assign_child_resource(resource, location=location)

    def turn(self, resource: Resource) -> None:
        """Let what stands there stand just as it did."""
        resource.rotation = Rotation(*self.rotation)
        resource.location = None if self.location is None else Coordinate(*self.location)


class DeckHistory:
    """The deck changes of a run in the order of their numbers, however its commands came."""

    def __init__(self) -> None:
        self.deck = DeckFollower()
        self._early: dict[int, DeckChange] = {}

    def due(self, changes: Iterable[DeckChange]) -> Iterator[list[DeckChange]]:
        """Take up changes, and give those whose turn it is."""
        for change in changes:
            if change.number > self.deck.last:
                self._early.setdefault(change.number, change)
        while self.deck.last + 1 in self._early:
            yield [self._early.pop(self.deck.last + 1)]


class Knowledge:
    """Follows what commands do to a workcell; one for all runs that work with it."""

    def __init__(self, model: WorkcellModel, devices: Mapping[str, Device], clock: Clock) -> None:
        self._model = model
        self._devices = devices
        self._clock = clock
        self._initial = initial_assets(model)
        self._homes = {
            labware.name: _Home.of(model.resources.get(labware.name))
            for labware in model.definition.labware
        }
        self._native = {resource.name for resource in model.resources}
        wholes = {*model.devices, *self._homes}
        self.assets = AssetManager(self._initial, wholes)
        self._tell_readers()

    @property
    def initial(self) -> AssetManagerState:
        """What the definition says."""
        return self._initial

    def take_over(
        self,
        state: AssetManagerState,
        wholes: Collection[str],
        names: Collection[str] | None = None,
    ) -> None:
        """Know what the catalogue says, and let the deck here be so.

        Args:
            state: What it says.
            wholes: Names of all assets that it has.
            names: Of the devices and labware that count; None: all.
        """
        self.assets.take_over(state, names, wholes)
        self._arrange(state if names is None else state.restricted(names))

    def recount(self, state: AssetManagerState) -> None:
        """Know what somebody says is in some labware; of where it stands it says nothing."""
        self.assets.recount(state)
        restock(self._model.resources, state)

    def take_places(self, places: Mapping[str, Location], before: Mapping[str, Location]) -> None:
        """Know where the catalogue says that labware stands; see ``AssetManager.take_places``."""
        free = {name: one for name, one in places.items() if self._has_room(one, places)}
        moved = self.assets.take_places(free, before)
        if moved:
            self._arrange(AssetManagerState(locations={name: free[name] for name in moved}), moved)

    def _has_room(self, place: Location, places: Mapping[str, Location]) -> bool:
        """Whether what stands in a place, as far as is known here, stands elsewhere, too.

        If not, a run is about to move it: what somebody says of the place has to wait.
        """
        site = None if place.parent is None else self._model.resources.find(place.parent)
        if not isinstance(site, ResourceHolder) or not site.children:
            return True
        there = places.get(site.children[0].name)
        return there is not None and (there is place or there.parent != place.parent)

    def _arrange(self, state: AssetManagerState, names: Collection[str] | None = None) -> None:
        arrange(self._model, state)
        for name in self._homes if names is None else self._homes.keys() & set(names):
            # Where on a deck something stands is not in the catalogue.
            resource, home = self._model.resources.get(name), self._homes[name]
            if resource.parent is not None and resource.parent is home.parent:
                home.turn(resource)

    def recall_deck(
        self, changes: Iterable[DeckChange], open_ones: Collection[DeckChange]
    ) -> DeckFollower:
        """Put labware that a run has brought or moved where it is known to be.

        Args:
            changes: All that the run has changed on the deck, whatever became of its commands.
            open_ones: Those of them of which the catalogue was not told yet.

        Returns:
            What follows the next changes.
        """
        history, last = DeckHistory(), dict[str, DeckChange]()
        for change in (one for due in history.due(changes) for one in due):
            last[change.resource] = change
            history.deck.last = change.number
            if change.definition is None:
                continue
            new = self._model.resources.find(change.resource)
            if new is None:
                new = made(change, self._model.resources)
            if change in open_ones:
                self.assets.add(AssetManagerState.model_validate(inventory(new)))
        self.assets.apply_deck_changes(sorted(open_ones, key=lambda change: change.number))
        self._arrange_as_left(last)
        return history.deck

    def _arrange_as_left(self, last: Mapping[str, DeckChange]) -> None:
        """Put labware where its last change left it, unless it is known to be elsewhere."""
        state = self.assets.state.restricted(last)
        left = {
            name: change
            for name, change in last.items()
            if name in state.locations and state.locations[name].parent == change.parent
        }
        for name, change in left.items():
            turn(self._model.resources.get(name), change)
        places = {name: one.location for name, one in left.items()}
        arrange(
            self._model,
            state,
            {name: Coordinate(*place) for name, place in places.items() if place is not None},
        )

    def _tell_readers(self) -> None:
        for device in self._devices.values():
            if isinstance(device.backend, ContentsReader):
                device.backend.use_contents(self.assets, self._clock.now)

    def follow(self, deck: DeckFollower, changes: Sequence[DeckChange]) -> None:
        """Enter what a run changed on the deck.

        Raises:
            DeckOutOfStep: a change is missing.
        """
        fresh = deck.fresh(changes)
        for new in deck.follow(fresh, self._model.resources):
            self.assets.add(AssetManagerState.model_validate(inventory(new)))
        self.assets.apply_deck_changes(fresh)

    def enter(self, command: Command, outcome: Outcome) -> None:
        """Enter what a command did to contents and places."""
        changes = self.assets.apply(command, outcome, outcome.ended_at)
        flagged = [f"{change.asset}: {change.flag}" for change in changes if change.flag]
        if flagged:
            count = f"{len(flagged)} things are wrong with {command.device}.{command.method}"
            _log.warning("%s: %s", count, "; ".join(flagged[:3]))
        for change in changes:
            container = self._model.resources.find(change.asset)
            if isinstance(container, Container) and isinstance(change.after, float):
                # Simulated level detection asks the tracker.
                container.tracker.set_volume(change.after)

    def doubt(self, command: Command) -> None:
        """Enter a command of which nobody knows whether it happened: what it touches is unknown."""
        self.assets.doubt(command, self._clock.now())

    def learn(self, command: Command, outcome: Outcome, *, inside: bool) -> None:
        """Enter how a command ended that was in doubt; ``inside`` as for ``replay``."""
        self.settle(command, outcome)
        if inside:
            self._devices[command.device].replay(command, outcome)

    def settle(self, command: Command, outcome: Outcome | None) -> None:
        """Enter what was found out about a command that was in doubt; None: it did not happen."""
        self.assets.settle(command, outcome, self._clock.now())

    def stage(self, names: Collection[str] | None) -> None:
        """Know that devices and labware are as the definition says; None: all there is.

        What is not in the definition and stood on the deck is gone then.
        """
        if names is None:
            self.assets.learn(self._initial)
            self._put_home(self._homes, [one for one in self._model.resources if self._came(one)])
        else:
            self.assets.set_back(self._initial.restricted(names))
            self._put_home([name for name in names if name in self._homes])
        for device in self._devices if names is None else [n for n in names if n in self._devices]:
            self._devices[device].forget_tips()
        self._show_volumes()

    def _came(self, resource: Resource) -> bool:
        """Whether a resource is not of the definition, nor a part of one that is not either."""
        here = resource.parent
        return resource.name not in self._native and (here is None or here.name in self._native)

    def _put_home(self, names: Iterable[str], going: Iterable[Resource] = ()) -> None:
        moved = [
            (self._model.resources.get(name), self._homes[name])
            for name in names
            if not _Home.of(self._model.resources.get(name)).is_(self._homes[name])
        ]
        for resource in (*(resource for resource, _ in moved), *going):
            resource.unassign()
        for resource, home in moved:
            home.take(resource)

    def _show_volumes(self) -> None:
        """Let simulated level detection see what is known."""
        for resource in self._model.resources:
            if isinstance(resource, Container) and self.assets.knows_container(resource.name):
                resource.tracker.set_volume(self.assets.contents(resource.name).volume)

    def lose(self, device: str) -> None:
        """Know that a device lost what it carried: it was set up, which throws tips and plates off.

        Whatever they held is gone with them; where a plate is then, nobody knows.
        """
        if device in self._devices:
            self.assets.set_up(device)
            self._devices[device].forget_tips()

    def holds(self, device: str) -> dict[str, str]:
        """Name the labware that stands in or on a device, each with what it stands on."""
        found = {}
        for labware in self._model.definition.labware:
            chain = self.assets.where(labware.name)
            # A reader that stands on a deck holds its plate itself.
            if next((name for name in chain if name in self._devices), None) == device:
                found[labware.name] = chain[0]
        return found


def happened(
    records: Iterable[CommandRecord], attempts: Mapping[UUID, int], doubts: Iterable[Doubt]
) -> list[CommandRecord]:
    """Leave out what was set aside and either never happened, or was undone.

    Of what an attempt set aside at its end the devices still know, until a person has said that the
    deck is as before it, or a later attempt has begun.

    Args:
        records: All commands of some runs.
        attempts: The attempt at which each of these runs is.
        doubts: All that was asked about these runs.
    """
    undone = {
        (doubt.run_id, doubt.attempt)
        for doubt in doubts
        if doubt.subject is DoubtSubject.TAIL and doubt.answer is Answer.DID_NOT_HAPPEN
    }

    def stands(record: CommandRecord) -> bool:
        run_id, attempt = record.command.run_id, record.command.attempt
        done = record.outcome is not None and attempt == attempts.get(run_id)
        return done and (run_id, attempt) not in undone

    return [record for record in records if not record.tail or stands(record)]


def partly_done(records: Iterable[CommandRecord], doubts: Iterable[Doubt]) -> list[CommandRecord]:
    """Give what people say was done of commands that happened on some channels only.

    Args:
        records: All commands of some runs.
        doubts: All that was asked about these runs.

    Returns:
        Of each such command the part that happened, as if it had been asked for alone.
    """
    found = {(one.command.run_id, one.command.attempt, *one.key): one for one in records}
    parts = []
    for doubt in doubts:
        record = found.get((doubt.run_id, doubt.attempt, *doubt.key))
        if doubt.answer is Answer.PARTLY and record is not None:
            part = on_channels(record.command, channels_of(doubt.answer_details))
            at = doubt.answered_at or record.issued_at
            outcome = Outcome(OutcomeStatus.SUCCEEDED, record.issued_at, max(at, record.issued_at))
            parts.append(replace(record, command=part, outcome=outcome, tail=False))
    return parts


def losses(doubts: Iterable[Doubt]) -> list[tuple[int, str]]:
    """Say which devices lost what they carried, each after which command, in that order."""
    found = []
    for doubt in doubts:
        details = doubt.details if isinstance(doubt.details, dict) else {}
        after, device = details.get(DESTROYED_AFTER), details.get("device")
        if isinstance(after, int) and isinstance(device, str):
            found.append((after, device))
    return sorted(found)


def undone(commands: Iterable[CommandRecord], doubts: Iterable[Doubt]) -> list[int]:
    """Say before which commands of a run somebody has put the deck back, in their order."""
    numbers = {(one.command.attempt, *one.key): one.number for one in commands}
    return sorted(
        numbers[doubt.attempt, *doubt.key]
        for doubt in doubts
        if doubt.subject is DoubtSubject.TAIL
        and doubt.answer is Answer.DID_NOT_HAPPEN
        and (doubt.attempt, *doubt.key) in numbers
    )
