"""What the page of a workcell shows, read in small pieces that may fail one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import JsonValue
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import Uuid, bindparam, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from praxis_core.assets.description import describe
from praxis_core.errors import HostNotRunning, PraxisError
from praxis_core.execution.doubt_told import text_of
from praxis_core.host.asking import ask_host
from praxis_core.journal import rows
from praxis_core.journal.control import Control
from praxis_core.journal.questions import Question, Questions
from praxis_core.journal.record import Journal
from praxis_core.journal.records import Claim, CommandRecord, Doubt, RunRecord
from praxis_core.journal.tables import (
    AttemptRow,
    ClaimRow,
    CommandRow,
    DoubtRow,
    QuestionRow,
    RunRow,
    StepRow,
    WorkcellRow,
)
from praxis_core.locks.asset_lock_manager import AssetLockManager
from praxis_core.locks.lease import WaitState
from praxis_core.page.deck import DeckPicture
from praxis_core.protocol.command import Command
from praxis_core.protocol.lifecycle import RunStatus, StepStatus
from praxis_core.settings import PraxisSettings

Sections = dict[str, JsonValue]
"""What is shown, by the part of the page that shows it."""

ReadDeck = Callable[[Sequence[Command]], Awaitable[JsonValue]]

HOST_SECONDS = 1.0
"""How long the host may take to say how it is."""
READ_SECONDS = 5.0
"""How long one part may take to be read."""

TEXT_SECONDS = 0.5
"""How long a read waits for what helps to answer a doubt; to draw its picture takes longer."""

MOST_RUNS = 10
MOST_COMMANDS = 14
MOST_ASKED = 20
_RUNS_SEARCHED = 100
"""Newest runs, of any workcell, among which those of this one are looked for."""
_LONGEST_ERROR = 300

_WAITS = {
    WaitState.LEASED: "held by",
    WaitState.RESERVED: "kept for",
    WaitState.ASKED_BEFORE: "asked for before by",
}

_LAST_COMMANDS = text("""
    WITH RECURSIVE found AS (
      (SELECT branch FROM praxis.command WHERE run_id = :run AND NOT tail ORDER BY branch LIMIT 1)
      UNION ALL
      SELECT (SELECT c.branch FROM praxis.command c
              WHERE c.run_id = :run AND NOT c.tail AND c.branch > found.branch
              ORDER BY c.branch LIMIT 1)
      FROM found WHERE found.branch IS NOT NULL
    )
    SELECT last.attempt, last.branch, last.ordinal FROM found CROSS JOIN LATERAL (
      SELECT c.attempt, c.branch, c.ordinal, c.number FROM praxis.command c
      WHERE c.run_id = :run AND NOT c.tail AND c.branch = found.branch
      ORDER BY c.ordinal DESC LIMIT :most) last
    ORDER BY last.number DESC LIMIT :most
""").bindparams(bindparam("run", type_=Uuid()))
"""The newest of each branch by their index: a run may have any number of commands."""


class Reader:
    """Reads how a workcell stands; one read at a time.

    Args:
        settings: Where its host answers.
        workcell: Its name.
        journal: What happened.
        redis: Who waits.
        read_deck: Reads the deck, given the commands under way; None: with a picture.
    """

    def __init__(
        self,
        settings: PraxisSettings,
        workcell: str,
        journal: Journal,
        redis: Redis,
        read_deck: ReadDeck | None = None,
    ) -> None:
        self._settings = settings
        self._workcell = workcell
        self._journal = journal
        self._control = Control(journal.database)
        self._questions = Questions(journal.database)
        self._locks = AssetLockManager(redis, journal=journal)
        self._last: Sections = {}
        self._texts: dict[int, asyncio.Task[str]] = {}
        self.deck = DeckPicture(workcell, journal)
        self._read_deck = read_deck or self.deck.read

    async def read(self) -> Sections:
        """Read all there is to see; what cannot be read stays as it was, as ``trouble`` says."""
        trouble: list[str] = []
        host = await self._host()
        last = await _part(trouble, "runs and commands", self._runs)
        runs, commands = last or ([], [])
        found: Sections = {"host": host["health"]}
        found["devices"] = await _part(
            trouble, "devices", lambda: self._devices(host["status"], commands)
        )
        if last is not None:
            found["runs"] = await _part(trouble, "runs", lambda: self._told(runs))
            found["commands"] = [told_command(one) for one in commands[:MOST_COMMANDS]]
        found["waits"] = await _part(trouble, "who waits", self._waits)
        found["questions"] = await _part(trouble, "questions", self._asked)
        found["standing"] = await _part(trouble, "how it stands", self._standing)
        under_way = [one.command for one in commands if one.outcome is None]
        found["deck"] = await _part(trouble, "the deck", lambda: self._read_deck(under_way))
        for name, part in found.items():
            if part is not None:
                self._last[name] = part
        self._last["trouble"] = [*dict.fromkeys(trouble)]
        return dict(self._last)

    async def _host(self) -> dict[str, Any]:
        """Ask the host itself; it answers from memory."""

        def ask() -> dict[str, Any]:
            words = (self._settings, self._workcell)
            health = ask_host(*words, "/health", seconds=HOST_SECONDS)
            shown = ("epoch", "pid", "stopped", "watched", "ending")
            return {
                "health": {"answers": True, **{one: health.get(one) for one in shown}},
                "status": ask_host(*words, "/status", seconds=HOST_SECONDS),
            }

        try:
            return await asyncio.to_thread(ask)
        except HostNotRunning:
            return {"health": {"answers": False}, "status": None}
        except PraxisError as error:
            return {"health": {"answers": False, "error": str(error)}, "status": None}

    async def _devices(
        self, status: Mapping[str, Any] | None, commands: Sequence[CommandRecord]
    ) -> JsonValue:
        stored = await self._journal.workcell(self._workcell)
        devices = stored.definition.get("devices")
        known: Mapping[str, Any] = devices if isinstance(devices, dict) else {}
        doing = {
            one.command.device: describe(one.command)
            for one in reversed(commands)
            if one.outcome is None
        }
        return [
            {
                "name": name,
                "class": str(device.get("frontend", "")).rpartition(":")[2],
                **_live(name, status, doing, has_deck="deck" in device),
            }
            for name, device in known.items()
        ]

    async def _runs(self) -> tuple[list[RunRecord], list[CommandRecord]]:
        newest = select(RunRow.id).order_by(RunRow.created_at.desc()).limit(_RUNS_SEARCHED)
        having = select(ClaimRow.run_id).where(
            ClaimRow.workcell == self._workcell, ClaimRow.released_at.is_(None)
        )
        query = (
            rows.RUNS.where(
                WorkcellRow.name == self._workcell, RunRow.id.in_(newest) | RunRow.id.in_(having)
            )
            .order_by(RunRow.ended_at.is_not(None), RunRow.created_at.desc())
            .limit(MOST_RUNS)
        )
        async with self._journal.database.session() as session:
            runs = [rows.run(*found) for found in await session.execute(query)]
            at_work = [one for one in runs if not one.status.ended] or runs[:1]
            commands = [
                command for run in at_work for command in await last_commands(session, run.run_id)
            ]
        return runs, sorted(commands, key=lambda one: -one.number)

    async def _told(self, runs: Sequence[RunRecord]) -> JsonValue:
        claims = await self._journal.claims(self._workcell)
        at_work = [one.run_id for one in runs if not one.status.ended]
        steps = select(StepRow.run_id, StepRow.name).where(
            StepRow.run_id.in_(at_work), StepRow.status == StepStatus.RUNNING
        )
        async with self._journal.database.session() as session:
            running = [(run, name) for run, name in await session.execute(steps)]
        paused = {run: await self._control.pause_of(run) for run in at_work}
        return [
            _run(
                one,
                [claim for claim in claims if claim.run_id == one.run_id],
                [name for run, name in running if run == one.run_id],
                paused.get(one.run_id),
            )
            for one in runs
        ]

    async def _waits(self) -> JsonValue:
        here = f"{self._workcell}/"
        by_whom: dict[tuple[str, str, WaitState], list[str]] = {}
        for one in await self._locks.waiting():
            if one.asset.startswith(here):
                key = one.holder, one.held_by, one.state
                by_whom.setdefault(key, []).append(one.asset.removeprefix(here))
        found: list[JsonValue] = [
            {"who": who, "for": f"{', '.join(assets)}, {_WAITS[state]} {other}"}
            for (who, other, state), assets in by_whom.items()
        ]
        standing = await self._control.standing(self._workcell)
        if not standing.is_open:
            found += [
                {"who": f"run {one}", "for": str(standing)}
                for one in await self._control.waiting(self._workcell)
            ]
        return found

    async def _standing(self) -> JsonValue:
        found = await self._control.standing(self._workcell)
        return {"standing": found.standing.value, "open": found.is_open, "told": str(found)}

    async def _asked(self) -> JsonValue:
        doubts = select(DoubtRow.run_id).where(DoubtRow.answered_at.is_(None))
        asked = select(QuestionRow.run_id).where(QuestionRow.answered_at.is_(None))
        query = (
            select(RunRow.id, RunRow.name)
            .join(
                AttemptRow, (AttemptRow.run_id == RunRow.id) & (AttemptRow.number == RunRow.attempt)
            )
            .join(WorkcellRow, WorkcellRow.id == AttemptRow.workcell_id)
            .where(
                WorkcellRow.name == self._workcell,
                RunRow.ended_at.is_(None),
                RunRow.id.in_(doubts) | RunRow.id.in_(asked),
            )
            .order_by(RunRow.created_at.desc())
            .limit(MOST_ASKED)
        )
        async with self._journal.database.session() as session:
            runs = (await session.execute(query)).all()
        found: list[JsonValue] = []
        for run_id, name in runs:
            found += await self._doubts(run_id, name)
            found += [_question(one, name) for one in await self._questions.open(run_id)]
        return found[:MOST_ASKED]

    async def _doubts(self, run_id: UUID, run: str) -> list[JsonValue]:
        """Tell what nobody knows, with what was sent: that is gathered and drawn once for each."""
        found: list[JsonValue] = []
        logs = self._settings.home_path / "logs"
        for one in await self._journal.open_doubts(run_id):
            if one.id not in self._texts:
                text = text_of(self._journal, one, logs)
                self._texts[one.id] = asyncio.create_task(text)
            told = self._texts[one.id]
            if (await asyncio.wait({told}, timeout=TEXT_SECONDS))[0]:
                text_told = "" if told.exception() is not None else told.result()
                found.append(_doubt(one, run, text_told))
        return found


async def _part(trouble: list[str], name: str, read: Callable[[], Awaitable[Any]]) -> Any:
    """Read a part; None: it cannot be read now."""
    try:
        async with asyncio.timeout(READ_SECONDS):
            return await read()
    except TimeoutError:
        trouble.append(f"{name}: no answer in {READ_SECONDS:g} s")
    except RedisError as error:
        trouble.append(f"{name}: Redis does not answer: {error}")
    except PraxisError as error:
        trouble.append(f"{name}: {error}")
    return None


async def last_commands(session: AsyncSession, run_id: UUID) -> list[CommandRecord]:
    """Read the newest commands of a run, in no order."""
    found = await session.execute(_LAST_COMMANDS, {"run": run_id, "most": MOST_COMMANDS})
    keys = [(attempt, branch, ordinal) for attempt, branch, ordinal in found]
    if not keys:
        return []
    mine = tuple_(CommandRow.attempt, CommandRow.branch, CommandRow.ordinal).in_(keys)
    query = select(CommandRow).where(CommandRow.run_id == run_id, mine)
    return [rows.command(row) for row in await session.scalars(query)]


def _live(
    name: str, status: Mapping[str, Any] | None, doing: Mapping[str, str], *, has_deck: bool
) -> dict[str, Any]:
    if status is None:
        return {"state": "unknown"}
    live = status.get(name)
    if live is None:
        return {"state": "not in use"}
    busy = live["state"] == "busy"
    return {
        "state": live["state"],
        "since": live["since"],
        "doing": (doing.get(name) or live["doing"]) if busy else None,
        "error": live["error"],
        "gripper": live["gripper"],
        "holds": [] if has_deck else [*live["holds"]],  # the picture shows the deck
    }


def _run(
    run: RunRecord, claims: Sequence[Claim], steps: Sequence[str], paused: object | None
) -> dict[str, JsonValue]:
    return {
        "id": str(run.run_id),
        "name": run.name,
        "protocol": run.protocol,
        "status": run.status.value.replace("_", " "),
        "ended": run.status.ended,
        "attempt": run.attempt,
        "by": run.asked_by,
        "water": run.water,
        "by_hand": run.by_hand,
        "started": _time(run.started_at),
        "ended_at": _time(run.ended_at),
        "parked_until": _time(run.parked_until) if run.status is RunStatus.PARKED else None,
        "steps": [*steps],
        "has": [claim.asset for claim in claims],
        "paused": None if paused is None else f"paused {paused}",
        "error": _error(run.error),
    }


def told_command(record: CommandRecord) -> dict[str, JsonValue]:
    """Tell a command and what came of it."""
    outcome = record.outcome
    return {
        "number": record.number,
        "run": str(record.command.run_id),
        "told": describe(record.command),
        "at": _time(record.issued_at),
        "outcome": None if outcome is None else outcome.status.value,
        "seconds": None
        if outcome is None
        else round((outcome.ended_at - outcome.started_at).total_seconds(), 3),
        "error": None if outcome is None else _error(outcome.error),
    }


def _question(asked: Question, run: str) -> dict[str, JsonValue]:
    return {
        "kind": "question",
        "id": asked.id,
        "run": str(asked.run_id),
        "run_name": run,
        "title": asked.title,
        "text": asked.text,
        "form": asked.form,
        "since": _time(asked.asked_at),
    }


def _doubt(doubt: Doubt, run: str, text: str) -> dict[str, JsonValue]:
    return {
        "kind": "doubt",
        "id": doubt.id,
        "run": str(doubt.run_id),
        "run_name": run,
        "title": doubt.what,
        "text": text.partition("\n\n")[2],  # the question comes first there
        "choices": [one.value for one in doubt.choices],
        "since": _time(doubt.raised_at),
    }


def _error(error: object) -> str | None:
    if error is None:
        return None
    told = error if isinstance(error, Mapping) else _plain(error)
    return str(told.get("message") or told.get("what") or told)[:_LONGEST_ERROR]


def _plain(error: object) -> Mapping[str, Any]:
    try:
        return asdict(error)  # type: ignore[call-overload, no-any-return]
    except TypeError:
        return {"message": str(error)}


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
