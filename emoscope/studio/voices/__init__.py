"""What the part `voices` is given of a report: what the voice, the words, and both together say of every emotion."""

from typing import Any

from emoscope.compare import closeness
from emoscope.labels import EMOTIONS, LABELS
from emoscope.report import Report
from emoscope.studio.words import Language, emotion_title, say
from emoscope.timeline import Floats

View = dict[str, Any]  # JSON types


def view(report: Report, language: Language) -> View | None:
    """Return it, or None for a report of one side.

    A score is None where its side cannot say the emotion, or where there is nothing to hear. The order of the emotions
    is that of the larger of both scores, so that it stays while the weights change.
    """
    if report.heard is None or report.read is None or report.together is None:
        return None
    voice = None if report.heard.silent else report.heard.speech.scores
    words, fused = report.read.text.scores, report.together.fused
    says = report.read.text.says
    order = sorted(EMOTIONS, key=lambda each: -max(words[each.id], 0 if voice is None else voice[each.id]))
    counted = {side: round(100 * share) for side, share in fused.weights.items()}
    return {
        "headline": _headline(voice, words, language),
        "sides": {"voice": _lead(voice), "words": _lead(words), "together": _lead(fused.scores)},
        "rows": [
            {
                "name": each.name,
                "voice": None if voice is None else float(voice[each.id]),
                "words": float(words[each.id]) if says[each.id] else None,
                "together": float(fused.scores[each.id]),
            }
            for each in order
        ],
        "weight": fused.weights["speech"],
        "counted": say("together.counted", language, voice=counted["speech"], words=counted["text"]),
        **_distance(report.together.distance, language),
    }


def _lead(scores: Floats | None) -> View | None:
    if scores is None:
        return None
    return {"name": LABELS[int(scores.argmax())], "score": float(scores.max())}


def _headline(voice: Floats | None, words: Floats, language: Language) -> str:
    """Say in a sentence whether voice and words lead to the same emotion."""
    reads = emotion_title(LABELS[int(words.argmax())], language)
    if voice is None:
        return say("together.unheard", language, reads=reads)
    sounds = emotion_title(LABELS[int(voice.argmax())], language)
    return say("together.same" if sounds == reads else "together.apart", language, reads=reads, sounds=sounds)


def _distance(distance: float | None, language: Language) -> View:
    meaning = "" if distance is None else say(f"compare.{closeness(distance)}", language)
    return {"distance": distance, "meaning": meaning}
