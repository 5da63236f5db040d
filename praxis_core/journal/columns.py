"""What the tables are made of: column types and the checks that several tables share.

Timestamps are ``timestamptz``; JSON is ``json`` and not ``jsonb``, because it must come back
exactly as it went in (docs/decisions/0003-database.md).
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, DateTime, Dialect
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.types import TypeDecorator

from praxis_core.errors import JournalError
from praxis_core.protocol.lifecycle import ENDED, RunStatus


class Instant(TypeDecorator[datetime]):
    """A point in time: ``timestamptz``, aware on both sides."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002  # SQLAlchemy passes it
    ) -> datetime | None:
        """Refuse a time without a zone; Postgres would take it for its own zone."""
        if value is not None and value.tzinfo is None:
            raise JournalError(what=f"the time {value} has no time zone; pass aware UTC")
        return value


JSON_OR_NULL = JSON(none_as_null=True)
"""JSON where None means that there is nothing (SQL NULL)."""
JSON_VALUE = JSON(none_as_null=False)
"""JSON where None is a value (JSON null)."""


def _quoted(members: frozenset[StrEnum] | type[StrEnum]) -> str:
    return ", ".join(sorted(f"'{member.value}'" for member in members))


def one_of(column: str, enum: type[StrEnum]) -> CheckConstraint:
    """The column holds a member of ``enum``."""
    return CheckConstraint(f"{column} IN ({_quoted(enum)})", name=column)


def sha256(column: str) -> CheckConstraint:
    """The column holds a SHA-256 in lower-case hexadecimal."""
    return CheckConstraint(f"{column} ~ '^[0-9a-f]{{64}}$'", name=column)


def json_is(column: str, kind: str) -> CheckConstraint:
    """The column's JSON is of this kind: ``object`` or ``array``."""
    return CheckConstraint(f"json_typeof({column}) = '{kind}'", name=column)


def branch_path(column: str = "branch") -> CheckConstraint:
    """The column holds a branch of the protocol, or of what was restored before it (``r2``)."""
    return CheckConstraint(rf"{column} ~ '^(r[1-9][0-9]*|[0-9]+(\.[0-9]+)*)$'", name=column)


def word(column: str) -> CheckConstraint:
    """The column holds a word for programs."""
    return CheckConstraint(f"{column} ~ '^[a-z][a-z0-9_.-]*$'", name=column)


def not_empty(column: str) -> CheckConstraint:
    """The column holds some text."""
    return CheckConstraint(f"{column} <> ''", name=column)


def life() -> tuple[CheckConstraint, ...]:
    """The times that belong to each status; equal for a run and for its attempts."""
    return (
        one_of("status", RunStatus),
        CheckConstraint(
            f"(ended_at IS NOT NULL) = (status IN ({_quoted(ENDED)}))", name="ended_at"
        ),
        CheckConstraint(
            "CASE WHEN status IN ('preparing', 'refused') THEN started_at IS NULL"
            " WHEN status IN ('running', 'succeeded') THEN started_at IS NOT NULL"
            " ELSE true END",
            name="started_at",
        ),
    )
