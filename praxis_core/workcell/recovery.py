"""How a host goes on where the one before it ended, and a run where it stopped."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from praxis_core.errors import JournalError
from praxis_core.journal.record import Journal
from praxis_core.journal.records import CommandRecord
from praxis_core.workcell.adoption import Losses
from praxis_core.workcell.attending import AttendedRun
from praxis_core.workcell.deck_changes import DeckFollower
from praxis_core.workcell.exactly_once import ExactlyOnce
from praxis_core.workcell.knowledge import happened, partly_done
from praxis_core.workcell.link import Ended
from praxis_core.workcell.recollection import Recollection
from praxis_core.workcell.workplace import Workplace

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recovery:
    """Learns what is true from the journal, the devices, and what runs were told."""

    place: Workplace
    journal: Journal
    exactly_once: ExactlyOnce
    """Finds out what commands did."""
    losses: Losses
    """Enters what devices lost when they were set up."""
    recollection: Recollection

    async def recover(self, awaited: Collection[UUID]) -> None:
        """Know what an earlier host knew; see ``WorkcellRuntime.recover``."""
        await self._recall_runs()
        records = await self.journal.commands_of_unfinished(self.place.definition.name)
        doubts = [one for run in self.place.runs for one in await self.journal.doubts(run.run_id)]
        attempts = {run.run_id: run.attempt for run in self.place.runs}
        for run in self.place.runs:
            await self.recollection.undo(run, records, doubts)
        await self.place.books.take_stock()
        told = [*happened(records, attempts, doubts), *partly_done(records, doubts)]
        self.recollection.recall(sorted(told, key=_number), doubts)
        self.recollection.recall_settings(records)
        for run in self.place.runs:
            await self.recall_doubt(run)
        await self._settle_all(one for one in records if one.command.run_id not in awaited)
        await self.losses.after_recovery()

    async def _recall_runs(self) -> None:
        for claim in await self.journal.claims(self.place.definition.name):
            run = self.place.runs.find(claim.run_id)
            if run is None:
                run = AttendedRun(
                    claim.run_id, claim.attempt, DeckFollower(), claim.token, recalled=True
                )
                self.place.runs.add(run)
            (run.devices if claim.asset in self.place.devices else run.labware).add(claim.asset)

    async def settle_rest(self, run: AttendedRun) -> None:
        """Find out what a run did on an earlier host, while its devices are as it left them.

        For whoever knew how its last commands ended does not come, or has told it.
        """
        run.recalled = False
        await self._settle_all(await self.journal.recorded(run.run_id))

    async def _settle_all(self, records: Iterable[CommandRecord]) -> None:
        for record in records:
            if record.outcome is not None or record.tail:
                continue
            run = self.place.runs.find(record.command.run_id)
            device = self.place.devices.get(record.command.device)
            if run is not None and device is not None and device.connected:
                await self.exactly_once.settle(run, device, record)

    async def be_told(self, run: AttendedRun, known: Iterable[Ended]) -> None:
        """Take up how commands ended that an earlier host did not live to write down."""
        if run.doubt is not None:
            return  # a person looks at what there is
        for each in known:
            try:
                command = await self.exactly_once.told(run, each)
            except JournalError as error:
                _log.warning("not taken from run %s: %s", run.run_id, error)
                continue
            if command is not None:
                self.place.safekeeping.recall(command, each.outcome)

    async def go_on(self, run: AttendedRun, recorded: Sequence[CommandRecord]) -> None:
        """Know what is there for a run that goes on, and what people have said since it stopped.

        Args:
            run: The run.
            recorded: What counts of what it did.
        """
        doubts = await self.journal.doubts(run.run_id)
        commands = await self.journal.commands(run.run_id)
        await self.recollection.undo(run, commands, doubts)
        await self.place.books.look_round()
        await self.place.books.take_stock(_names(run, recorded))
        for device in run.devices:
            self.place.devices.forget_tips(device)
        told = sorted([*recorded, *partly_done(commands, doubts)], key=_number)
        self.recollection.recall(told, doubts)
        self.recollection.enter_answers(run, recorded, commands, doubts)
        self.recollection.recall_settings(recorded)
        await self.recall_doubt(run)

    async def recall_doubt(self, run: AttendedRun) -> None:
        """Know which questions about a run nobody has answered."""
        questions = await self.journal.open_doubts(run.run_id)
        run.doubt = "; ".join(question.what for question in questions) or None


def _number(record: CommandRecord) -> int:
    return record.number


def _names(run: AttendedRun, recorded: Iterable[CommandRecord]) -> list[str]:
    """Name what a run has for itself, with what it brought."""
    brought = {
        change.resource
        for record in recorded
        for change in record.command.deck_changes
        if change.definition is not None
    }
    return sorted(run.devices | run.labware | brought)
