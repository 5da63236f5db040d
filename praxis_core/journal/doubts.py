"""Questions to a person: raised once, answered once, and what an answer changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import JSON, bindparam, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from praxis_core.errors import AnswerRefused, JournalError, NothingToAnswer, RequestError
from praxis_core.journal import claims, rows
from praxis_core.journal.records import Doubt
from praxis_core.journal.statements import SET_STATUS
from praxis_core.journal.tables import CommandRow, DoubtRow, EventRow, LearnedRow, RunRow
from praxis_core.protocol.lifecycle import Answer, DoubtSubject, RunStatus

CHANNELS = "channels"
"""Under this key of a question's details stand the channels of its command, and under the same key
of the answer's those on which it happened."""
FAILURE = "failure"
"""Under this key of a question's details stands with what its command failed."""
NOTE = "note"
"""Under this key of an answer's details stands what a person says besides."""
LEFT_OUT = "command_left_out"
"""Kind of the event that says which command is not sent, and what the protocol is told of it."""

_OPEN = DoubtRow.answered_at.is_(None)

_HAPPENED = text("""
    UPDATE praxis.command
      SET outcome = 'succeeded', started_at = issued_at,
          ended_at = greatest(issued_at, clock_timestamp()), value = 'null', error = NULL,
          attributes = '{}', sent = NULL, delivered = nextval('praxis.command_delivered')
      WHERE run_id = :run_id AND branch = :branch AND ordinal = :ordinal AND NOT tail
        AND (outcome IS NULL OR sent = 'unknown')
""")

_FAILED = text("""
    UPDATE praxis.command
      SET outcome = 'failed', started_at = issued_at,
          ended_at = greatest(issued_at, clock_timestamp()), value = 'null', error = :error,
          attributes = '{}', sent = :sent, delivered = nextval('praxis.command_delivered')
      WHERE run_id = :run_id AND branch = :branch AND ordinal = :ordinal AND NOT tail
        AND outcome IS NULL
""").bindparams(bindparam("error", type_=JSON()))

_NUMBER = text("""
    SELECT count(*) FROM praxis.command c JOIN praxis.command asked USING (run_id)
      WHERE c.run_id = :run_id AND NOT c.tail AND c.branch NOT LIKE 'r%' AND NOT asked.tail
        AND asked.branch = :branch AND asked.ordinal = :ordinal AND c.number <= asked.number
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
    details = _details(asked, said, details)
    await _close(session, [doubt_id], said, by, details)
    if said is Answer.ABORT:
        await _abort(session, run_id, status, by)
    else:
        await _take(session, asked, said, by, details)
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


def channels_of(details: JsonValue) -> list[int]:
    """Read channels from the details of a question, or of an answer."""
    found = details.get(CHANNELS) if isinstance(details, dict) else None
    return [one for one in found if isinstance(one, int)] if isinstance(found, list) else []


def _details(asked: Doubt, said: Answer, details: JsonValue) -> JsonValue:
    """See that what goes with an answer says what it has to.

    Raises:
        RequestError: it does not.
    """
    if said is not Answer.PARTLY:
        return details
    used, happened = channels_of(asked.details), channels_of(details)
    if not happened or not set(happened) < set(used):
        told = ", ".join(map(str, used))
        what = f"say on which channels it happened (--channels 0-3): some, not all, of {told}"
        raise RequestError(what=what)
    return details


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


async def _take(
    session: AsyncSession, asked: Doubt, said: Answer, by: str, details: JsonValue
) -> None:
    """Change what the answer is about; the tail of an attempt is set aside already."""
    if asked.subject is DoubtSubject.COMMAND:
        await _take_of_command(session, asked, said, by)
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


async def _take_of_command(session: AsyncSession, asked: Doubt, said: Answer, by: str) -> None:
    values = {"run_id": asked.run_id, "branch": asked.branch, "ordinal": asked.ordinal}
    failure = asked.details.get(FAILURE) if isinstance(asked.details, dict) else None
    if said is Answer.HAPPENED:
        await session.execute(_HAPPENED, values)
    elif said is Answer.FAILED and isinstance(failure, dict):
        await session.execute(
            _FAILED, {**values, "error": failure["error"], "sent": failure["sent"]}
        )
    else:
        if said is Answer.SKIP and isinstance(failure, dict):
            number = await session.scalar(_NUMBER, values)
            _leave_out(session, asked, failure, by, number)
        await set_aside(session, asked.run_id, asked.branch, asked.ordinal)


def _leave_out(
    session: AsyncSession, asked: Doubt, failure: Mapping[str, JsonValue], by: str, number: int
) -> None:
    what = failure["what"]
    details: dict[str, JsonValue] = {
        "by": by,
        "number": number,
        "branch": asked.branch,
        "ordinal": asked.ordinal,
        "fingerprint": failure["fingerprint"],
        "what": f'"{what}"',
        "value": None,
    }
    message = f"{by} leaves out command {number}, {what}."
    session.add(EventRow(run_id=asked.run_id, kind=LEFT_OUT, message=message, details=details))


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
