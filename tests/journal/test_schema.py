"""The schema: built by migrations, equal to the models, and never half done."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from uuid import UUID

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.command import upgrade as alembic_upgrade
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from praxis_core.errors import JournalError, SchemaOutdated, SchemaTooNew, ServiceUnreachable
from praxis_core.journal import schema
from praxis_core.journal.database import Database, synchronous_engine
from praxis_core.journal.rules import create_all
from praxis_core.journal.tables import SCHEMA, Base
from praxis_core.protocol.lifecycle import RUN_TRANSITIONS, RunStatus

CATALOGUE = {
    "columns": """
        SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
          a.attidentity, pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
          LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = to_regnamespace('praxis') AND c.relkind IN ('r', 'v')
          AND a.attnum > 0""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = to_regnamespace('praxis') AND contype <> 'n'""",
    "options": """
        SELECT relname, reloptions FROM pg_class
        WHERE relnamespace = to_regnamespace('praxis') AND reloptions IS NOT NULL""",
    "indexes": "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'praxis'",
    "triggers": """
        SELECT tgrelid::regclass::text, tgenabled, pg_get_triggerdef(oid)
        FROM pg_trigger WHERE NOT tgisinternal""",
    "functions": """
        SELECT proname, pg_get_functiondef(oid)
        FROM pg_proc WHERE pronamespace = to_regnamespace('praxis')""",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = 'praxis'",
}

HASH = "repeat('d', 64)"
REVISION_1 = f"""
    SET session_replication_role = replica;
    INSERT INTO praxis.protocol_run (id, name, status, attempt, parameters, simulated, asked_by)
      VALUES ('{UUID(int=1)}', 'r', 'preparing', 2, '{{}}', true, 'me');
    INSERT INTO praxis.run_attempt (run_id, number, protocol_id, workcell_id, status, parameters,
        assets, started_at, ended_at)
      VALUES ('{UUID(int=1)}', 1, 1, 1, 'failed', '{{}}', '{{}}', now(), now()),
        ('{UUID(int=1)}', 2, 1, 1, 'preparing', '{{}}', '{{}}', NULL, NULL);
    INSERT INTO praxis.command (run_id, attempt, branch, ordinal, device, method, args, kwargs,
        deck_changes, kind, fingerprint, issued_at, outcome, started_at, ended_at, value,
        attributes)
      SELECT '{UUID(int=1)}', attempt, '0', ordinal, 'd', 'm', '[]', '{{}}', '[]', 'once', {HASH},
        now(), o.*
      FROM unnest(ARRAY[1, 2]) AS attempt, (VALUES (0), (1)) AS n (ordinal), LATERAL (
        SELECT CASE ordinal WHEN 0 THEN 'succeeded' END, CASE ordinal WHEN 0 THEN now() END,
          CASE ordinal WHEN 0 THEN now() END, CASE ordinal WHEN 0 THEN '1'::json END,
          CASE ordinal WHEN 0 THEN '{{}}'::json END) AS o
      ORDER BY attempt, ordinal;
"""  # noqa: S608  # constants
"""A run of two attempts as revision 0001 wrote it, each with an ended and an open command."""


def _catalogue(url: str) -> dict[str, list[str]]:
    with psycopg.connect(url) as connection:
        return {
            name: sorted(
                repr(row) for row in connection.execute(query) if "alembic_version" not in repr(row)
            )
            for name, query in CATALOGUE.items()
        }


def test_migrations_and_models_make_the_same_schema(
    database_url: str, empty_database_url: str
) -> None:
    """Columns, constraints, indexes, triggers, functions and views agree to the letter."""
    engine = synchronous_engine(empty_database_url)
    with engine.begin() as connection:
        create_all(connection)
    engine.dispose()

    migrated, modelled = _catalogue(database_url), _catalogue(empty_database_url)

    assert migrated == modelled
    assert all(migrated.values())


def test_alembic_finds_nothing_to_migrate(database_url: str) -> None:
    """Alembic's own comparison of the migrated database with the models is empty."""

    def ours(name: str | None, kind: str, parents: object) -> bool:
        return kind != "schema" or name == SCHEMA

    # A role called like the schema has it in its search path, and Alembic would not see it by name.
    engine = synchronous_engine(f"{database_url}&options=-csearch_path%3Dpublic")
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "include_name": ours,
                "compare_server_default": True,
                "version_table_schema": SCHEMA,
            },
        )
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_a_second_upgrade_changes_nothing(database_url: str) -> None:
    """``upgrade`` may be called at each start."""
    before = _catalogue(database_url)

    assert schema.upgrade(database_url) == schema.REVISION
    assert _catalogue(database_url) == before


def test_four_processes_may_upgrade_at_once(empty_database_url: str, database_url: str) -> None:
    """They wait for each other at one lock; all succeed, and the schema is there once."""
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    before = _catalogue(empty_database_url)
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (schema.LOCK,))
        processes = _upgrades(empty_database_url)
        while connection.execute(waiting).fetchone() != (4,):
            assert all(process.poll() is None for process in processes)
        assert _catalogue(empty_database_url) == before

    ends = [(*process.communicate(timeout=60), process.returncode) for process in processes]

    assert ends == [(f"{schema.REVISION}\n", "", 0)] * 4
    assert _catalogue(empty_database_url) == _catalogue(database_url)


def _upgrades(url: str) -> list[subprocess.Popen[str]]:
    code = "import sys; from praxis_core.journal.schema import upgrade; print(upgrade(sys.argv[1]))"
    return [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code, url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]


def test_the_known_revision_is_the_newest_migration() -> None:
    """The constant that spares the import of Alembic is right."""
    scripts = ScriptDirectory.from_config(schema.configuration())

    assert scripts.get_heads() == [schema.REVISION]


def test_the_history_of_revision_1_stays_and_its_last_attempts_can_be_resumed(
    empty_database_url: str,
) -> None:
    """Two attempts could have the same command then; what the earlier one did is set aside."""
    engine = synchronous_engine(empty_database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA praxis")
        config = schema.configuration()
        config.attributes["connection"] = connection
        alembic_upgrade(config, "0001")
    engine.dispose()
    with psycopg.connect(empty_database_url) as sql:
        sql.execute(REVISION_1)

    schema.upgrade(empty_database_url)

    with psycopg.connect(empty_database_url) as sql:
        rows = sql.execute(
            "SELECT attempt, ordinal, tail, delivered, number FROM praxis.command ORDER BY number"
        ).fetchall()
        following = sql.execute("SELECT nextval('praxis.command_delivered')").fetchone()
    assert [row[:3] for row in rows] == [(1, 0, True), (1, 1, True), (2, 0, False), (2, 1, False)]
    assert [row[3] == row[4] for row in rows] == [True, False, True, False]
    assert following is not None
    assert following[0] > max(row[3] or 0 for row in rows)


async def test_an_empty_database_is_outdated(empty_database_url: str) -> None:
    """Whoever opens a database that nobody migrated hears what to run."""
    async with Database(empty_database_url) as database:
        with pytest.raises(SchemaOutdated, match="Run: praxis up") as caught:
            await schema.require_current(database)

    assert caught.value.details["needed"] == schema.REVISION


async def test_a_migrated_database_is_current(database: Database) -> None:
    """What ``upgrade`` made is what this version needs."""
    await schema.require_current(database)


async def test_a_newer_database_is_left_alone(
    database: Database, database_url: str, sql: psycopg.Connection
) -> None:
    """A database that a newer Praxis has migrated is neither used nor touched."""
    sql.execute("UPDATE praxis.alembic_version SET version_num = '9999'")

    with pytest.raises(SchemaTooNew, match="9999"):
        await schema.require_current(database)
    with pytest.raises(SchemaTooNew, match="9999"):
        schema.upgrade(database_url)


def test_a_failed_upgrade_leaves_nothing(empty_database_url: str) -> None:
    """A migration is one transaction: what stands in its way leaves the database as it was."""
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA praxis CREATE TABLE run_event (id integer)")
        before = _catalogue(empty_database_url)

        with pytest.raises(JournalError, match="run_event"):
            schema.upgrade(empty_database_url)

        assert _catalogue(empty_database_url) == before
        connection.execute("DROP SCHEMA praxis CASCADE")
    assert schema.upgrade(empty_database_url) == schema.REVISION


def test_an_upgrade_of_an_unreachable_database_says_where_it_looked() -> None:
    """The error names the address, without the password, and the setting."""
    with pytest.raises(ServiceUnreachable, match="PRAXIS_DATABASE_URL") as caught:
        schema.upgrade("postgresql://lab:secret@127.0.0.1:1/praxis")

    assert "127.0.0.1:1" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_postgres_knows_the_same_transitions(sql: psycopg.Connection) -> None:
    """The trigger's table is ``RUN_TRANSITIONS``, over all pairs of statuses."""
    query = "SELECT praxis.run_transition_possible(%s, %s)"
    possible = {
        (old, new)
        for old, new in product(RunStatus, RunStatus)
        if sql.execute(query, (old.value, new.value)).fetchone() == (True,)
    }

    assert possible == {(old, new) for old, news in RUN_TRANSITIONS.items() for new in news}


def test_the_journal_imports_neither_pylabrobot_nor_prefect() -> None:
    """Reading history must not cost the seconds that those take."""
    code = (
        "import sys, praxis_core.journal.record, praxis_core.journal.schema;"
        "print(sorted({'pylabrobot', 'prefect', 'alembic'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
