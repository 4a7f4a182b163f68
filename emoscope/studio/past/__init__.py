"""What the part `past` is given of the history: a page of runs, and what the visitor looks for."""

from collections.abc import Mapping, Sequence
from typing import Any

from emoscope.history import ORDERS, Run
from emoscope.labels import LABELS
from emoscope.studio.words import Language, length_in, say

View = dict[str, Any]  # JSON types


def view(
    runs: Sequence[Run],
    asked: Mapping[str, Any],
    *,
    total: int,
    size: int,
    models: list[str],
    everything: bool,
    private: bool,
    language: Language,
) -> View:
    """Return `runs`, a page of `size`, of `total` that are meant; a sentence says why that is nothing."""
    empty = "" if total else say("history.empty" if everything else "history.none", language)
    return {
        "state": "ready",
        "sentence": empty,
        "note": say("history.private", language) if private else "",
        "asked": dict(asked),
        "everything": everything,
        "total": total,
        "size": size,
        "models": models,
        "orders": list(ORDERS),
        "rows": [row(run, language) for run in runs],
    }


def without(state: str, sentence: str, asked: Mapping[str, Any]) -> View:
    """Return what is shown where there is no history; `state` is "private" or "away"."""
    return {"state": state, "sentence": sentence, "asked": dict(asked)}


def row(run: Run, language: Language) -> View:
    """Return one run; its moment is that of this machine's clock, which the days are counted by."""
    return {
        "id": run.id,
        "when": f"{run.made_at.astimezone():%Y-%m-%dT%H:%M:%S}",
        "name": run.name,
        "mode": run.mode,
        "emotion": run.emotion,
        "silent": run.silent,
        "confidence": run.confidence,
        "scores": [round(1000 * run.scores[label]) for label in LABELS],
        "model": " + ".join(filter(None, (run.speech_model, run.text_model))),
        "length": "" if run.duration is None else length_in(run.duration, language),
        "here": run.folder is not None,
        "sounds": run.folder is not None and run.duration is not None,
    }
