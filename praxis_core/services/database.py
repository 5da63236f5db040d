"""The database of Praxis: made ready, dumped to a file, restored from one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from praxis_core.errors import (
    RestoreRefused,
    ServiceCommandFailed,
    ServiceNotRunning,
    SettingsError,
)
from praxis_core.services.binaries import postgres_program
from praxis_core.services.external import check_database
from praxis_core.services.home import home_of
from praxis_core.services.postgres import EmbeddedPostgres
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


def upgrade(settings: PraxisSettings) -> str:
    """Bring schema ``praxis`` to this version; give its revision.

    Raises:
        ServiceNotRunning: the embedded Postgres does not run.
        ServiceUnreachable: the external Postgres does not answer.
    """
    from praxis_core.journal import schema

    _require(settings)
    return schema.upgrade(settings.addresses().database_url)


def dump(settings: PraxisSettings, file: Path) -> None:
    """Write schema ``praxis`` to a file, in the custom format of ``pg_dump``.

    Raises:
        ServiceCommandFailed: the dump failed; no file is left, and an older one is as it was.
    """
    _require(settings)
    part = file.with_name(f"{file.name}.part")
    try:
        words = ["--format=custom", f"--schema={SCHEMA}", f"--file={part}"]
        _run("pg_dump", [_to(settings), *words])
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
    _require(settings)
    rows = _rows(settings)
    if rows and not replace:
        what = f"schema {SCHEMA} holds {rows} row(s); --replace deletes them first"
        raise RestoreRefused(file=str(file), what=what)
    with TemporaryDirectory() as folder:
        script = Path(folder) / "restore.sql"
        _run("pg_restore", ["--no-owner", f"--file={script}", str(file)])
        once = ["--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"]
        drop = f"--command=DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"
        _run("psql", [_to(settings), *once, drop, f"--file={script}"])
    # The library of the dump may be an older one.
    home_of(settings).registration.unlink(missing_ok=True)


def _require(settings: PraxisSettings) -> None:
    addresses = settings.addresses()
    if not addresses.embedded_database:
        check_database(settings)
    elif not EmbeddedPostgres(home_of(settings)).ready():
        raise ServiceNotRunning(
            service="Postgres", address=addresses.database_url, what="it is not running"
        )


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


def _to(settings: PraxisSettings) -> str:
    return f"--dbname={settings.addresses().database_url}"


def _run(program: str, words: Sequence[str]) -> None:
    answer = subprocess.run(  # noqa: S603 (a program of this installation)
        [postgres_program(program), *words],
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
