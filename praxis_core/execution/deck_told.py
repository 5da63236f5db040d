"""Which changes of its deck a run has told the devices' side, when it goes on from a replay.

A change travels with whichever command comes next. At a replay branches may come in another order,
so that a command which is not sent takes a change along that nobody has heard of yet, or a change
comes up under another number. So changes are known by what they are; their numbers are given when
they are sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from praxis_core.journal.records import CommandRecord
from praxis_core.protocol.command import Command, DeckChange


class DeckTold:
    """The changes of one attempt's deck on their way to the devices' side.

    Args:
        records: What the journal knows of the run's commands.
        heard: Number of the last change that the devices' side has heard of.
    """

    def __init__(self, records: Iterable[CommandRecord], heard: int) -> None:
        known: dict[int, DeckChange] = {}
        self._again: dict[tuple[str, int], tuple[DeckChange, ...]] = {}
        for record in sorted(records, key=lambda one: one.number):
            for change in record.command.deck_changes:
                known.setdefault(change.number, change)
            if record.outcome is None:
                self._again[record.key] = record.command.deck_changes
        self._last = heard
        self._heard = Counter(_what(one) for one in known.values() if one.number <= heard)
        self._waiting: list[DeckChange] = []

    def take(self, changes: Iterable[DeckChange]) -> None:
        """Take up what a command carries, whether or not that is sent."""
        for change in changes:
            if self._heard[_what(change)] > 0:
                self._heard[_what(change)] -= 1
            else:
                self._waiting.append(change)

    def due(self, command: Command) -> tuple[DeckChange, ...]:
        """Give what is to be told with the command that is sent now.

        One that is sent again brings what it brought before: its old row may be set aside, and a
        change that no row has would be missing at the next replay.
        """
        before = self._again.get((command.branch, command.ordinal), ())
        first = self._last + 1
        due = tuple(replace(one, number=n) for n, one in enumerate(self._waiting, first))
        self._last += len(due)
        self._waiting.clear()
        return before + due


def _what(change: DeckChange) -> tuple[object, ...]:
    location = None if change.location is None else tuple(change.location)
    return change.resource, change.parent, location, tuple(change.rotation)
