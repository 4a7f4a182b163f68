"""The table of embeddings, beside that of runs, so that looking through the runs reads none of them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make it; the embeddings of a run go with the run."""
    op.create_table(
        "embeddings",
        sa.Column("run", sa.Integer, sa.ForeignKey("runs.number", ondelete="CASCADE"), primary_key=True),
        sa.Column("kind", sa.String(8), primary_key=True),
        sa.Column("weights", sa.String(64), nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
    )
    op.create_index("embeddings_by_model", "embeddings", ["kind", "weights"])
