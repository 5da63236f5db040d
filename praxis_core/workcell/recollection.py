"""What runs did before, known again from the journal."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from praxis_core.journal.records import CommandRecord, Doubt
from praxis_core.protocol.command import DeckChange
from praxis_core.workcell.attending import AttendedRun
from praxis_core.workcell.knowledge import losses, partly_done, undone
from praxis_core.workcell.workplace import Workplace


@dataclass(frozen=True, slots=True)
class Recollection:
    """Knows again what runs did, of which the catalogue does not tell."""

    place: Workplace

    def recall(self, records: Iterable[CommandRecord], doubts: Iterable[Doubt]) -> None:
        """Know again how far runs are, and what is under way of which the catalogue was not told.

        Args:
            records: What counts of what they did.
            doubts: What was asked about them: also what set-up destroyed between two commands stays
                destroyed.
        """
        by_run: defaultdict[UUID, list[CommandRecord]] = defaultdict(list)
        lost = deque(losses(doubts))
        for record in records:
            while lost and lost[0][0] < record.number:
                self.place.devices.forget_tips(lost.popleft()[1])
            by_run[record.command.run_id].append(record)
            self._recall_on_device(record)
        for _, device in lost:
            self.place.devices.forget_tips(device)
        for run_id, own in by_run.items():
            self._recall_run(run_id, own)

    def _recall_on_device(self, record: CommandRecord) -> None:
        device = self.place.devices.get(record.command.device)
        if device is not None:
            device.recall(record.command)
            if record.outcome is not None and self.place.inside:
                device.replay(record.command, record.outcome)

    def _recall_run(self, run_id: UUID, records: Sequence[CommandRecord]) -> None:
        told = self.place.books.assets.in_doubt(run_id)
        begun = [one for one in records if one.outcome is None and one.key not in told]
        rest = [one for one in records if one.outcome is not None or one.key in told]
        last = max((one.number for one in _deck_changes(rest)), default=0)
        fresh = [one for one in _deck_changes(begun) if one.number > last]
        deck = self.place.books.recall_deck(_deck_changes(records), fresh)
        run = self.place.runs.find(run_id)
        if run is not None:
            run.deck = deck
            run.written.update(one.key for one in records)
        for record in begun:
            if record.command.device in self.place.devices:
                self.place.books.doubted(record.command)

    def recall_settings(self, records: Iterable[CommandRecord]) -> None:
        """Note what runs set, also what was set aside since: it is set all the same."""
        for record in records:
            if record.outcome is not None and record.command.device in self.place.devices:
                self.place.safekeeping.recall(record.command, record.outcome)

    async def undo(
        self, run: AttendedRun, commands: Iterable[CommandRecord], doubts: Iterable[Doubt]
    ) -> None:
        """Know that somebody has put back what the ends of some attempts had done."""
        own = [one for one in commands if one.command.run_id == run.run_id]
        for number in undone(own, [one for one in doubts if one.run_id == run.run_id]):
            await self.place.books.undo(run.run_id, number)

    def enter_answers(
        self,
        run: AttendedRun,
        recorded: Iterable[CommandRecord],
        commands: Sequence[CommandRecord],
        doubts: Iterable[Doubt],
    ) -> None:
        """Enter what was found out about commands that are in doubt.

        Args:
            run: Their run.
            recorded: What counts of what it did.
            commands: All that it did.
            doubts: All that was asked about it.
        """
        parts = {(one.command.attempt, *one.key): one for one in partly_done(commands, doubts)}
        stands = {one.key: one for one in recorded}
        latest = {one.key: one for one in commands}
        for key in self.place.books.assets.in_doubt(run.run_id) & latest.keys():
            record = stands.get(key)
            if record is not None and record.outcome is None:
                continue  # nobody has answered yet
            known = latest[key]
            part = parts.get((known.command.attempt, *key)) if known.tail else None
            answered = part or record
            self.place.books.settled(
                known.command if part is None else part.command,
                None if answered is None else answered.outcome,
            )


def _deck_changes(records: Iterable[CommandRecord]) -> list[DeckChange]:
    return [change for record in records for change in record.command.deck_changes]
