"""The table of runs."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

SCORES = ("angry", "disgusted", "fearful", "happy", "neutral", "other", "sad", "surprised", "unknown")


def upgrade() -> None:
    """Make it, with what it is searched by."""
    op.create_table(
        "runs",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("place", sa.String(32), nullable=False),
        sa.Column("folder", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("duration", sa.Double),
        sa.Column("emotion", sa.String(16), nullable=False),
        sa.Column("confidence", sa.Double, nullable=False),
        *(sa.Column(label, sa.Double, nullable=False) for label in SCORES),
        sa.Column("silent", sa.Boolean, nullable=False),
        sa.Column("granularity", sa.String(16), nullable=False),
        sa.Column("speech_model", sa.Text, nullable=False),
        sa.Column("text_model", sa.Text, nullable=False),
        sa.Column("models", sa.JSON, nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("seconds", sa.JSON, nullable=False),
        sa.Column("latency", sa.Double, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("found_by", sa.Text, nullable=False),
    )
    op.create_index("runs_by_time", "runs", ["made_at", "number"])
    op.create_index("runs_by_emotion", "runs", ["emotion"])
    op.create_index("runs_by_source", "runs", ["sha256"])
    op.create_index("runs_by_place", "runs", ["place", "folder"])
