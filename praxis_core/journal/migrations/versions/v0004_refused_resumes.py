"""A run whose resume is refused stays interrupted, and keeps what is its own."""

from __future__ import annotations

from alembic import op

from praxis_core.journal.rules import run_file

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let an attempt that has not started be interrupted."""
    run_file(op.get_bind(), "0004_tables.sql")
    run_file(op.get_bind(), "0004_rules.sql")
