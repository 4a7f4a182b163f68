"""A report turned into what the page shows: words, numbers, and small files for the timeline."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emoscope import export
from emoscope.audio.words import length
from emoscope.labels import EMOTIONS, emotion
from emoscope.results import Quality, Report, Source, Verdict
from emoscope.studio.shelf import Shelf
from emoscope.timeline import HOP, HOP_SECONDS, Floats, Timeline

if TYPE_CHECKING:
    from collections.abc import Iterable

    from emoscope.analyzer import Status
    from emoscope.models import Entry

View = dict[str, Any]  # JSON types: what one piece of the page is given

CONTAINERS = {"matroska,webm": "WebM", "mov,mp4,m4a,3gp,3g2,mj2": "MP4"}


def legend() -> list[View]:
    """Return the nine emotions as the page draws them."""
    return [{"name": each.name, "emoji": each.emoji, "colour": each.colour} for each in EMOTIONS]


def status(now: "Status") -> View:
    """Say which model can answer."""
    model = now.model
    shown = {"state": now.state, "name": now.sentence, "detail": "", "note": ""}
    if model is not None:
        shown |= {"name": model.name, "detail": f"{model.precision} on {model.device}", "note": model.note}
    amount = "" if now.done is None else f"{_percent(now.done)} · {now.doing}"
    busy = now.state == "loading" or now.done is not None
    return {**shown, "news": now.news, "done": now.done, "amount": amount, "busy": busy}


def about(entries: "Iterable[Entry]") -> View:
    """Return the models on disk, each with its licence, authors and source."""
    compared = {"certified": "slim weights certified", "refused": "served by FunASR's own network", "": ""}
    return {
        "models": [
            {
                "title": entry.title,
                "facts": ", ".join(filter(None, (_size(entry.bytes), entry.source, compared[entry.certificate]))),
                "licence": entry.licence,
                "authors": entry.authors,
            }
            for entry in entries
            if entry.state == "ready"
        ]
    }


def verdict(report: Report) -> View:
    """Return the answer in words, and the nine scores from high to low."""
    found, winner = report.verdict, emotion(report.verdict.emotion)
    ranked = sorted(EMOTIONS, key=lambda each: -found.scores[each.name])
    answer = {"emoji": winner.emoji, "title": winner.name.capitalize(), "colour": winner.colour}
    return {
        **(answer if not report.silent else {"emoji": "🔇", "title": "Silence", "colour": "#9a9a9a"}),
        "silent": report.silent,
        "percent": _percent(found.confidence),
        "certainty": found.certainty,
        "sentence": "There is nothing to hear in this recording." if report.silent else _sentence(found),
        "scores": [{"name": each.name, "score": found.scores[each.name]} for each in ranked],
        "file": report.recording.source.name,
        "facts": _facts(report.recording.quality, report.recording.source, report.seconds),
        "warnings": [warning for warning in report.warnings if warning != report.model.note],
        "model": f"Heard by {report.model.name}, {report.model.precision} on {report.model.device}.",
        "note": report.model.note,
    }


def timeline(report: Report, audio: Path, shelf: Shelf) -> View:
    """Return the timeline: its sound, and its frames, waveform and segments as files.

    Files, because a page that gets an hour of numbers inside its own data stands still for half a minute.
    """
    heard, smooth = report.speech.timeline, report.options.smooth
    wave = report.recording.wave
    segments = [asdict(segment) for segment in heard.segments(smooth)]
    return {
        "audio": shelf.link(audio),
        "frames": shelf.put("frames.u8", pack_frames(heard, smooth).tobytes()),
        "wave": shelf.put("wave.i8", pack_wave(wave.samples).tobytes()),
        "segments": shelf.put("segments.json", json.dumps(segments).encode()),
        "hop": HOP_SECONDS,
        "start": heard.start,
        "seconds": wave.seconds,
        "smooth": smooth,
    }


def pack_frames(timeline: Timeline, smooth: float) -> NDArray[np.uint8]:
    """Return (T, 10) bytes: nine probabilities of which 255 is 1, and 255 where the frame is silent."""
    probabilities = timeline.probabilities(smooth)  # (T, 9)
    silent = timeline.silent.astype(np.float32)[:, None]  # (T, 1)
    packed: NDArray[np.uint8] = np.rint(255 * np.hstack([probabilities, silent])).astype(np.uint8)
    return packed


def pack_wave(samples: Floats) -> NDArray[np.int8]:
    """Return (N, 2) signed bytes: the lowest and highest sample of every 20 ms, 127 being the recording's peak."""
    starts = np.arange(0, len(samples), HOP)
    bounds = np.column_stack([np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)])
    peak = max(float(np.abs(bounds).max()), 1e-3)  # -60 dB: do not blow a silent recording up to full height
    packed: NDArray[np.int8] = np.rint(127 * bounds / peak).astype(np.int8)
    return packed


def downloads(folder: Path, shelf: Shelf) -> View:
    """Return the run's files, the ZIP of all of them apart."""
    listed = [_download(folder / name, shelf) for name in export.WRITERS if (folder / name).is_file()]
    return {"folder": folder.name, "files": listed, "whole": _download(find_archive(folder), shelf)}


def find_archive(folder: Path) -> Path:
    """Return the ZIP of a run."""
    return folder / f"{folder.name}.zip"


def _download(file: Path, shelf: Shelf) -> View:
    writer = export.WRITERS.get(file.name)
    what = writer.what if writer else export.ARCHIVE
    return {"name": file.name, "what": what, "size": _size(file.stat().st_size), "file": shelf.link(file)}


def _sentence(found: Verdict) -> str:
    second = f"{found.runner_up} ({_percent(found.scores[found.runner_up])})"
    points = round(100 * found.margin)
    lead = f"{points} point{'s' * (points != 1)}" if points else "less than a point"
    if found.certainty == "close call":
        return f"A close call: {'only ' * bool(points)}{lead} ahead of {second}."
    return f"{found.certainty.capitalize()}: {lead} ahead of {second}."


def _facts(quality: Quality, source: Source, seconds: dict[str, float]) -> list[str]:
    channels = {1: "mono", 2: "stereo"}.get(source.channels, f"{source.channels} channels")
    container = CONTAINERS.get(source.container, source.container.upper())
    facts = [
        length(quality.duration),
        f"{container}, {source.sample_rate / 1000:g} kHz, {channels}",
        f"peak {_decibels(quality.peak)}",
    ]
    if quality.snr is not None:
        facts.append(f"signal to noise about {quality.snr:.0f} dB")
    facts.append(f"{_percent(quality.silence)} silence")
    facts.append(f"analysed in {sum(seconds.values()):.1f} s")
    return facts


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def _decibels(amplitude: float) -> str:
    if amplitude <= 0:
        return "−∞ dB"
    return f"{round(20 * math.log10(amplitude), 1) + 0:.1f} dB".replace("-", "−")  # + 0 turns −0.0 into 0.0


def _size(count: int) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} bytes"
