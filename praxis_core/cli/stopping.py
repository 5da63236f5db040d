"""What is common to all that people do about a run that stopped."""

from __future__ import annotations

from uuid import UUID

from praxis_core.cli.console import say
from praxis_core.cli.lost import ASKED_SECONDS
from praxis_core.cli.waiting import not_in_history
from praxis_core.errors import RunNotFound, ServiceError
from praxis_core.journal.record import Journal
from praxis_core.journal.records import RunRecord
from praxis_core.services.prefect_api import PrefectApi
from praxis_core.settings import PraxisSettings


async def known_run(settings: PraxisSettings, records: Journal, run_id: UUID) -> RunRecord:
    """Read a run; of one that is not in the history, tell why."""
    try:
        return await records.run(run_id)
    except RunNotFound:
        raise not_in_history(settings, run_id) from None


def cancel_in_prefect(settings: PraxisSettings, run_id: UUID) -> None:
    """Let Prefect know; what counts is in the database, whether Prefect answers or not."""
    try:
        with PrefectApi(settings, timeout=ASKED_SECONDS) as api:
            api.give_up(run_id)
    except ServiceError as error:
        say(f"Prefect was not told: {error}")
