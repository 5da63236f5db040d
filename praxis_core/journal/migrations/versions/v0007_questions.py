"""A protocol may ask a person."""

from __future__ import annotations

from alembic import op

from praxis_core.journal.rules import run_file

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Keep what is asked and answered."""
    run_file(op.get_bind(), "0007_tables.sql")
    run_file(op.get_bind(), "0007_rules.sql")
