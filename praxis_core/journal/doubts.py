"""Questions to a person: raised once, answered once, and what an answer changes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from praxis_core.errors import AnswerRefused, JournalError, NothingToAnswer
from praxis_core.journal import claims, rows
from praxis_core.journal.records import Doubt
from praxis_core.journal.statements import SET_STATUS
from praxis_core.journal.tables import CommandRow, DoubtRow, LearnedRow, RunRow
from praxis_core.protocol.lifecycle import Answer, DoubtSubject, RunStatus

_OPEN = DoubtRow.answered_at.is_(None)

_HAPPENED = text("""
    UPDATE praxis.command
      SET outcome = 'succeeded', started_at = issued_at,
          ended_at = greatest(issued_at, clock_timestamp()), value = 'null', error = NULL,
          attributes = '{}', sent = NULL, delivered = nextval('praxis.command_delivered')
      WHERE run_id = :run_id AND branch = :branch AND ordinal = :ordinal AND NOT tail
        AND (outcome IS NULL OR sent = 'unknown')
""")

_KNOWN = text("""
    SELECT outcome FROM praxis.command
      WHERE run_id = :run_id AND branch = :branch AND ordinal = :ordinal AND NOT tail
        AND outcome IS NOT NULL AND sent IS DISTINCT FROM 'unknown'
      FOR UPDATE
""")


async def raise_doubt(
    session: AsyncSession, run_id: UUID, values: dict[str, JsonValue]
) -> DoubtRow:
    """Ask, unless the same is asked already, and stop the run if it has not ended."""
    status = await _lock_run(session, run_id)
    await session.execute(
        insert(DoubtRow)
        .values(run_id=run_id, **values)
        .on_conflict_do_nothing(
            index_elements=["run_id", "subject", "branch", "ordinal"], index_where=_OPEN
        )
    )
    same = [getattr(DoubtRow, name) == values[name] for name in ("subject", "branch", "ordinal")]
    row = (
        await session.scalars(select(DoubtRow).where(DoubtRow.run_id == run_id, _OPEN, *same))
    ).one()
    if not status.ended and status is not RunStatus.IN_DOUBT:
        await _move(session, run_id, RunStatus.IN_DOUBT)
    return row


async def answer(
    session: AsyncSession, doubt_id: int, said: Answer, by: str, details: JsonValue
) -> DoubtRow:
    """Write an answer down, and do what it means.

    Raises:
        AnswerRefused: the answer is not among the choices.
        JournalError: there is no such question.
        NothingToAnswer: it was answered before.
    """
    run_id = await session.scalar(select(DoubtRow.run_id).where(DoubtRow.id == doubt_id))
    if run_id is None:
        raise JournalError(what=f"there is no question {doubt_id}")
    status = await _lock_run(session, run_id)
    row = (
        await session.scalars(select(DoubtRow).where(DoubtRow.id == doubt_id).with_for_update())
    ).one()
    asked = rows.doubt(row)
    if asked.answer is not None:
        raise NothingToAnswer(run_id=run_id, status=status.value)
    await _refuse_unless_possible(session, asked, said)
    await _close(session, [doubt_id], said, by, details)
    if said is Answer.ABORT:
        await _abort(session, run_id, status, by)
    else:
        await _take(session, asked, said, details)
    await session.refresh(row)
    return row


async def _refuse_unless_possible(session: AsyncSession, asked: Doubt, said: Answer) -> None:
    """Take only what was offered, and nothing that is known to be wrong by now.

    A command whose outcome came after the question was asked, from a host that was only slow, would
    happen twice if it were set aside.
    """
    what, choices = asked.what, list(asked.choices)
    if asked.subject is DoubtSubject.COMMAND and Answer.DID_NOT_HAPPEN in choices:
        values = {"run_id": asked.run_id, "branch": asked.branch, "ordinal": asked.ordinal}
        outcome = await session.scalar(_KNOWN, values)
        if outcome is not None:
            choices.remove(Answer.DID_NOT_HAPPEN)
            what = f"{what}; its outcome has come in since: it {outcome}"
    if said not in choices:
        possible = ", ".join(choices)
        raise AnswerRefused(answer=said.value, run_id=asked.run_id, what=what, choices=possible)


async def mark_tail(session: AsyncSession, run_id: UUID, number: int) -> Sequence[CommandRow]:
    """Set aside the commands of a run's last attempt from this number on."""
    attempt = select(RunRow.attempt).where(RunRow.id == run_id).scalar_subquery()
    marked = await session.scalars(
        update(CommandRow)
        .where(
            CommandRow.run_id == run_id,
            CommandRow.attempt == attempt,
            CommandRow.number >= number,
        )
        .values(tail=True)
        .returning(CommandRow.number)
    )
    query = select(CommandRow).where(
        CommandRow.run_id == run_id, CommandRow.number.in_(marked.all())
    )
    return (await session.scalars(query)).all()


async def set_aside(session: AsyncSession, run_id: UUID, branch: str, ordinal: int) -> None:
    """Let a command be as if it had never been asked for: it is done when it comes up again."""
    await session.execute(
        update(CommandRow)
        .where(
            CommandRow.run_id == run_id,
            CommandRow.branch == branch,
            CommandRow.ordinal == ordinal,
            ~CommandRow.tail,
        )
        .values(tail=True)
    )


async def _lock_run(session: AsyncSession, run_id: UUID) -> RunStatus:
    status = await session.scalar(
        select(RunRow.status).where(RunRow.id == run_id).with_for_update(key_share=True)
    )
    if status is None:
        raise JournalError(what=f"there is no run {run_id} to be in doubt about")
    return RunStatus(status)


async def _take(session: AsyncSession, asked: Doubt, said: Answer, details: JsonValue) -> None:
    """Change what the answer is about; the tail of an attempt is set aside already."""
    if asked.subject is DoubtSubject.COMMAND and said is Answer.HAPPENED:
        values = {"run_id": asked.run_id, "branch": asked.branch, "ordinal": asked.ordinal}
        await session.execute(_HAPPENED, values)
    elif asked.subject is DoubtSubject.COMMAND:
        await set_aside(session, asked.run_id, asked.branch, asked.ordinal)
    elif asked.subject is DoubtSubject.ONCE:
        begun = (
            (LearnedRow.run_id == asked.run_id)
            & (LearnedRow.branch == asked.branch)
            & (LearnedRow.ordinal == asked.ordinal)
            & LearnedRow.done_at.is_(None)
        )
        if said is Answer.HAPPENED:
            done = {"done_at": func.clock_timestamp(), "value": details}
            await session.execute(update(LearnedRow).where(begun).values(done))
        else:
            await session.execute(delete(LearnedRow).where(begun))


async def _abort(session: AsyncSession, run_id: UUID, status: RunStatus, by: str) -> None:
    """End the run if it has not ended, with all its questions and claims."""
    if not status.ended:
        await _move(session, run_id, RunStatus.CANCELLED)
    await claims.release(session, run_id)
    open_ones = await session.scalars(select(DoubtRow.id).where(DoubtRow.run_id == run_id, _OPEN))
    await _close(session, open_ones.all(), Answer.ABORT, by, None)


async def _close(
    session: AsyncSession, ids: Collection[int], said: Answer, by: str, details: JsonValue
) -> None:
    given = {
        "answer": said.value,
        "answered_by": by,
        "answered_at": func.clock_timestamp(),
        "answer_details": details,
    }
    await session.execute(update(DoubtRow).where(DoubtRow.id.in_(ids), _OPEN).values(given))


async def _move(session: AsyncSession, run_id: UUID, status: RunStatus) -> None:
    change = {
        "run_id": run_id,
        "attempt": None,
        "status": status.value,
        "ended": status.ended,
        "error": None,
    }
    await session.execute(SET_STATUS, change)
