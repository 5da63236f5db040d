"""The view over our runs and Prefect's, whatever became of Prefect's tables."""

from __future__ import annotations

from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

PREFECT = [
    "prefect_name",
    "prefect_state_type",
    "prefect_state_name",
    "prefect_deployment",
    "prefect_auto_scheduled",
    "prefect_schedule",
    "prefect_expected_start_time",
]

TABLES = """
    CREATE SCHEMA prefect;
    CREATE TYPE prefect.state_type AS ENUM ('SCHEDULED', 'RUNNING', 'COMPLETED');
    CREATE TABLE prefect.deployment (id uuid PRIMARY KEY, name varchar NOT NULL);
    CREATE TABLE prefect.flow_run (id uuid PRIMARY KEY, name varchar NOT NULL,
      state_type prefect.state_type, state_name varchar, deployment_id uuid,
      auto_scheduled boolean NOT NULL, created_by jsonb, expected_start_time timestamptz);
"""


def _overview(sql: psycopg.Connection, run_id: UUID) -> dict[str, object]:
    with sql.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "SELECT * FROM praxis.run_overview WHERE run_id = %s", (run_id,)
        ).fetchall()
    assert len(rows) == 1
    return rows[0]


@pytest.fixture
def prefect_run(sql: psycopg.Connection, run_id: UUID) -> UUID:
    """Prefect's rows for the run: a deployment's schedule started it."""
    deployment = uuid4()
    sql.execute(TABLES)
    sql.execute("INSERT INTO prefect.deployment VALUES (%s, 'star')", (deployment,))
    sql.execute(
        "INSERT INTO prefect.flow_run"
        " VALUES (%s, 'dilution on star', 'RUNNING', 'Running', %s, true,"
        """ '{"type": "SCHEDULE", "display_value": "nightly"}', '2025-03-14 15:00Z')""",
        (run_id, deployment),
    )
    return run_id


def test_a_run_is_shown_with_prefects_state_deployment_and_schedule(
    sql: psycopg.Connection, prefect_run: UUID
) -> None:
    """Where both live in one database, one query tells all about a run."""
    row = _overview(sql, prefect_run)

    assert (row["protocol"], row["workcell"], row["status"]) == ("dilution", "star", "preparing")
    assert [row[name] for name in PREFECT[:-1]] == [
        "dilution on star",
        "RUNNING",
        "Running",
        "star",
        True,
        "nightly",
    ]


def test_a_run_outlives_prefects_rows(sql: psycopg.Connection, prefect_run: UUID) -> None:
    """Prefect may delete its flow runs without asking; ours stay, and stay visible."""
    sql.execute("DELETE FROM prefect.flow_run")

    row = _overview(sql, prefect_run)

    assert row["name"] == "dilution on star"
    assert [row[name] for name in PREFECT] == [None] * len(PREFECT)


def test_a_run_is_shown_where_prefects_tables_are_elsewhere(
    sql: psycopg.Connection, run_id: UUID
) -> None:
    """With an external Prefect server only our columns are filled."""
    row = _overview(sql, run_id)

    assert row["status"] == "preparing"
    assert [row[name] for name in PREFECT] == [None] * len(PREFECT)


def test_prefect_may_change_and_drop_its_tables(sql: psycopg.Connection, prefect_run: UUID) -> None:
    """The view depends on nothing of Prefect's: its migrations go through, and the view stays."""
    sql.execute("ALTER TABLE prefect.flow_run ALTER COLUMN state_name TYPE text")
    assert _overview(sql, prefect_run)["prefect_state_name"] == "Running"

    sql.execute("ALTER TABLE prefect.flow_run DROP COLUMN auto_scheduled")
    assert _overview(sql, prefect_run)["prefect_state_name"] is None

    sql.execute("DROP SCHEMA prefect CASCADE")
    assert _overview(sql, prefect_run)["status"] == "preparing"


def test_the_view_reads_columns_that_the_installed_prefect_has(sql: psycopg.Connection) -> None:
    """A Prefect that renames a column is noticed here, not by empty columns in a laboratory."""
    from prefect.server.database.orm_models import Deployment, FlowRun

    source = sql.execute("SELECT prosrc FROM pg_proc WHERE proname = 'prefect_flow_run'").fetchone()
    assert source is not None

    for alias, model in (("f", FlowRun), ("d", Deployment)):
        columns = {column.name for column in model.__table__.columns}
        used = set(_columns(source[0], alias))
        assert used
        assert used <= columns
    assert (FlowRun.__tablename__, Deployment.__tablename__) == ("flow_run", "deployment")


def _columns(source: str, alias: str) -> list[str]:
    import re

    return re.findall(rf"\b{alias}\.(\w+)", source)
