"""How an attempt of a run begins: the first, the next one, or the one after a killed process."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from praxis_core.errors import JournalError
from praxis_core.journal.records import AttemptRequest
from praxis_core.journal.statements import NEXT_ATTEMPT, SET_STATUS
from praxis_core.journal.tables import AttemptRow, RunRow
from praxis_core.protocol.lifecycle import RunStatus

_INTERRUPTED = "The process of this attempt ended without saying how; a new attempt began."

_STOPPED = {
    RunStatus.IN_DOUBT: "This attempt stopped and waited for an answer; a new attempt began.",
    RunStatus.PARKED: "This attempt was parked; a new attempt went on.",
    RunStatus.INTERRUPTED: "This attempt was interrupted, for its process or the host of its "
    "workcell was gone; a new attempt began.",
}
"""Why an attempt was still open when the next one began, of those that said so."""


def _type_of(status: RunStatus) -> str:
    return (status if status in _STOPPED else RunStatus.INTERRUPTED).value


async def begin(session: AsyncSession, request: AttemptRequest) -> int:
    """Begin an attempt within the session's transaction.

    Two processes that begin the same run follow each other; the later one interrupts the earlier.

    Raises:
        JournalError: a simulated run would become a real one, or one with water one without, or the
            other way round.
    """
    number = 1 if await _is_new(session, request) else await _next(session, request)
    await session.execute(
        insert(AttemptRow).values(
            run_id=request.run_id,
            number=number,
            protocol_id=request.protocol_id,
            workcell_id=request.workcell_id,
            status=RunStatus.PREPARING,
            parameters=dict(request.parameters),
            assets=dict(request.assets),
            start_snapshot=request.start_snapshot,
            versions=None if request.versions is None else dict(request.versions),
        )
    )
    return number


async def _is_new(session: AsyncSession, request: AttemptRequest) -> bool:
    created = await session.scalar(
        insert(RunRow)
        .values(
            id=request.run_id,
            name=request.run_name,
            status=RunStatus.PREPARING,
            attempt=1,
            parameters=dict(request.parameters),
            simulated=request.simulated,
            asked_by=request.asked_by,
            carried_from=request.carried_from,
            water=request.water,
            kind=request.kind,
        )
        .on_conflict_do_nothing()
        .returning(RunRow.id)
    )
    return created is not None


async def _next(session: AsyncSession, request: AttemptRequest) -> int:
    run = (
        await session.execute(
            select(RunRow.status, RunRow.simulated, RunRow.water)
            .where(RunRow.id == request.run_id)
            .with_for_update(key_share=True)
        )
    ).one()
    if run.simulated != request.simulated:
        was, wanted = ("simulated", "real") if run.simulated else ("real", "simulated")
        what = f"run {request.run_id} is {was} and cannot go on as a {wanted} one; start a new run"
        raise JournalError(what=what)
    if run.water != request.water:
        was = "with" if run.water else "without"
        what = f"run {request.run_id} began {was} water and goes on so; start a new run"
        raise JournalError(what=what)
    status = RunStatus(run.status)
    if not status.ended:
        what = _STOPPED.get(status, _INTERRUPTED)
        await session.execute(
            SET_STATUS,
            {
                "run_id": request.run_id,
                "attempt": None,
                "status": RunStatus.FAILED,
                "ended": True,
                "error": {"type": _type_of(status), "message": what},
            },
        )
    number: int = (await session.execute(NEXT_ATTEMPT, {"run_id": request.run_id})).scalar_one()
    return number
