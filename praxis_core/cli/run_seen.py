"""What whoever watches a run sees of it, read again and again."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from praxis_core.assets.shortages import Shortages
from praxis_core.cli.deck_grid import DeckInWords
from praxis_core.cli.result import TOLD, words_of_doubt, words_of_question
from praxis_core.cli.waiting import status_words, waits_for
from praxis_core.execution.advance import Outlook
from praxis_core.execution.page import Advance
from praxis_core.journal import rows
from praxis_core.journal.control import Control
from praxis_core.journal.questions import Questions
from praxis_core.journal.record import Journal
from praxis_core.journal.records import CommandRecord, EventRecord, RunRecord, StepRecord
from praxis_core.journal.tables import CommandRow, EventRow, MeasurementRow
from praxis_core.page.reading import Sections, last_commands, told_command
from praxis_core.protocol.lifecycle import RunStatus, StepStatus
from praxis_core.settings import PraxisSettings

MOST_COMMANDS = 200
"""That are remembered; more than between two looks."""
MOST_MEASURED = 12
_LATE = 20
"""By how many numbers a row may become visible after one of a greater number."""

_PICTURE = re.compile(r"!\[[^]]*\]\(data:[^)]*\)")


class RunReader:
    """Reads how a run stands.

    Args:
        settings: Where the host of its workcell answers.
        run_id: The run.
        journal: What happened.
    """

    def __init__(self, settings: PraxisSettings, run_id: UUID, journal: Journal) -> None:
        self._settings = settings
        self._run_id = run_id
        self._journal = journal
        self._deck: DeckInWords | None = None
        self._commands: dict[int, CommandRecord] = {}
        self._events: dict[int, EventRecord] = {}
        self._begun, self._begun_at = 0, monotonic()

    async def read(self) -> Sections:
        """Read all there is to see.

        Raises:
            RunNotFound: there is no such run.
            ServiceUnreachable: Postgres does not answer.
        """
        run = await self._journal.run(self._run_id)
        mine = [
            one for one in await self._journal.steps(self._run_id) if one.attempt == run.attempt
        ]
        async with self._journal.database.session() as session:
            await self._take_commands(session)
            await self._take_events(session)
            begun, done = await self._counted(session)
            measured = await self._measured(session)
        newest = [self._commands[number] for number in sorted(self._commands)]
        return {
            "run": _run(run),
            "progress": self._progress(mine, begun, done, ended=run.status.ended),
            "steps": [_step(one) for one in mine],
            "commands": [told_command(one) for one in newest],
            "measurements": measured,
            "events": [
                {"id": one.id, "at": one.at.isoformat(), "kind": one.kind, "told": one.message}
                for one in self._events.values()
                if one.kind in TOLD
            ],
            "questions": [] if run.status.ended else await asked(self._journal, self._run_id),
            "waits": await self._waits(run),
            **await self._deck_of(run, newest),
        }

    async def _take_commands(self, session: AsyncSession) -> None:
        """Read what has begun or ended since the last look."""
        if not self._commands:
            found = await last_commands(session, self._run_id)
        else:
            under_way = [n for n, one in self._commands.items() if one.outcome is None]
            after = min([max(self._commands) - _LATE, *(number - 1 for number in under_way)])
            query = select(CommandRow).where(
                CommandRow.run_id == self._run_id, CommandRow.number > after
            )
            found = [rows.command(row) for row in await session.scalars(query)]
        first = min(self._commands, default=0)
        self._commands |= {one.number: one for one in found if one.number >= first}
        for number in sorted(self._commands)[:-MOST_COMMANDS]:
            del self._commands[number]

    async def _take_events(self, session: AsyncSession) -> None:
        after = max(self._events, default=_LATE) - _LATE
        query = select(EventRow).where(EventRow.run_id == self._run_id, EventRow.id > after)
        found = [rows.event(row) for row in await session.scalars(query.order_by(EventRow.id))]
        self._events |= {one.id: one for one in found}

    async def _counted(self, session: AsyncSession) -> tuple[int, int]:
        """Count the commands that count: begun, and with an outcome."""
        query = select(func.count(), func.count(CommandRow.outcome)).where(
            CommandRow.run_id == self._run_id, ~CommandRow.tail
        )
        begun, done = (await session.execute(query)).one()
        return begun, done

    async def _measured(self, session: AsyncSession) -> list[JsonValue]:
        """Tell the newest measurements: all that one command read, or that is called the same."""
        row = MeasurementRow
        of = (row.attempt, row.branch, row.ordinal, row.asset, row.quantity, row.unit)
        figures = (func.count(), func.min(row.value), func.max(row.value), func.max(row.at))
        newest = func.max(row.id)
        query = (
            select(*of, *figures)
            .where(row.run_id == self._run_id)
            .group_by(*of)
            .order_by(newest.desc())
            .limit(MOST_MEASURED)
        )
        found: list[JsonValue] = []
        for attempt, branch, ordinal, *told in await session.execute(query):
            asset, quantity, unit, count, low, high, at = told
            found.append(
                {
                    "id": f"{attempt}/{branch}/{ordinal}/{asset}/{quantity}",
                    "asset": asset,
                    "quantity": quantity,
                    "unit": unit,
                    "count": count,
                    "least": low,
                    "most": high,
                    "at": at.isoformat(),
                }
            )
        return found[::-1]

    def _progress(
        self, steps: Sequence[StepRecord], begun: int, done: int, *, ended: bool
    ) -> JsonValue:
        """Tell how far it is, as its page in Prefect does."""
        if begun != self._begun:
            self._begun, self._begun_at = begun, monotonic()
        since = monotonic() - self._begun_at
        outlook = Outlook.among([*self._events.values()])
        running = [one.name for one in steps if one.status is StepStatus.RUNNING]
        advance = Advance(
            step=running[-1] if running else "",
            steps=len(steps),
            commands=done,
            of_steps=None if outlook is None else outlook.steps,
            of_commands=None if outlook is None else outlook.commands,
            certain=outlook is not None and outlook.certain,
            seconds_left=None if outlook is None or ended else outlook.seconds_left(begun, since),
        )
        return {
            "told": str(advance),
            "step": advance.step,
            "steps": advance.steps,
            "of_steps": advance.of_steps,
            "commands": advance.commands,
            "of_commands": advance.of_commands,
            "certain": advance.certain,
            "share": advance.share,
            "seconds_left": None if advance.seconds_left is None else round(advance.seconds_left),
        }

    async def _waits(self, run: RunRecord) -> list[JsonValue]:
        """Say what has to come before it goes on, and what to type for that."""
        if run.status.ended:
            return []
        found: list[JsonValue] = []
        if run.status is RunStatus.PREPARING:
            waits = [one.message for one in self._events.values() if one.kind == "waiting"]
            found += [f"{waits[-1]} What to do: praxis why {run.run_id}"] if waits else []
        if run.status is RunStatus.INTERRUPTED:
            found.append(f"Go on from where it was: praxis run resume {run.run_id}")
        control = Control(self._journal.database)
        shortage = await Shortages(self._journal.database).of(run.run_id)
        found += [] if shortage is None else [shortage.message]
        paused = await control.pause_of(run.run_id)
        if paused is not None:
            found.append(f"Paused {paused}. Let it go on: praxis run go-on {run.run_id}")
        standing = await control.standing(run.workcell)
        if not standing.is_open:
            found.append(f"{standing}. To use it again: {standing.mend}")
        other = await asyncio.to_thread(waits_for, self._settings, run, None)
        return found if other is None or found else [other]

    async def _deck_of(
        self, run: RunRecord, newest: Sequence[CommandRecord]
    ) -> Mapping[str, JsonValue]:
        if self._deck is None:
            self._deck = DeckInWords(run.workcell, self._journal)
        under_way = [one.command for one in newest if one.outcome is None]
        told = await self._deck.read(under_way or [one.command for one in newest[-1:]])
        return told if isinstance(told, dict) else {}


async def asked(journal: Journal, run_id: UUID) -> list[JsonValue]:
    """Tell what a run waits for an answer to, and what to type as an answer."""
    doubts = await journal.open_doubts(run_id)
    questions = await Questions(journal.database).open(run_id)
    named = len(doubts) + len(questions) > 1
    found: list[dict[str, Any]] = [
        {
            "id": one.id,
            "run": str(run_id),
            "title": one.what,
            "text": "",
            "answers": [*words_of_doubt(run_id, one, named=named).values()],
        }
        for one in doubts
    ]
    found += [
        {
            "id": one.id,
            "run": str(run_id),
            "title": one.title,
            "text": _PICTURE.sub("(a picture is on its page)", one.text),
            "answers": words_of_question(one, named=named),
        }
        for one in questions
    ]
    return [*found]


def _run(run: RunRecord) -> dict[str, JsonValue]:
    error = run.error if isinstance(run.error, dict) else {}
    return {
        "id": str(run.run_id),
        "protocol": run.protocol or run.name,
        "workcell": run.workcell,
        "status": run.status.value,
        "told": status_words(run),
        "ended": run.status.ended,
        "attempt": run.attempt,
        "water": run.water,
        "error": error.get("message") or error.get("type"),
    }


def _step(step: StepRecord) -> dict[str, JsonValue]:
    return {
        "attempt": step.attempt,
        "path": step.path,
        "name": step.name,
        "status": step.status.value,
    }
