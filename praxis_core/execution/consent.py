"""What a person decided about a run's next attempt, kept in the run's audit trail.

Prefect starts a run again with the parameters it had; nothing else comes along.
"""

from __future__ import annotations

from uuid import UUID

from praxis_core.journal.history import History
from praxis_core.journal.record import Journal

WITH_CURRENT_CODE = "resume_with_current_code"
ABANDONED = "run_abandoned"


async def allow_current_code(journal: Journal, run_id: UUID, by: str) -> None:
    """Let the next attempt of a run go on under the code as it is now."""
    message = f"{by} lets the next attempt go on under the code as it is now."
    await journal.event(run_id, WITH_CURRENT_CODE, message, {"by": by})


async def current_code_allowed(history: History, run_id: UUID) -> bool:
    """Say whether it was allowed since the run's last attempt began; ask before the next begins."""
    attempts = await history.attempts(run_id)
    if not attempts:
        return False
    since = attempts[-1].begun_at
    return any(
        event.kind == WITH_CURRENT_CODE and event.at > since
        for event in await history.events(run_id)
    )


async def was_abandoned(history: History, run_id: UUID) -> bool:
    """Say whether somebody gave the run up for good."""
    return any(event.kind == ABANDONED for event in await history.events(run_id))
