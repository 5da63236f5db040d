"""A journal on a database of its own, and the least that a run needs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import pytest

from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import CommandKind, OutcomeStatus

AT = datetime(2025, 3, 14, 15, 9, 26, tzinfo=UTC)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A database with the schema, closed at the end."""
    async with Database(database_url) as opened:
        yield opened


@pytest.fixture
def journal(database: Database) -> Journal:
    """The journal of the test's database."""
    return Journal(database)


@pytest.fixture
def sql(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection beside the journal, as any other program may have it; each statement commits."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def request_attempt(journal: Journal) -> Callable[[], Awaitable[AttemptRequest]]:
    """Make a request for a new run of a stored protocol on a stored workcell."""

    async def make() -> AttemptRequest:
        workcell = await journal.store_workcell("star", {"mode": "simulated", "devices": {}})
        protocol = await journal.store_protocol(
            name="dilution",
            version="1.0.0",
            entrypoint="flows.dilution:dilution",
            source_hash="a" * 64,
            content_hash="b" * 64,
            definition={"steps": ["fill", "dilute"]},
        )
        return AttemptRequest(
            run_id=uuid4(),
            run_name="dilution on star",
            protocol_id=protocol.id,
            workcell_id=workcell.id,
            parameters={"factor": 2.0},
            assets={"plate": "plate_01"},
            simulated=True,
            start_snapshot={"plate_01": "carrier 3, site 2"},
        )

    return make


@pytest.fixture
async def run_id(
    journal: Journal, request_attempt: Callable[[], Awaitable[AttemptRequest]]
) -> UUID:
    """A run whose first attempt has begun."""
    request = await request_attempt()
    await journal.begin_attempt(request)
    return request.run_id


@pytest.fixture
def command(run_id: UUID) -> Command:
    """A command of the run's first attempt, in no step."""
    return Command(
        run_id=run_id,
        attempt=1,
        branch="0",
        ordinal=0,
        device="liquid_handler",
        method="aspirate",
        args=([{"$resource": "plate_01_well_A1"}, 1e16, 2.0],),
        kwargs={"use_channels": [0, 1], "note": "nul \x00 and \ud800"},
        kind=CommandKind.ONCE,
        fingerprint="c" * 64,
    )


@pytest.fixture
def observation(command: Command) -> Command:
    """A command that only reads."""
    return replace(command, method="read_absorbance", kind=CommandKind.OBSERVE)


@pytest.fixture
def outcome() -> Outcome:
    """A command's good end."""
    return Outcome(status=OutcomeStatus.SUCCEEDED, started_at=AT, ended_at=AT, value=[1, 2.0, None])
