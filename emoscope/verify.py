"""An analysis of the past made again: is the answer the same, and if not, what is different."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emoscope.analyzer import Analyzer
from emoscope.errors import InputError
from emoscope.export import RESULT, SOUND
from emoscope.labels import LABELS
from emoscope.reopen import options_of, transcript_of
from emoscope.report import Report
from emoscope.results import Progress, quiet
from emoscope.settings import Options
from emoscope.transcript import FILE, TYPED, Transcript

ROUNDED = 0.01  # how far a probability may be off because the sound of a run has 16 bits: a percentage point
MODEL = ("name", "kind", "weights", "precision", "device")  # what decides what a model answers
SIDES = {"verdict": (), "voice": ("speech",), "words": ("text",)}  # where a report has nine probabilities


STRANGE = "{file} is no result of an analysis. Give a result.json that Emoscope wrote."


@dataclass(frozen=True)
class Verified:
    """Whether a result came out the same, and how closely that could be seen."""

    drifts: tuple["Drift", ...]
    exact: bool  # every digit was compared; else the sound had been rounded to 16 bits


@dataclass(frozen=True)
class Drift:
    """Something that was one way, and is another way now."""

    what: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.what}: {self.before} → {self.after}"


def verify(result: Path, analyzer: Analyzer, *, recording: Path | None = None, progress: Progress = quiet) -> Verified:
    """Analyse again what a `result.json`, or its folder, is about, with the same options.

    Without the recording itself, the sound in the folder is heard; the person's treatment of it was done already.
    Raises EmoscopeError, and so for a file that is no result, or another recording.
    """
    file = result / RESULT if result.is_dir() else result
    before = _read(file)
    exact = recording is not None or before.get("source") is None
    try:
        options, transcript = options_of(before["options"]), transcript_of(before.get("text"))
        source = before["source"] and str(before["source"]["sha256"])
        if source is None and transcript is None:
            raise LookupError("there is neither a recording nor a text")
    except (LookupError, TypeError, ValueError, AttributeError):
        raise InputError(STRANGE.format(file=file)) from None
    if recording is not None and source is not None:
        _check(recording, source)
    if options.transcribe and transcript and transcript.origin not in (TYPED, FILE):
        transcript = None  # a model wrote it down, and shall do so again
    after = _again(file.parent, recording, source, options, transcript, analyzer, progress)
    try:
        found = drifts(before, json.loads(json.dumps(after.to_dict())), tolerance=0.0 if exact else ROUNDED)
    except (LookupError, TypeError, ValueError, AttributeError):
        raise InputError(STRANGE.format(file=file)) from None
    return Verified(tuple(found), exact)


def _again(
    folder: Path,
    recording: Path | None,
    source: str | None,
    options: Options,
    transcript: Transcript | None,
    analyzer: Analyzer,
    progress: Progress,
) -> Report:
    if source is None and transcript is not None:
        return analyzer.read(transcript, options, progress=progress)
    if recording is None:
        recording, options = folder / SOUND, replace(options, trim=False, denoise=False, normalise=False)
    return analyzer.analyze(recording, options, transcript=transcript, progress=progress)


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes())
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}. Give the result.json of an analysis.") from None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InputError(STRANGE.format(file=file))
    return found


def _check(recording: Path, source: str) -> None:
    """Raise InputError unless a file is the recording with this SHA-256."""
    try:
        with recording.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{recording} cannot be read: {error.strerror}. Give the recording of the result.") from None
    if found != source:
        raise InputError(f"{recording} is not the recording of this result. Give the one it was made from.")


def drifts(before: dict[str, Any], after: dict[str, Any], *, tolerance: float = 0.0) -> list[Drift]:
    """Return what is different in a report of the same recording or text, both as `Report.to_dict` gives them.

    Probabilities may differ by `tolerance`; only without one do segments have to be the same, because where one begins
    turns on the last digit. Raises LookupError or TypeError for what is no report.
    """
    found = [*_models(before, after)]
    if before["emotion"] != after["emotion"]:
        found.append(Drift("emotion", before["emotion"], after["emotion"]))
    for side, path in SIDES.items():  # a report of one side has nothing to say but its verdict
        if path and before.get("mode") != "multimodal":
            break
        found += _scores(side, _at(before, path), _at(after, path), tolerance)
    found += _texts(before, after)
    if not tolerance:
        found += _segments(before.get("timeline"), after.get("timeline"))
    return found


def _models(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Drift]:
    for kind, path in (("speech model", ("model",)), ("text model", ("text", "model"))):
        first, second = _at(before, path) or {}, _at(after, path) or {}
        for name in MODEL:
            if first.get(name) != second.get(name):
                yield Drift(f"{kind}, {name}", str(first.get(name)), str(second.get(name)))


def _scores(side: str, before: dict[str, Any] | None, after: dict[str, Any] | None, tolerance: float) -> list[Drift]:
    if before is None or after is None:
        there = ("no answer", "an answer")
        return [Drift(side, there[before is not None], there[after is not None])] if before is not after else []
    first, second = _by_name(before), _by_name(after)
    return [
        Drift(f"{side}, {label}", f"{first[label]:.6f}", f"{second[label]:.6f}")
        for label in LABELS
        if abs(first[label] - second[label]) > tolerance
    ]


def _by_name(side: dict[str, Any]) -> dict[str, float]:
    """Return the probabilities, which a side may have among other things."""
    return {label: float(side["scores"][label]) for label in LABELS}


def _texts(before: dict[str, Any], after: dict[str, Any]) -> list[Drift]:
    first, second = _at(before, ("text", "text")), _at(after, ("text", "text"))
    return [Drift("text", first, second)] if first and second and first != second else []


def _segments(before: dict[str, Any] | None, after: dict[str, Any] | None) -> list[Drift]:
    first, second = ([] if timeline is None else timeline["segments"] for timeline in (before, after))
    if first == second:
        return []
    if len(first) != len(second):
        return [Drift("segments", str(len(first)), str(len(second)))]
    changed = sum(one != other for one, other in zip(first, second, strict=True))
    return [Drift("segments", f"{len(first)} of them", f"{changed} changed")]


def _at(found: Any, path: tuple[str, ...]) -> Any:
    """Return what stands at a path of a report, None where it does not go on."""
    for name in path:
        found = found and found.get(name)
    return found
