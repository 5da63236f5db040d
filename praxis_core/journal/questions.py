"""What runs ask people, in Postgres: asked once, answered once, whoever is faster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from jsonschema import Draft202012Validator
from pydantic import JsonValue
from sqlalchemy import Select, func, select, update
from sqlalchemy.dialects.postgresql import insert

from praxis_core.errors import (
    AlreadyAnswered,
    AnswerRefused,
    JournalError,
    NothingToAnswer,
    RequestError,
)
from praxis_core.journal.database import Database
from praxis_core.journal.tables import QuestionRow, RunRow
from praxis_core.protocol.asking import Asked
from praxis_core.protocol.lifecycle import RunStatus

_WAITING = frozenset(RunStatus) - {RunStatus.SUCCEEDED, RunStatus.REFUSED}
"""Statuses of runs that may take an answer up, now or when they are resumed."""

LONGEST_NAME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a run asks, and the answer once there is one."""

    id: int
    run_id: UUID
    key: str
    """What asks, within its run."""
    title: str
    text: str
    """More about it, Markdown."""
    form: dict[str, JsonValue]
    """JSON schema of an answer."""
    asked_at: datetime
    answer: JsonValue
    answered_by: str | None
    """Who said to be so: nobody has signed in."""
    answered_at: datetime | None
    via: str | None

    @property
    def choices(self) -> tuple[str, ...]:
        """What may be answered in a word; nothing when it takes more than a word."""
        fields = self.form.get("properties")
        if not fields:
            return (YES,)
        only = next(iter(fields.values())) if isinstance(fields, dict) and len(fields) == 1 else {}
        offered = only.get("enum") if isinstance(only, dict) else None
        return tuple(map(str, offered)) if isinstance(offered, list) else ()


YES = "yes"
"""The word that confirms."""


class Questions:
    """What runs ask people; each method is one transaction.

    Any method raises ``ServiceUnreachable`` when Postgres does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ask(self, run_id: UUID, attempt: int, key: str, asked: Asked) -> Question:
        """Ask; what was asked under this key before stays, with its answer if there is one."""
        values = {"title": asked.title, "text": asked.text, "form": asked.form}
        number = func.nextval("praxis.doubt_id_seq")
        new = insert(QuestionRow).values(
            id=number, run_id=run_id, attempt=attempt, key=key, **values
        )
        async with self._database.session() as session, session.begin():
            await session.execute(new.on_conflict_do_nothing(index_elements=["run_id", "key"]))
            same = (QuestionRow.run_id == run_id, QuestionRow.key == key)
            return _question((await session.scalars(select(QuestionRow).where(*same))).one())

    async def read(self, number: int) -> Question:
        """Read a question.

        Raises:
            JournalError: there is none of this number.
        """
        async with self._database.session() as session:
            row = await session.get(QuestionRow, number)
        if row is None:
            raise JournalError(what=f"there is no question {number}")
        return _question(row)

    async def answer(self, number: int, answer: JsonValue, by: str, via: str) -> Question:
        """Write down what somebody says.

        Args:
            number: Of the question.
            answer: An object, as its form wants it.
            by: Who says so.
            via: How the answer comes: a word.

        Raises:
            AlreadyAnswered: somebody was faster.
            AnswerRefused: it is not as the form wants it.
            NothingToAnswer: the run needs no answer any more.
            RequestError: nobody's name is given.
        """
        if not 0 < len(by.strip()) <= LONGEST_NAME:
            what = f"say who answers, in 1 to {LONGEST_NAME} characters: --by NAME"
            raise RequestError(what=what)
        asked = await self.read(number)
        _refuse_unless_as_wanted(asked, answer)
        given = {
            "answer": answer,
            "answered_by": by.strip(),
            "answered_at": func.clock_timestamp(),
            "via": via,
        }
        unanswered = (QuestionRow.id == number, QuestionRow.answered_at.is_(None))
        async with self._database.session() as session, session.begin():
            status = await session.scalar(
                select(RunRow.status).where(RunRow.id == asked.run_id).with_for_update(read=True)
            )
            if status is None or RunStatus(status) not in _WAITING:
                raise NothingToAnswer(run_id=asked.run_id, status=status)
            done = await session.execute(
                update(QuestionRow).where(*unanswered).values(given).returning(QuestionRow.id)
            )
            first = done.first() is not None
        now = await self.read(number)
        if not first:
            raise AlreadyAnswered(
                question=number,
                run_id=now.run_id,
                by=now.answered_by,
                at=f"{now.answered_at:%Y-%m-%d %H:%M:%S} UTC",
                answer=now.answer,
            )
        return now

    async def of_run(self, run_id: UUID) -> Sequence[Question]:
        """List all that a run has asked, oldest first."""
        return await self._found(select(QuestionRow).where(QuestionRow.run_id == run_id))

    async def open(self, run_id: UUID | None = None) -> Sequence[Question]:
        """List what is not answered, oldest first.

        Args:
            run_id: Of this run; None: of all that still want to know.
        """
        runs = select(RunRow.id).where(RunRow.status.in_(_WAITING))
        if run_id is not None:
            runs = runs.where(RunRow.id == run_id)
        unanswered = QuestionRow.answered_at.is_(None)
        return await self._found(
            select(QuestionRow).where(unanswered, QuestionRow.run_id.in_(runs))
        )

    async def _found(self, query: Select[QuestionRow]) -> Sequence[Question]:
        async with self._database.session() as session:
            found = await session.scalars(query.order_by(QuestionRow.id))
            return [_question(row) for row in found]


def _refuse_unless_as_wanted(asked: Question, answer: JsonValue) -> None:
    faults = Draft202012Validator(asked.form).iter_errors(answer)
    fault = next(iter(sorted(faults, key=lambda fault: len(fault.path))), None)
    if fault is None:
        return
    where = fault.json_path.removeprefix("$").removeprefix(".")
    what = f"{where}: {fault.message}" if where else fault.message
    raise AnswerRefused(
        answer=answer, run_id=asked.run_id, what=f"{asked.title!r}: {what}", choices=wanted(asked)
    )


def wanted(asked: Question) -> str:
    """Say what an answer looks like, for people."""
    if asked.choices:
        return ", ".join(asked.choices)
    fields = asked.form.get("properties")
    names = [str(name) for name in fields] if isinstance(fields, dict) else []
    return "{" + ", ".join(f'"{name}": ...' for name in names) + "}"


def _question(row: QuestionRow) -> Question:
    form = row.form if isinstance(row.form, dict) else {}
    names = ("id", "run_id", "key", "title", "text", "asked_at")
    answered = ("answer", "answered_by", "answered_at", "via")
    return Question(form=form, **{name: getattr(row, name) for name in (*names, *answered)})
