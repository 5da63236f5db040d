"""Versions of workcells and protocols: equal content is one, and the last stored is current."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from pydantic import JsonValue
from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from praxis_core.errors import JournalError
from praxis_core.journal.database import dumps
from praxis_core.journal.tables import ProtocolRow, WorkcellRow

_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))")


def content_hash(content: JsonValue) -> str:
    """SHA-256 of the content as JSON, whatever the order of its keys.

    Raises:
        JournalError: it is not JSON.
    """
    try:
        canonical = dumps(content, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise JournalError(what=f"a value cannot be stored: {error}") from error
    return sha256(canonical.encode()).hexdigest()


async def store_workcell(
    session: AsyncSession, name: str, definition: dict[str, JsonValue]
) -> WorkcellRow:
    """Make this definition the workcell's current one; a new version when the content is new."""
    await _lock(session, WorkcellRow.__tablename__, name)
    digest = content_hash(definition)
    version = select(func.coalesce(func.max(WorkcellRow.version), 0) + 1).where(
        WorkcellRow.name == name
    )
    await session.execute(
        update(WorkcellRow)
        .where(WorkcellRow.name == name, WorkcellRow.current, WorkcellRow.content_hash != digest)
        .values(current=False)
    )
    return (
        await session.scalars(
            insert(WorkcellRow)
            .values(
                name=name,
                version=version.scalar_subquery(),
                definition=definition,
                content_hash=digest,
                current=True,
            )
            .on_conflict_do_update(
                index_elements=[WorkcellRow.name, WorkcellRow.content_hash],
                set_={"current": True},
            )
            .returning(WorkcellRow)
        )
    ).one()


async def store_protocol(session: AsyncSession, row: Mapping[str, object]) -> ProtocolRow:
    """Make this definition the protocol's current one; a new version when its hash is new."""
    name, digest = row["name"], row["content_hash"]
    await _lock(session, ProtocolRow.__tablename__, str(name))
    await session.execute(
        update(ProtocolRow)
        .where(ProtocolRow.name == name, ProtocolRow.current, ProtocolRow.content_hash != digest)
        .values(current=False)
    )
    return (
        await session.scalars(
            insert(ProtocolRow)
            .values(**row, current=True)
            .on_conflict_do_update(
                index_elements=[ProtocolRow.name, ProtocolRow.content_hash],
                set_={"current": True},
            )
            .returning(ProtocolRow)
        )
    ).one()


async def _lock(session: AsyncSession, table: str, name: str) -> None:
    await session.execute(_ONE_AT_A_TIME, {"what": f"praxis.{table}:{name}"})
