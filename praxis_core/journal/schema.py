"""The schema's version: bring a database to it, or say that it is not there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text

from praxis_core.errors import SchemaOutdated, SchemaTooNew
from praxis_core.journal.database import Database, synchronous_engine
from praxis_core.journal.tables import SCHEMA

if TYPE_CHECKING:
    from alembic.config import Config

REVISION = "0014"
"""The newest revision in ``migrations/versions``; importing Alembic to ask for it costs 0.3 s."""

LOCK = 0x50524158
"""Key of the advisory lock under which one process migrates at a time."""
_LOCK_TIMEOUT = "120s"
_STORED = text(f"SELECT version_num FROM {SCHEMA}.alembic_version")  # noqa: S608  # a constant
_EXISTS = text(f"SELECT to_regclass('{SCHEMA}.alembic_version') IS NOT NULL")


def upgrade(url: str) -> str:
    """Bring the database to this version's schema; does nothing when it is there already.

    Several processes may call this at once: the first migrates, in one transaction, and the others
    wait.

    Args:
        url: ``postgresql://`` URL of a database in which the user may create a schema.

    Returns:
        The revision that the database has now.

    Raises:
        ServiceUnreachable: Postgres does not answer.
        SchemaTooNew: a newer Praxis has migrated this database.
        JournalError: the migration failed; the database is as it was.
    """
    from alembic import command

    engine = synchronous_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
            if connection.scalar(text("SELECT to_regnamespace(:name)"), {"name": SCHEMA}) is None:
                connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
            _refuse_newer(_found(connection))
            config = configuration()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()
    return REVISION


async def require_current(database: Database) -> None:
    """Check that the database has the schema of this version.

    Raises:
        SchemaOutdated: it has an older one, or none.
        SchemaTooNew: it has a newer one.
        ServiceUnreachable: Postgres does not answer.
    """
    async with database.session() as session:
        found = await (await session.connection()).run_sync(_found)
    _refuse_newer(found)
    if found != REVISION:
        raise SchemaOutdated(found=found or "no revision", needed=REVISION)


def configuration() -> Config:
    """Alembic's configuration; there is no ``alembic.ini``."""
    from alembic.config import Config

    config = Config()
    # Alembic reads this as a format string.
    folder = str(Path(__file__).parent / "migrations").replace("%", "%%")
    config.set_main_option("script_location", folder)
    return config


def _found(connection: Connection) -> str | None:
    if not connection.scalar(_EXISTS):
        return None
    found: str | None = connection.scalar(_STORED)
    return found


def _refuse_newer(found: str | None) -> None:
    # Revisions are numbered in their order.
    if found is not None and found > REVISION:
        raise SchemaTooNew(found=found, needed=REVISION)
