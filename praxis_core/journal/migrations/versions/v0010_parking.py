"""A run may wait without a process: parked, until a time or until somebody resumes it."""

from __future__ import annotations

from alembic import op

from praxis_core.journal.rules import run_file

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let a run that is under way be parked."""
    run_file(op.get_bind(), "0010_tables.sql")
    run_file(op.get_bind(), "0010_rules.sql")
