"""What the reading is given of a report: its sentences, how each reads and sounds, and what every word did."""

import json
from typing import Any

from emoscope.multimodal import disagreements
from emoscope.report import Passage, Report
from emoscope.results import Sentence
from emoscope.studio.shelf import Shelf
from emoscope.timeline import Floats

DECIMALS = 4  # of probabilities; a hundredth of a point


def view(report: Report, shelf: Shelf) -> dict[str, Any]:
    """Return what the part `reading` shows of a report with a text.

    It is a file, because Gradio's own scripts copy the values of a page several times, and a long text has megabytes.
    """
    return {"file": shelf.put("reading.json", json.dumps(pack(report), separators=(",", ":")).encode())}


def pack(report: Report) -> dict[str, Any]:
    """Return the text, its language, and its sentences; scores and contributions are rows of nine, as in `LABELS`.

    Spans are characters of the text. What was said has its time when there is sound to play, and how it sounds when
    there was any then; `apart` says whether the two are far apart.
    """
    if report.read is None:
        raise ValueError("this report has no text")
    heard = {(each.start, each.end): each for each in report.together.passages} if report.together else {}
    apart = {(each.start, each.end) for each in disagreements(report)}
    return {
        "text": report.read.text.text,
        "language": report.read.transcript.language,
        "sentences": [
            {**_written(each), **_spoken(heard.get((each.start, each.end))), "apart": (each.start, each.end) in apart}
            for each in report.read.text.sentences
        ],
    }


def _written(sentence: Sentence) -> dict[str, Any]:
    return {
        "start": sentence.start,
        "end": sentence.end,
        "scores": _rounded(sentence.scores),
        "words": [
            {"start": word.start, "end": word.end, "contributions": _rounded(word.contributions)}
            for word in sentence.words
        ],
    }


def _spoken(passage: Passage | None) -> dict[str, Any]:
    if passage is None:
        return {"time": None, "spoken": None, "distance": None}
    spoken = None if passage.spoken is None else _rounded(passage.spoken)
    return {"time": passage.time, "spoken": spoken, "distance": passage.distance}


def _rounded(row: Floats) -> list[float]:
    return [round(float(value), DECIMALS) for value in row]
