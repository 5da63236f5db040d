"""Keeping two replicas of a deck equal: what the run moves, the runtime's deck follows.

Changes are numbered without gaps and travel with the next command, so they arrive in order or not
at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pylabrobot.resources import Coordinate, Resource, Rotation

from praxis_core.errors import DeckOutOfStep
from praxis_core.labware.factories import build_resource, encode_resource
from praxis_core.labware.inventory import held, put
from praxis_core.protocol.command import DeckChange
from praxis_core.workcell.resource_index import ResourceIndex


class DeckRecorder:
    """Notes what happens to the resource tree on the run's side."""

    def __init__(self, roots: Iterable[Resource], resources: ResourceIndex) -> None:
        self._resources = resources
        self._roots = list(roots)
        self._pending: list[DeckChange] = []
        self._last = 0
        for root in self._roots:
            root.register_did_assign_resource_callback(self._assigned)
            root.register_did_unassign_resource_callback(self._unassigned)

    def take(self) -> tuple[DeckChange, ...]:
        """Give the changes since the last call, to be sent with a command.

        Labware that is new comes with what the protocol says is in it: scripts put a plate on the
        deck and then tell its volumes, or the other way round.
        """
        changes = tuple(self._with_contents(change) for change in self._pending)
        self._pending.clear()
        return changes

    def forget(self) -> None:
        """Begin anew: what has changed so far is known on the other side as well."""
        self._pending.clear()
        self._last = 0

    def _with_contents(self, change: DeckChange) -> DeckChange:
        resource = self._resources.find(change.resource)
        if resource is None or not isinstance(change.definition, dict):
            return change
        said = held(resource)
        return replace(change, definition={**change.definition, "holds": said}) if said else change

    def _assigned(self, resource: Resource) -> None:
        definition = None
        if not self._resources.knows(resource):
            definition = encode_resource(resource)
            self._resources.add(resource)
        place, turn = resource.location, resource.rotation
        self._note(
            DeckChange(
                number=0,
                resource=resource.name,
                parent=resource.parent.name,
                location=None if place is None else (place.x, place.y, place.z),
                rotation=(turn.x, turn.y, turn.z),
                definition=definition,
            )
        )

    def _unassigned(self, resource: Resource) -> None:
        self._note(DeckChange(number=0, resource=resource.name, parent=None, location=None))

    def _note(self, change: DeckChange) -> None:
        self._last += 1
        self._pending.append(replace(change, number=self._last))


class DeckFollower:
    """Repeats the deck changes of one run on a resource tree that other runs change, too."""

    def __init__(self) -> None:
        self.last = 0
        """Number of the last change that was received."""

    def fresh(self, changes: Iterable[DeckChange]) -> list[DeckChange]:
        """Leave out what was received before: a command may be sent again."""
        return [change for change in changes if change.number > self.last]

    def follow(self, changes: Iterable[DeckChange], resources: ResourceIndex) -> list[Resource]:
        """Apply changes in order.

        Returns:
            Resources that were not known before, each where the first change put it.

        Raises:
            DeckOutOfStep: a change is missing; nothing after the gap was applied.
        """
        new = []
        for change in changes:
            if change.number != self.last + 1:
                raise DeckOutOfStep(number=change.number, expected=self.last + 1)
            if change.definition is not None:
                new.append(made(change, resources))
            _apply(change, resources)
            self.last = change.number
        return new


def made(change: DeckChange, resources: ResourceIndex) -> Resource:
    """Make a resource that the run brought; one of the same name, of an earlier run, goes."""
    before = resources.find(change.resource)
    if before is not None:
        before.unassign()
    made = build_resource(change.definition)
    match change.definition:
        case {"holds": dict(said)}:
            put(made, said)
    resources.add(made)
    return made


def _apply(change: DeckChange, resources: ResourceIndex) -> None:
    resource = resources.get(change.resource)
    resource.unassign()
    if change.parent is None:
        return
    turn(resource, change)
    location = None if change.location is None else Coordinate(*change.location)
    resources.get(change.parent).assign_child_resource(resource, location=location)


def turn(resource: Resource, change: DeckChange) -> None:
    """Turn a resource as it stands after a change."""
    resource.rotation = Rotation(*change.rotation)
