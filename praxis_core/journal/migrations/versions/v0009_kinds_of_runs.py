"""A person may work by hand."""

from __future__ import annotations

from alembic import op

from praxis_core.journal.rules import run_file

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let a run say whether it carries out a protocol, or what a person does by hand."""
    run_file(op.get_bind(), "0009_tables.sql")
    run_file(op.get_bind(), "0009_rules.sql")
