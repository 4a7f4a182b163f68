"""What the timeline is given of a report: its sound, and small files of bytes that the browser reads along time."""

import json
import logging
from pathlib import Path
from textwrap import shorten
from threading import Timer
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoscope.audio import wav_bytes
from emoscope.audio.playback import write_m4a
from emoscope.multimodal import disagreements
from emoscope.report import Report
from emoscope.results import Verdict, Waveform
from emoscope.studio.shelf import Shelf
from emoscope.studio.words import LOCALES, translate
from emoscope.timeline import HOP, HOP_SECONDS, NAMES, RATE, Floats, Timeline

log = logging.getLogger(__name__)

View = dict[str, Any]  # JSON types

DECISIVE = 100  # frames, 2 s: about a phrase
FIRST_DRAW = 1.0  # seconds that the page gets to draw before the sound is compressed: both want the processor
LONG = 120.0  # seconds; what is shorter is played from its WAV, at most 4 MB
FINE, COARSE = 16, 80  # samples per column of the waveform: 1 ms, and 5 ms where that would be megabytes
LONGEST_TEXT = 240  # characters of a sentence that are shown on the timeline
MANY = 600 * RATE  # samples from which on the columns are coarse


def view(report: Report, shelf: Shelf) -> View:
    """Return what the part `timeline` shows of a report.

    A long recording is played from a compressed copy. It is made while the visitor looks at the timeline already:
    until it is there its file is empty, and `audio_comes` is true.
    """
    heard, smooth = report.speech.timeline, report.options.smooth
    wave = report.recording.wave
    step = FINE if len(wave.samples) < MANY else COARSE
    long = wave.seconds > LONG
    return {
        "audio": _compressed(wave, shelf) if long else shelf.put("sound.wav", wav_bytes(wave)),
        "audio_comes": long,
        "frames": shelf.put("frames.u8", pack_frames(heard).tobytes()),
        "wave": shelf.put("wave.i8", pack_wave(wave.samples, step).tobytes()),
        "segments": shelf.put("segments.json", pack_segments(heard, smooth).encode()),
        "evidence": _evidence(report, shelf),
        "said": shelf.put("said.json", pack_said(report).encode()) if _is_timed(report) else None,
        "hop": HOP_SECONDS,
        "wave_hop": step / RATE,
        "start": heard.start,
        "seconds": wave.seconds,
        "smooth": smooth,
    }


def pack_frames(timeline: Timeline) -> NDArray[np.uint8]:
    """Return (10, T) bytes: the square roots of nine raw probabilities, 255 being 1, and 255 where a frame is silent.

    The browser smooths, and takes classes away. As square roots even one in 60,000 is not 0, so that what is left is
    still known when the class that wins is taken away; with their sum brought to 1 again they are as exact as plain
    bytes.
    """
    roots = np.sqrt(timeline.probabilities(0).T)  # (9, T)
    packed: NDArray[np.uint8] = np.rint(255 * np.vstack([roots, timeline.silent])).astype(np.uint8)
    return packed


def pack_wave(samples: Floats, step: int) -> NDArray[np.int8]:
    """Return (N, 2) signed bytes: the lowest and highest of every `step` samples, 127 being the recording's peak."""
    starts = np.arange(0, len(samples), step)
    bounds = np.column_stack([np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)])
    peak = max(float(np.abs(bounds).max()), 1e-3)  # -60 dB: do not blow a silent recording up to full height
    packed: NDArray[np.int8] = np.rint(127 * bounds / peak).astype(np.int8)
    return packed


def pack_segments(timeline: Timeline, smooth: float) -> str:
    """Return the segments that the downloads have, as JSON: [class, start, end, probability], 9 being silence.

    The browser finds the same from the frames, but those are bytes: a boundary may be a frame off where two emotions
    are as likely. What a visitor reads is what the files say.
    """
    found = timeline.segments(smooth)
    return json.dumps([[NAMES.index(each.label), each.start, each.end, round(each.probability, 4)] for each in found])


def find_decisive(contributions: NDArray[np.float64]) -> tuple[int, int]:
    """Return the first frame, and the one after the last, of the 2 s that add up to the most; all when it is shorter.

    Of equals, the earlier.
    """
    frames = len(contributions)
    if frames <= DECISIVE:
        return 0, frames
    sums = np.cumsum(np.concatenate([[0.0], contributions]))
    first = int(np.argmax((sums[DECISIVE:] - sums[:-DECISIVE]).round(9)))
    return first, first + DECISIVE


def pack_said(report: Report) -> str:
    """Return the sentences whose times are known, and what else was heard beside the words, as JSON.

    A sentence is [class of the words, start, end, probability, text, class of the voice or null, whether the two
    disagree]; an event is [start, end, its name in every language].
    """
    if report.together is None or report.read is None:
        raise ValueError("there are no sentences along this recording")
    text, apart = report.read.text.text, {passage.start for passage in disagreements(report)}
    sentences = [
        [
            int(passage.written.argmax()),
            *(round(second, 3) for second in passage.time),
            round(float(passage.written.max()), 4),
            shorten(text[passage.start : passage.end], LONGEST_TEXT, placeholder="…"),
            None if passage.spoken is None else int(passage.spoken.argmax()),
            passage.start in apart,
        ]
        for passage in report.together.passages
        if passage.time
    ]
    events = [
        [*(round(second, 3) for second in line.time), {name: translate(event, name) for name in LOCALES}]
        for line in report.read.transcript.lines
        for event in line.events
        if line.time
    ]
    return json.dumps({"sentences": sentences, "events": events}, ensure_ascii=False)


def _is_timed(report: Report) -> bool:
    return report.together is not None and any(passage.time for passage in report.together.passages)


def _evidence(report: Report, shelf: Shelf) -> View | None:
    """Return what every frame added to the odds of the voice's verdict over the next emotion, and the decisive 2 s.

    None where there is nothing to hear.
    """
    if report.heard is None or report.heard.silent:
        return None
    heard, found = report.speech.timeline, Verdict.from_scores(report.speech.scores)
    against = found.runner_up if found.scores[found.runner_up] else None  # a model may know a single emotion
    shares = heard.contributions(found.emotion, against)  # (T,)
    first, last = find_decisive(shares)
    peak = float(np.abs(shares).max()) or 1.0
    supporting = float(shares.clip(0).sum()) or 1.0
    return {
        "curve": shelf.put("evidence.i8", np.rint(127 * shares / peak).astype(np.int8).tobytes()),
        "label": found.emotion,
        "against": against,
        "start": float(heard.times[first]),
        "end": heard.end if last == len(heard) else float(heard.times[first] + HOP * (last - first) / RATE),
        "share": max(0.0, float(shares[first:last].sum())) / supporting,  # of all that spoke for the verdict
    }


def _compressed(wave: Waveform, shelf: Shelf) -> View:
    """Return where the compressed copy is, or will be in a moment; an hour takes about ten seconds."""
    reference = shelf.put("sound.m4a", b"")
    later = Timer(FIRST_DRAW, _compress, (wave, Path(reference["path"])))
    later.daemon = True
    later.start()
    return reference


def _compress(wave: Waveform, file: Path) -> None:
    unfinished = file.with_name(f"unfinished-{file.name}")
    try:
        write_m4a(wave, unfinished)
        unfinished.replace(file)
    except OSError:  # the disk is full, or the process stops and its folder is gone; the page says that none came
        log.warning("the compressed copy of a sound could not be written", exc_info=True)
