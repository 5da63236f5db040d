"""What most commands open first: the database, and the run a person means."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from praxis_core.errors import RequestError, RunNotFound
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.journal.schema import require_current
from praxis_core.settings import PraxisSettings

PREFIX_SEARCHED = 1000
"""How many of the newest runs a shortened id is looked up in."""


@asynccontextmanager
async def journal(settings: PraxisSettings) -> AsyncIterator[Journal]:
    """Open the run history."""
    async with Database(settings.addresses().database_url) as database:
        await require_current(database)
        yield Journal(database)


async def run_id_of(settings: PraxisSettings, text: str) -> UUID:
    """The run whose id begins with ``text``.

    Raises:
        RunNotFound: no run's id begins so.
        RequestError: several do.
    """
    try:
        return UUID(text)
    except ValueError:
        pass
    async with journal(settings) as records:
        found = [
            run.run_id
            for run in await records.runs(limit=PREFIX_SEARCHED)
            if str(run.run_id).startswith(text.lower())
        ]
    if not found:
        raise RunNotFound(run_id=text)
    if len(found) > 1:
        raise RequestError(what=f"{len(found)} runs begin with {text!r}; give more of the id")
    return found[0]
