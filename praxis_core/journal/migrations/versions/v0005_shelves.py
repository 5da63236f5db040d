"""Things of a workcell may be on a shelf, and keep their names there."""

from __future__ import annotations

from alembic import op

from praxis_core.journal.rules import run_file

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let what has a name be on a shelf."""
    run_file(op.get_bind(), "0005_tables.sql")
    run_file(op.get_bind(), "0005_rules.sql")
