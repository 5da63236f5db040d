"""Changes of assets are vacuumed soon after they are written."""

from __future__ import annotations

from alembic import op

from praxis_core.journal.rules import run_file

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let the changes of a run be counted in the index alone."""
    run_file(op.get_bind(), "0006_tables.sql")
