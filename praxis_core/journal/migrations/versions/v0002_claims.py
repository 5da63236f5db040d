"""Claims, hosts and doubts; a command has one intent per run, whatever its attempt."""

from __future__ import annotations

from alembic import op

from praxis_core.journal.rules import run_file

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what lets a run go on from where it was."""
    run_file(op.get_bind(), "0002_tables.sql")
    run_file(op.get_bind(), "0002_rules.sql")
