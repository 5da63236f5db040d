"""Each attempt of a run says under which versions of the programs it was carried out."""

from __future__ import annotations

from alembic import op

from praxis_core.journal.rules import run_file

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let attempts have versions."""
    run_file(op.get_bind(), "0014_tables.sql")
    run_file(op.get_bind(), "0014_rules.sql")
