"""Run by Alembic: migrate in the transaction that ``schema.upgrade`` has begun."""

from __future__ import annotations

from alembic import context

from praxis_core.journal.tables import SCHEMA, Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table_schema=SCHEMA,
)
context.run_migrations()
