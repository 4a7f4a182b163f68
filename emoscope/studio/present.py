"""A report turned into what the page shows: words, numbers, and links to files."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emoscope import export
from emoscope.labels import EMOTIONS, emotion
from emoscope.report import Read, Report
from emoscope.results import ModelInfo, Recording, Verdict
from emoscope.studio import timeline
from emoscope.studio.shelf import Shelf
from emoscope.studio.words import LOCALES, Language, emotion_title, length_in, say, translate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from emoscope.analyzer import Status
    from emoscope.history import Kept
    from emoscope.models import Entry

View = dict[str, Any]  # JSON types: what one piece of the page is given

CONTAINERS = {"matroska,webm": "WebM", "mov,mp4,m4a,3gp,3g2,mj2": "MP4"}
SENTENCES = {
    "clear": "verdict.clear",
    "likely": "verdict.likely",
    "leaning": "verdict.leaning",
    "close call": "verdict.close",
}


def legend() -> list[View]:
    """Return the nine emotions as the page draws them, `name` being the value and `title` what people read."""
    return [
        {
            "name": each.name,
            "title": {language: emotion_title(each.name, language) for language in LOCALES},
            "emoji": each.emoji,
            "colour": each.colour,
        }
        for each in EMOTIONS
    ]


def status(now: "Status", language: Language) -> View:
    """Say which model can answer."""
    model = now.model
    shown = {"state": now.state, "name": translate(now.sentence, language), "detail": "", "note": ""}
    if model is not None:
        shown |= {"name": model.name, "detail": _runs(model, language), "note": translate(model.note, language)}
    amount = "" if now.done is None else f"{_percent(now.done)} · {translate(now.doing, language)}"
    busy = now.state == "loading" or now.done is not None
    return {**shown, "news": translate(now.news, language), "done": now.done, "amount": amount, "busy": busy}


def about(entries: "Iterable[Entry]", model: ModelInfo | None, language: Language) -> View:
    """Return the models on disk, each with its licence, authors and source, and which of them is the one loaded."""
    return {
        "models": [
            {
                "title": entry.title,
                "facts": _provenance(entry, language),
                "licence": translate(entry.licence, language),
                "authors": entry.authors,
                "now": model is not None and model.name == entry.folder.name,
            }
            for entry in entries
            if entry.state == "ready"
        ]
    }


def progress(what: str, done: float, left: float | None, language: Language) -> View:
    """Return how far an analysis is, `done` from 0 to 1, and the seconds left where they can be told."""
    return {"what": translate(what, language), "done": done, "left": left}


def ready(language: Language) -> View:
    """Return what `progress` shows before a task has said anything, which may be long where many wait."""
    return {"what": say("progress.begin", language), "done": 0.0, "left": None}


def answer(report: Report, kept: "Kept", shelf: Shelf, language: Language) -> tuple[View, View, View]:
    """Return what the verdict, the timeline and the downloads show of a report that was kept."""
    shown = verdict(report, language, kept.note)
    return shown, timeline.view(report, shelf), hand_over(kept, shelf, language)


def verdict(report: Report, language: Language, note: str = "") -> View:
    """Return the answer in words, and the nine scores from high to low; `note` is about how the report was kept."""
    found, notes = report.verdict, [model.note for model in report.models]
    ranked = sorted(EMOTIONS, key=lambda each: -found.scores[each.name])
    sentence = say("verdict.nothing", language) if report.silent else _sentence(found, language)
    return {
        **_headline(report, language),
        "silent": report.silent,
        "percent": _percent(found.confidence),
        "certainty": found.certainty,
        "sentence": sentence,
        "scores": [{"name": each.name, "score": found.scores[each.name]} for each in ranked],
        "file": report.name,
        "facts": _facts(report, language),
        "warnings": [translate(each, language) for each in (*report.warnings, note) if each and each not in notes],
        "model": _in_a_row(_answered(report, language), language),
        "note": _in_a_row((translate(note, language) for note in notes if note), language),
    }


def downloads(folder: Path, shelf: Shelf, language: Language) -> View:
    """Return the run's files, the ZIP of all of them apart."""
    listed = [_download(folder / name, shelf, language) for name in export.WRITERS if (folder / name).is_file()]
    return {"folder": folder.name, "files": listed, "whole": _download(find_archive(folder), shelf, language)}


def hand_over(kept: "Kept", shelf: Shelf, language: Language) -> View:
    """Return the files of a report that was just kept; in privacy mode they are the page's alone from now on."""
    with kept:
        found = downloads(kept.folder, shelf, language)
    return {**found, "folder": None} if kept.temporary else found


def find_archive(folder: Path) -> Path:
    """Return the ZIP of a run."""
    return folder / f"{folder.name}.zip"


def _download(file: Path, shelf: Shelf, language: Language) -> View:
    writer = export.WRITERS.get(file.name)
    what = translate(writer.what if writer else export.ARCHIVE, language)
    return {"name": file.name, "what": what, "size": _size(file.stat().st_size, language), "file": shelf.link(file)}


def _headline(report: Report, language: Language) -> View:
    if report.silent:
        return {"emoji": "🔇", "title": say("verdict.silence", language), "colour": "#9a9a9a"}
    winner = emotion(report.verdict.emotion)
    title = emotion_title(winner.name, language)
    return {"emoji": winner.emoji, "title": title.capitalize(), "colour": winner.colour}


def _sentence(found: Verdict, language: Language) -> str:
    percent = _percent(found.scores[found.runner_up])
    second = say("verdict.second", language, name=emotion_title(found.runner_up, language), percent=percent)
    points = round(100 * found.margin)
    if not points:
        return say("verdict.level", language, second=second)
    lead = say("verdict.point" if points == 1 else "verdict.points", language, count=points)
    return say(SENTENCES[found.certainty], language, lead=lead, second=second)


def _facts(report: Report, language: Language) -> list[str]:
    """Return what is known of the recording and of the text, and how long all of it took."""
    facts = _sound_facts(report.heard.recording, language) if report.heard else []
    if report.read:
        facts += _text_facts(report.read, language)
    return [*facts, say("verdict.took", language, seconds=f"{sum(report.seconds.values()):.1f}")]


def _text_facts(read: Read, language: Language) -> list[str]:
    counts = {"character": len(read.text.text), "sentence": len(read.text.sentences)}
    return [
        say(f"verdict.{what}" if count == 1 else f"verdict.{what}s", language, count=f"{count:,}")
        for what, count in counts.items()
    ]


def _answered(report: Report, language: Language) -> "Iterator[str]":
    """Say which model heard and which one read."""
    for part, key in ((report.heard, "verdict.heard"), (report.read, "verdict.read")):
        if part is not None:
            model = part.model
            yield say(key, language, model=model.name, precision=model.precision, device=model.device)


def _in_a_row(sentences: "Iterable[str]", language: Language) -> str:
    """Return sentences one after the other; Chinese ones need no space between them."""
    return (" " if language == "en" else "").join(sentences)


def _sound_facts(recording: Recording, language: Language) -> list[str]:
    quality, source = recording.quality, recording.source
    channels = say(
        {1: "verdict.mono", 2: "verdict.stereo"}.get(source.channels, "verdict.channels"),
        language,
        count=source.channels,
    )
    container = CONTAINERS.get(source.container, source.container.upper())
    rate = f"{source.sample_rate / 1000:g}"
    facts = [
        length_in(quality.duration, language),
        say("verdict.format", language, container=container, rate=rate, channels=channels),
        say("verdict.peak", language, level=_decibels(quality.peak)),
    ]
    if quality.snr is not None:
        facts.append(say("verdict.ratio", language, level=f"{quality.snr:.0f} dB"))
    facts.append(say("verdict.silent", language, percent=_percent(quality.silence)))
    return facts


def _runs(model: ModelInfo, language: Language) -> str:
    return say("page.runs", language, precision=model.precision, device=model.device)


def _provenance(entry: "Entry", language: Language) -> str:
    compared = say(f"about.{entry.certificate}", language) if entry.certificate else ""
    source = translate(entry.source, language)
    return say("about.comma", language).join(filter(None, (_size(entry.bytes, language), source, compared)))


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def _decibels(amplitude: float) -> str:
    if amplitude <= 0:
        return "−∞ dB"
    return f"{round(20 * math.log10(amplitude), 1) + 0:.1f} dB".replace("-", "−")  # + 0 turns −0.0 into 0.0


def _size(count: int, language: Language) -> str:
    """Return a size in bytes as people say it: "1.9 GB"."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return say("downloads.bytes", language, count=count)
