"""One recording's report becomes one row; the columns of every output, and their types."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from emoscope.batch.inputs import Item
from emoscope.errors import OptionError
from emoscope.labels import COUNT, LABELS
from emoscope.report import Report

if TYPE_CHECKING:
    import pyarrow as pa

Place = Literal["", "columns", "npy"]
PLACES: tuple[str, ...] = get_args(Place)
Row: TypeAlias = dict[str, Any]

INDEX = "index"  # the recording's place among the inputs; only the parts of an unfinished run have it

# Every column, in its order; the type is Arrow's name for it, "texts" a list of texts.
COLUMNS: dict[str, str] = {
    "path": "string",
    "id": "string",  # what a manifest calls the recording
    "emotion": "string",  # the verdict
    "confidence": "double",
    **dict.fromkeys(LABELS, "double"),  # nine scores, sum 1
    "margin": "double",
    "certainty": "string",
    "silent": "bool",  # silence from beginning to end: the verdict means nothing
    "duration": "double",  # seconds of the file
    "peak": "double",
    "clipped": "double",
    "snr": "double",  # dB
    "silence": "double",  # share of the time
    "sha256": "string",  # of the file
    "model": "string",
    "weights": "string",  # SHA-256 of the model's weights
    "precision": "string",
    "seconds": "double",  # spent on it: decoding, and its share of the batch
    "warnings": "texts",
    "error": "string",  # why there is no verdict; empty when there is one
}


@dataclass(frozen=True)
class Keep:
    """What a row holds beside the verdict, and where: in its columns, in `.npy` files, or not at all ("")."""

    embeddings: Place = ""  # (D,) per recording, or (T, D) for frame granularity
    timelines: Place = ""  # (T, 9): smoothed probabilities every 20 ms

    def __post_init__(self) -> None:
        for place in (self.embeddings, self.timelines):
            if place not in PLACES:
                raise OptionError(f"Embeddings and timelines go to columns or npy, not “{place}”.")


def table(rows: Sequence[Row], keep: Keep, *, frames: bool) -> "pa.Table":
    """Return rows as an Arrow table with arrays in its columns, wherever they will go; `frames` as `schema`."""
    import pyarrow as pa

    return pa.Table.from_pylist(list(rows), schema=schema(keep, frames=frames))


def schema(keep: Keep, *, frames: bool) -> "pa.Schema":
    """Return the columns and types; `frames` says that embeddings are (T, D)."""
    import pyarrow as pa

    types = {"texts": pa.list_(pa.string()), "double": pa.float64(), "string": pa.string(), "bool": pa.bool_()}
    fields = [(INDEX, pa.int64()), *((name, types[kind]) for name, kind in COLUMNS.items())]
    if keep.embeddings:
        vector = pa.list_(pa.float32())
        fields.append(("embedding", pa.list_(vector) if frames else vector))
    if keep.timelines:
        fields.append(("timeline", pa.list_(pa.list_(pa.float32(), COUNT))))
        fields.append(("timeline_start", pa.float64()))  # seconds of the file: later than 0 when silence was trimmed
    return pa.schema(fields)


def answer(index: int, item: Item, report: Report, keep: Keep, *, decoding: float) -> Row:
    """Return the row of a recording that was heard; `decoding` is how many seconds it took to decode."""
    verdict, quality, speech = report.verdict, report.recording.quality, report.speech
    row = {
        INDEX: index,
        "path": item.path,
        "id": item.id,
        "emotion": verdict.emotion,
        "confidence": verdict.confidence,
        **verdict.scores,
        "margin": verdict.margin,
        "certainty": verdict.certainty,
        "silent": report.silent,
        "duration": quality.duration,
        "peak": quality.peak,
        "clipped": quality.clipped,
        "snr": quality.snr,
        "silence": quality.silence,
        "sha256": report.recording.source.sha256,
        "model": report.model.name,
        "weights": report.model.weights,
        "precision": report.model.precision,
        "seconds": decoding + sum(report.seconds.values()),
        "warnings": [note for note in report.warnings if note != report.model.note],  # that one belongs to every row
        "error": "",
    }
    if keep.embeddings:
        row["embedding"] = list(speech.embedding if speech.features is None else speech.features)
    if keep.timelines:
        row["timeline"] = list(speech.timeline.probabilities(report.options.smooth))
        row["timeline_start"] = speech.timeline.start
    return row


def failure(index: int, item: Item, sentence: str) -> Row:
    """Return the row of a recording that could not be heard: everything is empty but the reason."""
    return {INDEX: index, "path": item.path, "id": item.id, "warnings": [], "error": sentence or "It failed."}
