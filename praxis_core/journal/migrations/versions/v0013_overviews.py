"""Runs, commands and questions as views for other programs, every column documented."""

from __future__ import annotations

from alembic import op

from praxis_core.journal.rules import run_file

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let other programs read what happened without knowing the tables."""
    run_file(op.get_bind(), "0013_tables.sql")
    run_file(op.get_bind(), "0013_rules.sql")
