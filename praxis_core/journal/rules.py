"""The rules beside the tables (triggers, functions, the view), as SQL files that migrations run.

A released file is never changed: what replaces a rule goes into a file of its own (``CREATE OR
REPLACE``), named here and run by its migration.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

from praxis_core.journal.asset_tables import AssetRow
from praxis_core.journal.tables import SCHEMA

RULES = (
    "0001_rules.sql",
    "0002_rules.sql",
    "0003_rules.sql",
    "0004_rules.sql",
    "0005_rules.sql",
    "0007_rules.sql",
    "0008_rules.sql",
    "0009_rules.sql",
    "0010_rules.sql",
    "0012_rules.sql",
    "0013_rules.sql",
    "0014_rules.sql",
)
"""The files in their order."""

_FOLDER = Path(__file__).parent / "migrations" / "sql"


def run_file(connection: Connection, name: str) -> None:
    """Run one SQL file of the migrations in the transaction of ``connection``."""
    sql = (_FOLDER / name).read_text(encoding="utf-8")
    # Without parameters the driver sends the text as it is: several statements, and % means %.
    connection.exec_driver_sql(sql, execution_options={"no_parameters": True})


def create_all(connection: Connection) -> None:
    """Build the whole schema in an empty database from the tables and rules as they stand now.

    Databases that people use are built by ``schema.upgrade``; a test holds the two equal.
    """
    connection.exec_driver_sql(f"CREATE SCHEMA {SCHEMA}")
    AssetRow.metadata.create_all(connection)  # of all tables
    for name in RULES:
        run_file(connection, name)
