"""A run as the history knows it, read off the folder that it left."""

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from emoscope.errors import StorageError
from emoscope.export import RESULT, VISITOR
from emoscope.labels import LABELS
from emoscope.report import Mode, Report, title
from emoscope.settings import ACCOUNT, GRANULARITIES
from emoscope.timeline import Floats

Kind: TypeAlias = Literal["speech", "text"]
EMBEDDINGS: dict[Kind, str] = {"speech": "embedding.npy", "text": "text_embedding.npy"}
BROKEN = "{file} holds no result of an analysis, or only a part of one. Analyse the recording again."


@dataclass(frozen=True)
class Run:
    """One analysis of the past: everything but its frames, which lie in its folder."""

    id: str
    folder: Path | None  # None where another machine, or another folder of results, has the files
    bytes: int  # of all files in the folder
    made_at: datetime
    mode: Mode
    name: str  # of the recording, or how the text begins
    sha256: str  # of the recording's file, or of the text
    duration: float | None  # seconds of the recording
    emotion: str
    confidence: float
    scores: dict[str, float]  # all nine
    silent: bool  # from beginning to end, so that the verdict means nothing
    granularity: str
    speech_model: str  # "" where none answered
    text_model: str
    models: dict[str, Any]  # by "speech" and "text": name, kind, hash of the weights, precision, device
    options: dict[str, Any]
    seconds: dict[str, float]  # per stage
    latency: float  # seconds, all stages together
    text: str  # that was read, "" where there was none
    visitor: str = ""  # the account whose it is, "" where it is nobody's in particular

    def to_dict(self) -> dict[str, Any]:
        """Return the run as JSON types."""
        found = {**vars(self), "made_at": self.made_at.isoformat(timespec="seconds")}
        return {**found, "folder": self.folder and str(self.folder)}


@dataclass(frozen=True, eq=False)
class Vector:
    """What a model made of a whole recording or text: (D,) float32, comparable with the same model's only."""

    kind: Kind
    weights: str  # hash of the model's
    values: Floats

    def to_bytes(self) -> bytes:
        """Return the numbers as they are stored."""
        return self.values.astype("<f4").tobytes()


@dataclass(frozen=True, eq=False)
class Entry:
    """What the history stores of a run."""

    row: dict[str, Any]  # by the columns of the table, without `number`, `place` and `folder`
    folder: Path
    vectors: tuple[Vector, ...] = ()

    @property
    def id(self) -> str:
        """Return the report's."""
        return str(self.row["id"])

    @classmethod
    def of(cls, report: Report, folder: Path) -> "Entry":
        """Describe a report that was written to its folder; raises StorageError where it is not there."""
        return cls(_row(folder), folder, _vectors(report))

    @classmethod
    def read(cls, folder: Path) -> "Entry":
        """Describe a run by its folder alone; its embedding is there where it was asked for."""
        row = _row(folder)
        return cls(row, folder, tuple(_stored_vectors(folder, row)))


def _row(folder: Path) -> dict[str, Any]:
    file = folder / RESULT
    try:
        return _columns(json.loads(file.read_bytes())) | {"bytes": size_of(folder), "visitor": _visitor(folder)}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise StorageError(BROKEN.format(file=file)) from error


def _visitor(folder: Path) -> str:
    """Return whose a folder is; raises ValueError or OSError where that cannot be told."""
    try:
        found = (folder / VISITOR).read_text("utf-8")
    except FileNotFoundError:
        return ""
    if not ACCOUNT.fullmatch(found):  # and it must not become somebody else's
        raise ValueError(f"{found!r} is no account")
    return found


def _columns(found: dict[str, Any]) -> dict[str, Any]:
    """Return what the table stores of a report's JSON; raises ValueError where that is something else."""
    sound, words = found.get("source"), found.get("text")
    text = words["text"] if words else ""
    models = {"speech": found.get("model"), "text": words and words["model"]}
    seconds = {stage: float(spent) for stage, spent in found["seconds"].items()}
    row = {
        "id": found["id"],
        "made_at": datetime.fromisoformat(found["timestamp"]).astimezone(),
        "mode": found.get("mode", "speech"),  # the only one there was when it was not said
        "name": sound["name"] if sound else title(text),
        "sha256": sound["sha256"] if sound else hashlib.sha256(text.encode("utf-8", "replace")).hexdigest(),
        "duration": None if found["duration"] is None else float(found["duration"]),
        "emotion": found["emotion"],
        "confidence": float(found["confidence"]),
        **{label: float(found["scores"][label]) for label in LABELS},
        "silent": bool(found.get("silent")),
        "granularity": found["granularity"],
        **{f"{kind}_model": model["name"] if model else "" for kind, model in models.items()},
        "models": {kind: model for kind, model in models.items() if model},
        "options": dict(found["options"]),
        "seconds": seconds,
        "latency": sum(seconds.values()),
        "text": text,
    }
    row = {name: clean(value) for name, value in row.items()}
    _check(row)
    return {**row, "found_by": folded(f"{row['name']}\n{row['text']}")}


def _check(row: dict[str, Any]) -> None:
    """Refuse what no report of ours says, before a database does."""
    chosen = (row["mode"], get_args(Mode)), (row["emotion"], LABELS), (row["granularity"], GRANULARITIES)
    for value, values in chosen:
        if value not in values:
            raise ValueError(f"{value!r} is none of {values}")
    if not re.fullmatch(r"[\w-]{1,64}", row["id"]) or not re.fullmatch(r"[0-9a-f]{64}", row["sha256"]):
        raise ValueError("an id and a hash are short names")
    if not all(0 <= row[name] <= 1 for name in ("confidence", *LABELS)):
        raise ValueError("probabilities go from 0 to 1")


def clean(value: Any) -> Any:
    """Replace what databases cannot store in texts: half characters and U+0000."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    if isinstance(value, dict):
        return {clean(key): clean(each) for key, each in value.items()}
    return [clean(each) for each in value] if isinstance(value, list) else value


def folded(text: str) -> str:
    """Return a text as it is searched: without the difference of large and small, and of ways to write a letter."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def size_of(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    with os.scandir(folder) as found:
        return sum(each.stat(follow_symlinks=False).st_size for each in found if each.is_file(follow_symlinks=False))


def _vectors(report: Report) -> tuple[Vector, ...]:
    found = []
    if report.heard:
        found.append(Vector("speech", report.heard.model.weights, report.heard.speech.embedding))
    if report.read:
        found.append(Vector("text", report.read.model.weights, report.read.text.embedding))
    return tuple(found)


def _stored_vectors(folder: Path, row: dict[str, Any]) -> Iterator[Vector]:
    """Read the embeddings that a run was asked for; of frames, (T, D), the whole recording's is the mean."""
    for kind, name in EMBEDDINGS.items():
        try:
            values = np.load(folder / name)
            weights = str(row["models"][kind]["weights"])
        except (OSError, ValueError, LookupError, TypeError):
            continue  # none was asked for, or it is no longer whole
        if values.dtype.kind == "f" and values.ndim in (1, 2) and values.size and np.isfinite(values).all():
            yield Vector(kind, weights, values.mean(axis=0) if values.ndim == 2 else values)
