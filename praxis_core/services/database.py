"""The database of Praxis: made ready, dumped to a file, restored from one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psycopg

from praxis_core.errors import RestoreRefused, ServiceCommandFailed, SettingsError
from praxis_core.services.binaries import postgres_program
from praxis_core.settings import PraxisSettings

SCHEMA = "praxis"


def prepare_for_prefect(settings: PraxisSettings) -> None:
    """Make the schema of Prefect's tables, and the extension that its migrations expect.

    Raises:
        SettingsError: the user of an external database may not make them.
    """
    with psycopg.connect(settings.addresses().database_url, autocommit=True) as connection:
        # Two at a time fail on each other's rows.
        connection.execute("SELECT pg_advisory_lock(hashtext('praxis services'))")
        try:
            connection.execute("CREATE SCHEMA IF NOT EXISTS prefect")
            connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public")
        except psycopg.errors.InsufficientPrivilege as error:
            raise SettingsError(
                setting="PRAXIS_DATABASE_URL",
                what=f"its user may not prepare the database ({error.diag.message_primary}). Let a "
                "superuser run there: CREATE SCHEMA prefect; CREATE EXTENSION pg_trgm SCHEMA "
                "public; and grant the user CREATE on the database and ALL on schema prefect",
            ) from error


def dump(settings: PraxisSettings, file: Path) -> None:
    """Write schema ``praxis`` to a file, in the custom format of ``pg_dump``.

    Raises:
        ServiceCommandFailed: the dump failed; no file is left.
    """
    part = file.with_name(f"{file.name}.part")
    try:
        _run("pg_dump", ["--format=custom", f"--schema={SCHEMA}", f"--file={part}"], settings)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def restore(settings: PraxisSettings, file: Path, *, replace: bool = False) -> None:
    """Read schema ``praxis`` from a file that :func:`dump` wrote; all of it or nothing.

    Args:
        settings: whose database.
        file: the dump.
        replace: delete what the schema holds now.

    Raises:
        RestoreRefused: there is no such file, or the schema holds something.
        ServiceCommandFailed: the restore failed; the database is as it was.
    """
    if not file.is_file():
        raise RestoreRefused(file=str(file), what="there is no such file")
    rows = _rows(settings)
    if rows and not replace:
        what = f"schema {SCHEMA} holds {rows} row(s); --replace deletes them first"
        raise RestoreRefused(file=str(file), what=what)
    words = ["--single-transaction", "--exit-on-error", "--no-owner", "--clean", "--if-exists"]
    _run("pg_restore", [*words, str(file)], settings)


def _rows(settings: PraxisSettings) -> int:
    """Count the rows of the tables a person has filled; a schema just migrated holds none."""
    with psycopg.connect(settings.addresses().database_url, autocommit=True) as connection:
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename <> %s",
            [SCHEMA, "alembic_version"],
        ).fetchall()
        total = 0
        for (table,) in tables:
            query = psycopg.sql.SQL("SELECT count(*) FROM {}.{}").format(
                psycopg.sql.Identifier(SCHEMA), psycopg.sql.Identifier(table)
            )
            row = connection.execute(query).fetchone()
            total += row[0] if row else 0
        return total


def _run(program: str, words: Sequence[str], settings: PraxisSettings) -> None:
    answer = subprocess.run(  # noqa: S603 (a program of this installation)
        [postgres_program(program), f"--dbname={settings.addresses().database_url}", *words],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
    )
    if answer.returncode != 0:
        raise ServiceCommandFailed(
            command=program, code=answer.returncode, what=answer.stderr.strip()
        )
