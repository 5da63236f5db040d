"""Assets: what there is, what is in it and where, and how that came about."""

from __future__ import annotations

from alembic import op

from praxis_core.journal.rules import run_file

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the catalogue; whatever stands on a workcell can be claimed from now on."""
    run_file(op.get_bind(), "0003_tables.sql")
    run_file(op.get_bind(), "0003_rules.sql")
