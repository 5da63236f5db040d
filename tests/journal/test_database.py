"""The connection: what happens when Postgres is away, and what is durable when."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from praxis_core.errors import JournalError, ServiceUnreachable
from praxis_core.journal import rows, statements
from praxis_core.journal.database import Database, read_final_state
from praxis_core.journal.record import Journal
from praxis_core.protocol.command import Command

AT = datetime(2025, 3, 14, tzinfo=UTC)
NOWHERE = "postgresql://lab:secret@127.0.0.1:1/praxis"
END_OTHERS = """
    SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""


async def test_an_unreachable_database_is_named_with_its_setting() -> None:
    """The error says what was tried, without the password, and what to set."""
    async with Database(NOWHERE) as database:
        with pytest.raises(ServiceUnreachable, match="set by PRAXIS_DATABASE_URL") as caught:
            await Journal(database).runs()

    assert "127.0.0.1:1" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_unreachable_archive_is_named_with_its_setting() -> None:
    """Reading the archive without an event loop fails in the same words."""
    with pytest.raises(ServiceUnreachable, match="set by PRAXIS_DATABASE_URL"):
        read_final_state(NOWHERE, UUID(int=0))


async def test_a_database_that_is_not_there_is_named(database_url: str) -> None:
    """What Postgres says about it is passed on."""
    async with Database(database_url.replace("/test_", "/no_such_")) as database:
        with pytest.raises(ServiceUnreachable, match=r'database "no_such_.*" does not exist'):
            await Journal(database).runs()


async def test_the_pool_survives_a_restart_of_postgres(
    journal: Journal, run_id: UUID, sql: psycopg.Connection
) -> None:
    """Connections that were ended while nobody used them are replaced unnoticed."""
    await asyncio.gather(*(journal.run(run_id) for _ in range(4)))
    ended = sql.execute(END_OTHERS).fetchone()
    assert ended is not None
    assert ended[0] >= 1

    await asyncio.gather(*(journal.event(run_id, "note", "still here") for _ in range(4)))

    assert len(await journal.events(run_id)) == 5


async def test_a_connection_that_ends_under_a_statement_is_an_error_and_is_replaced(
    database: Database, sql: psycopg.Connection
) -> None:
    """Nobody knows whether such a statement was carried out; the next one has a new connection."""
    statement = asyncio.create_task(database.execute(text("SELECT pg_sleep(30)")))
    busy = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)'"
    while sql.execute(busy).fetchone() == (0,):  # noqa: ASYNC110  # Postgres sends no event
        await asyncio.sleep(0)
    sql.execute(END_OTHERS)

    with pytest.raises(ServiceUnreachable):
        await statement
    assert [tuple(row) for row in await database.execute(text("SELECT 1"))] == [(1,)]


async def test_a_statement_that_waits_too_long_is_ended(database_url: str) -> None:
    """There is a limit for each statement; the URL may set another."""
    async with Database(database_url) as database:
        [(limit,)] = await database.execute(text("SHOW statement_timeout"))
    assert limit == "30s"
    async with Database(f"{database_url}&options=-cstatement_timeout%3D20ms") as database:
        with pytest.raises(JournalError, match="statement timeout"):
            await database.execute(text("SELECT pg_sleep(30)"))


async def test_an_intent_is_on_disk_before_it_returns_and_a_step_need_not_be(
    database: Database, command: Command
) -> None:
    """A command is sent only after its intent is safe; progress costs no wait for the disk."""
    step = {
        "run_id": str(command.run_id),
        "attempt": 1,
        "path": "1",
        "name": "fill",
        "status": "running",
        "started_at": AT.isoformat(),
    }
    waits = {}
    for name, statement, values in (
        ("steps", statements.STEPS, {"steps": [step]}),
        ("intent", statements.INTENT, rows.intent_values(command, AT)),
    ):
        async with database.session() as session, session.begin():
            await session.execute(statement, values)
            waits[name] = await session.scalar(text("SHOW synchronous_commit"))

    assert waits == {"steps": "off", "intent": "on"}


async def test_each_written_fact_is_one_statement(
    journal: Journal, command: Command, sql: psycopg.Connection
) -> None:
    """A transaction in one round trip leaves no transaction open behind it."""
    await journal.command_intent(command, AT)

    idle = sql.execute("""
        SELECT array_agg(state), bool_or(query ~ 'COMMIT|ROLLBACK') FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'praxis' AND query ~ 'command'
    """).fetchone()
    assert idle == (["idle"], False)


async def test_both_forms_of_the_url_are_taken(database_url: str) -> None:
    """With and without the driver's name."""
    for url in (database_url, database_url.replace("postgresql://", "postgresql+psycopg://")):
        async with Database(url) as database:
            assert await Journal(database).runs() == []
