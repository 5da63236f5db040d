"""What people decide about a run: all of it at once, and only about the run as they saw it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import func, select

from praxis_core.journal.database import Database
from praxis_core.journal.tables import EventRow, RunRow

Line = tuple[str, str, JsonValue]
"""Kind, message and details of an event."""


async def write_decisions(  # noqa: PLR0913  # what it is compared with, by name
    database: Database,
    run_id: UUID,
    lines: Sequence[Line],
    *,
    attempt: int,
    last: int,
    kinds: Collection[str],
) -> bool:
    """Write decisions down in one transaction, unless the run is not as it was seen.

    Args:
        database: Where.
        run_id: The run.
        lines: What was decided, in order.
        attempt: The run's last attempt, as it was seen.
        last: Id of its last event of these kinds, as it was seen; 0: there was none.
        kinds: Kinds of all decisions.

    Returns:
        Whether they are written; if not, an attempt has begun, or somebody else has decided.
    """
    decided = select(func.coalesce(func.max(EventRow.id), 0)).where(
        EventRow.run_id == run_id, EventRow.kind.in_(kinds)
    )
    async with database.session() as session, session.begin():
        now = await session.scalar(
            select(RunRow.attempt).where(RunRow.id == run_id).with_for_update()
        )
        if now != attempt or await session.scalar(decided) != last:
            return False
        for kind, message, details in lines:
            session.add(EventRow(run_id=run_id, kind=kind, message=message, details=details))
            await session.flush()  # in their order
        return True
