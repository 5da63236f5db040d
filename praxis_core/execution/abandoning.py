"""A run is given up for good: nothing of it goes on, and what it had is free."""

from __future__ import annotations

import logging
from uuid import UUID

from praxis_core.errors import RequestError, ServiceError
from praxis_core.execution.consent import ABANDONED, was_abandoned
from praxis_core.journal.record import Journal
from praxis_core.journal.records import RunRecord
from praxis_core.locks import AssetLockManager, holder_of
from praxis_core.protocol.lifecycle import Answer, RunStatus

_log = logging.getLogger(__name__)


async def abandon(
    journal: Journal, locks: AssetLockManager, run_id: UUID, by: str, why: str = ""
) -> RunStatus:
    """Give up a run that stopped, failed or was cancelled; may be repeated until it is done.

    First its claims end, so that no command of a process that is left of it passes any more; then
    its leases and what is reserved for it. Its labware is as it is: somebody has to look at it.

    Args:
        journal: The run history.
        locks: Where its assets are locked; with this journal.
        run_id: The run.
        by: Who gives it up.
        why: The reason.

    Returns:
        How the run ended: one that had not ended is cancelled.

    Raises:
        RequestError: it has ended and has nothing.
        RunNotFound: there is no such run.
    """
    run = await journal.run(run_id)
    asked = await journal.open_doubts(run_id)
    has = [one.asset for one in await journal.claims(run.workcell) if one.run_id == run_id]
    if run.status.ended and not asked and not has and not await _left_over(journal, run):
        status = run.status.value.replace("_", " ")
        raise RequestError(what=f"run {run_id} has ended ({status}) and has nothing")
    said = f"{by} gave the run up" + (f": {why}" if why else "")
    free = f"; free again: {', '.join(has)}." if has else "."
    await journal.event(run_id, ABANDONED, said + free, {"by": by, "why": why, "had": [*has]})
    if asked:
        await journal.answer_doubt(asked[0].id, Answer.ABORT, by)
    elif not run.status.ended:
        await journal.set_status(run_id, RunStatus.CANCELLED, attempt=run.attempt)
    await journal.release_claims(run_id)
    names = {f"{one.workcell}/{one.asset}" for one in await journal.claim_history(run_id)}
    if names:
        try:
            await locks.take_away(holder_of(run_id), sorted(names), attempt=run.attempt)
        except ServiceError as error:
            # Redis hears of it from whoever asks for them next; a lease ends by itself.
            _log.warning("leases of run %s may be left to expire: %s", run_id, error)
    return (await journal.run(run_id)).status


async def _left_over(journal: Journal, run: RunRecord) -> bool:
    """Whether it can still be resumed, although it has nothing any more."""
    resumable = {RunStatus.FAILED, RunStatus.CANCELLED}
    return run.status in resumable and not await was_abandoned(journal, run.run_id)
