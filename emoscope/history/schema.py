"""The tables of the history, as the newest migration leaves them."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator

from emoscope.labels import LABELS

NEWEST = "0003"  # the migration that makes what stands here


class Moment(TypeDecorator[datetime]):
    """A moment with its time zone, which SQLite cannot store: there it is UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the moment as the database takes it."""
        if value is None:
            return None
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the moment on the clock of this machine."""
        if value is None:
            return None
        return (value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value).astimezone()


def _score(label: str) -> Column[Any]:
    return Column(label, Double, nullable=False)


metadata = MetaData()

runs = Table(
    "runs",
    metadata,
    Column("number", Integer, primary_key=True),  # in the order in which they came
    Column("id", String(64), nullable=False, unique=True),  # the report's
    Column("place", String(32), nullable=False),  # whose files they are: the mark of an `outputs` folder
    Column("folder", Text, nullable=False),  # below `outputs`, or from the root where it lies elsewhere
    Column("bytes", BigInteger, nullable=False),  # of all files in it
    Column("made_at", Moment, nullable=False),
    Column("mode", String(16), nullable=False),
    Column("name", Text, nullable=False),  # of the recording, or how a text begins
    Column("sha256", String(64), nullable=False),  # of the recording's file, or of the text
    Column("duration", Double),  # seconds of a recording
    Column("emotion", String(16), nullable=False),
    Column("confidence", Double, nullable=False),
    *map(_score, LABELS),
    Column("silent", Boolean, nullable=False),  # all of it, so that the verdict means nothing
    Column("granularity", String(16), nullable=False),
    Column("speech_model", Text, nullable=False),  # "" where none answered
    Column("text_model", Text, nullable=False),
    Column("models", JSON, nullable=False),  # everything known of both, by "speech" and "text"
    Column("options", JSON, nullable=False),
    Column("seconds", JSON, nullable=False),  # per stage
    Column("latency", Double, nullable=False),  # seconds, their sum
    Column("text", Text, nullable=False),  # that was read, "" where there was none
    Column("found_by", Text, nullable=False),  # name and text as `entry.folded` writes them, for searching
    Column("visitor", String(32), nullable=False, server_default=""),  # the account whose it is
    Index("runs_by_time", "made_at", "number"),
    Index("runs_by_emotion", "emotion"),
    Index("runs_by_source", "sha256"),
    Index("runs_by_place", "place", "folder"),
    Index("runs_by_visitor", "visitor", "made_at"),
)

embeddings = Table(
    "embeddings",
    metadata,
    Column("run", Integer, ForeignKey("runs.number", ondelete="CASCADE"), primary_key=True),
    Column("kind", String(8), primary_key=True),  # "speech" or "text"
    Column("weights", String(64), nullable=False),  # hash of the model's: only the same model's can be compared
    Column("vector", LargeBinary, nullable=False),  # (D,) float32, little endian
    Index("embeddings_by_model", "kind", "weights"),
)
