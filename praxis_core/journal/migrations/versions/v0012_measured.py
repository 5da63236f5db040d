"""What runs measured, as a view for other programs."""

from __future__ import annotations

from alembic import op

from praxis_core.journal.rules import run_file

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let other programs read what runs measured."""
    run_file(op.get_bind(), "0012_rules.sql")
