"""What the part `disagreements` is given of a report: the sentences that read one way and sound another."""

from typing import Any

from emoscope.labels import LABELS
from emoscope.multimodal import disagreements
from emoscope.report import Report
from emoscope.studio.words import Language, emotion_title, say
from emoscope.timeline import Floats

View = dict[str, Any]  # JSON types

MOST = 50  # that are listed; who wants all of an hour's finds them in the downloads


def view(report: Report, language: Language) -> View | None:
    """Return it, or None for a report of one side."""
    if report.read is None or report.together is None:
        return None
    found, text = disagreements(report), report.read.text.text
    rows = [
        {
            "text": text[each.start : each.end],
            "time": each.time,
            "reads": _lead(each.written),
            "sounds": _lead(each.spoken),
            "together": _lead(each.fused),
            "sentence": _sentence(each.written, each.spoken, language),
            "distance": each.distance,
        }
        for each in found[:MOST]
        if each.spoken is not None
    ]
    return {"rows": rows, "note": _note(report, len(found), language)}


def _lead(scores: Floats) -> View:
    return {"name": LABELS[int(scores.argmax())], "score": float(scores.max())}


def _sentence(written: Floats, spoken: Floats, language: Language) -> str:
    """Say it: "says happy, sounds angry"."""
    reads, sounds = (emotion_title(LABELS[int(scores.argmax())], language) for scores in (written, spoken))
    return say("together.disagrees", language, reads=reads, sounds=sounds)


def _note(report: Report, count: int, language: Language) -> str:
    """Return what else there is to say: why there are none, or that these are not all."""
    if report.together is None or not any(passage.time for passage in report.together.passages):
        return say("together.timeless", language)
    if not count:
        return say("together.agreed", language)
    if count > MOST:
        return say("together.most", language, shown=MOST, count=count)
    return ""
