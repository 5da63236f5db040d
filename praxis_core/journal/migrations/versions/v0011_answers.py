"""What people say of a command that failed: also partly, skip and failed."""

from __future__ import annotations

from alembic import op

from praxis_core.journal.rules import run_file

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let people say more of a command."""
    run_file(op.get_bind(), "0011_tables.sql")
