"""Whose a run is, where there are accounts; those of before are nobody's in particular."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add it to the runs, with what they are searched by."""
    op.add_column("runs", sa.Column("visitor", sa.String(32), nullable=False, server_default=""))
    op.create_index("runs_by_visitor", "runs", ["visitor", "made_at"])
