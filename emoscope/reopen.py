"""A run's folder -> the report that was written to it, so that everything that shows a report can show an old one."""

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

import numpy as np

from emoscope import audio
from emoscope.errors import StorageError
from emoscope.export import FRAMES, RESULT, SOUND
from emoscope.fusion import Fused
from emoscope.labels import LABELS
from emoscope.report import Heard, Passage, Read, Report, Together
from emoscope.results import ModelInfo, Quality, Recording, Sentence, Source, SpeechResult, TextResult, Word
from emoscope.settings import Options
from emoscope.timeline import Flags, Floats, Timeline
from emoscope.transcript import Line, Moment, Transcript

Value = TypeVar("Value")
Json = dict[str, Any]

BROKEN = "The files in {folder} are damaged, or some are missing. Analyse the recording again."
FRAMELESS = "The run in {folder} kept no frames, so it has no timeline. Analyse the recording again."
STRANGE = (OSError, EOFError, BadZipFile, ValueError, LookupError, TypeError, AttributeError)  # what files may give


def read(folder: Path) -> Report:
    """Return the report whose files lie in a folder; raises StorageError where they are gone or not whole.

    The sound has the 16 bits of its file. Embeddings and features are there where they were asked for; else the
    embedding is empty, (0,).
    """
    try:
        found = json.loads((folder / RESULT).read_bytes())
        if found["source"] and not (folder / FRAMES).is_file():
            raise StorageError(FRAMELESS.format(folder=folder.name))
        return _report(found, folder)
    except STRANGE as error:
        raise StorageError(BROKEN.format(folder=folder.name)) from error


def options_of(stored: Json) -> Options:
    """Return the options that stand in a report; what there was not yet keeps its default."""
    return _value(Options, stored)


def transcript_of(words: Json | None) -> Transcript | None:
    """Return the transcript that stands in a report's part about its text, without the times of single words."""
    if words is None:
        return None
    stored = words["transcript"]
    lines = tuple(
        Line(line["text"], line["time"] and tuple(line["time"]), line["emotion"], tuple(line["events"]))
        for line in stored["lines"]
    )
    return Transcript(lines, stored["origin"], stored["language"], stored["confidence"])


def _report(found: Json, folder: Path) -> Report:
    heard = _heard(found, folder) if found["source"] else None
    words = _words(found["text"], folder) if found.get("text") else None
    return Report(
        id=found["id"],
        made_at=datetime.fromisoformat(found["timestamp"]),
        options=options_of(found["options"]),
        seconds={stage: float(seconds) for stage, seconds in found["seconds"].items()},
        heard=heard,
        read=words,
        together=_together(found["fusion"]) if heard and words else None,
        warnings=tuple(found["warnings"]),
    )


def _heard(found: Json, folder: Path) -> Heard:
    wave = audio.read_wav(folder / SOUND)
    with (folder / FRAMES).open("rb") as file, np.load(file) as frames:
        timeline = Timeline(frames["logits"], frames["silent"], start=float(frames["times"][0]), seconds=wave.seconds)
    quality = _value(Quality, found["quality"])
    recording = Recording(
        wave,
        _value(Source, found["source"]),
        replace(quality, warnings=tuple(quality.warnings)),
        offset=timeline.start,
        silences=tuple(_silences(timeline)),
    )
    kept = _array(folder / "embedding.npy")
    features = kept if kept.ndim == 2 else None
    embedding: Floats = kept if features is None else features.mean(axis=0)
    return Heard(recording, SpeechResult(timeline, embedding, features), _value(ModelInfo, found["model"]))


def _silences(timeline: Timeline) -> Iterator[tuple[float, float]]:
    """Yield the stretches of silent frames, in seconds within the waveform."""
    changes = np.flatnonzero(np.diff(timeline.silent, prepend=False, append=False))
    times = [*(timeline.times - timeline.start).tolist(), timeline.seconds]
    for first, last in list(pairwise(changes.tolist()))[::2]:
        yield times[first], times[last]


def _words(found: Json, folder: Path) -> Read:
    transcript = transcript_of(found)
    if transcript is None:
        raise ValueError("there is no text")
    sentences = tuple(
        Sentence(
            each["start"],
            each["end"],
            _scores(each["scores"]),
            tuple(Word(word["start"], word["end"], _scores(word["contributions"])) for word in each["words"]),
        )
        for each in found["sentences"]
    )
    scores = _scores(found["scores"])
    # A model gives everything that it can say more than nothing.
    says: Flags = np.any([scores, *(sentence.scores for sentence in sentences)], axis=0)
    text = TextResult(found["text"], scores, found["own"], sentences, _array(folder / "text_embedding.npy"), says)
    return Read(_timed(transcript, found["sentences"]), text, _value(ModelInfo, found["model"]))


def _timed(transcript: Transcript, sentences: list[Json]) -> Transcript:
    """Return the transcript with the times of its sentences, the only ones beside its lines' that a result has."""
    lines, first = [], 0
    for line in transcript.lines:
        last = first + len(line.text)
        moments = (
            Moment(max(0, each["start"] - first), min(last, each["end"]) - first, *each["time"])
            for each in sentences
            if each["time"] and each["start"] < last and each["end"] > first
        )
        lines.append(replace(line, moments=tuple(moments)) if line.time else line)
        first = last + 1
    return replace(transcript, lines=tuple(lines))


def _together(found: Json) -> Together:
    passages = tuple(
        Passage(
            each["start"],
            each["end"],
            each["time"] and tuple(each["time"]),
            _scores(each["written"]),
            each["spoken"] and _scores(each["spoken"]),
            _scores(each["fused"]),
            each["distance"],
        )
        for each in found["passages"]
    )
    fused = Fused(_scores(found["scores"]), found["method"], found["weights"], found["note"])
    return Together(fused, passages, found["distance"])


def _scores(by_name: Json) -> Floats:
    """Return nine numbers in the order of the labels, (9,)."""
    return np.array([by_name[label] for label in LABELS], np.float32)


def _array(file: Path) -> Floats:
    """Return what was kept of an embedding, (D,) or (T, D); (0,) where that is nothing."""
    return np.load(file).astype(np.float32) if file.is_file() else np.zeros(0, np.float32)


def _value(kind: type[Value], stored: Json) -> Value:
    """Return a value of a data class from its fields; what there was not yet keeps its default."""
    return kind(**{each.name: stored[each.name] for each in fields(kind) if each.name in stored})  # type: ignore[arg-type]  # it is a data class
