"""The first schema: definitions, runs, attempts, steps, commands, measurements, files, events."""

from __future__ import annotations

from alembic import op

from praxis_core.journal.rules import run_file

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything in schema ``praxis``."""
    run_file(op.get_bind(), "0001_tables.sql")
    run_file(op.get_bind(), "0001_rules.sql")
