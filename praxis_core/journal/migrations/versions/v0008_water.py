"""Runs may be done with water."""

from __future__ import annotations

from alembic import op

from praxis_core.journal.rules import run_file

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let a run say whether it is done with water."""
    run_file(op.get_bind(), "0008_tables.sql")
    run_file(op.get_bind(), "0008_rules.sql")
