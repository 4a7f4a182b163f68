"""What the Speech + text tab does: a recording and its words in, one answer out, and fused again while one drags."""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np

from emoscope import models, multimodal
from emoscope.analyzer import decode
from emoscope.errors import Cancelled, InputError, ModelError
from emoscope.fusion import METHODS
from emoscope.heads import names
from emoscope.report import Heard, Report
from emoscope.results import Progress, quiet
from emoscope.settings import Options, Settings
from emoscope.studio import disagreements, present, reading, timeline, voices
from emoscope.studio.batches import NO_SOUND
from emoscope.studio.choices import find_model
from emoscope.studio.desk import Desk
from emoscope.studio.handlers import find_file, hand_out, lent, read_options, watch
from emoscope.studio.holdings import NOBODY, Page
from emoscope.studio.pace import WITH_WORDS
from emoscope.studio.plainly import plainly
from emoscope.studio.shelf import Shelf
from emoscope.studio.words import Language, say, translate
from emoscope.text.split import BROKEN
from emoscope.transcribe import read_file
from emoscope.transcript import FILE, TYPED, Line, Transcript

NOTHING_CHOSEN = "There is nothing to analyse yet: give a recording, what is said, or both."
GONE = "This result is no longer here. Analyse again, then write the files."
ALIKE = 0.5  # of a line's characters; one that shares fewer with a line of the file is another line
COMPARED = 400  # characters of a line that are compared, which takes their square
EMBEDDING = "embedding.npy"
PLACE, PLACE_AGAIN = "together", "together-again"  # what a page needs files for: a result, and its files of new weights


@dataclass(frozen=True, eq=False)
class Kept:
    """A result that a visitor may still change: its report without the sound, of which an hour is 230 MB."""

    report: Report  # with the weights of now
    file: Path  # the recording
    written: Options  # those of the files
    folders: list[Path] = field(default_factory=list)  # where there are files of it, the latest last

    @property
    def stale(self) -> bool:
        """Say whether the files hold other weights."""
        return self.report.options != self.written


@dataclass(frozen=True)
class Answered:
    """What the page shows of a result while its files are being written."""

    verdict: present.View
    voices: present.View | None
    timeline: present.View | None
    reading: present.View | None
    disagreements: present.View | None
    kept: Kept | None


@dataclass(frozen=True)
class Written:
    """What the page shows once there are files."""

    downloads: present.View
    heard: Transcript | None = None  # what was written down, to be corrected
    verdict: present.View | None = None  # where there is something to add to it


@dataclass(frozen=True)
class Changed:
    """What other weights change on the page."""

    kept: Kept
    verdict: present.View
    voices: present.View | None
    disagreements: present.View | None


class Handlers:
    """The tab's answers to what a visitor does."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.analyzer = desk.analyzer
        self.line = desk.line
        self.settings = desk.settings

    def analyze(self, chosen: Mapping[str, Any], language: Language) -> Iterator[present.View | Answered | Written]:
        """Yield how far the analysis is, its answer, and then the files; nothing more when the visitor stopped it."""
        with plainly(language):
            visit, given = chosen["visit"], _given(chosen)
            visit.page.needs_also(PLACE, *given)
            try:
                report = yield from watch(lambda progress: self._answer(chosen, progress), visit, language, WITH_WORDS)
            except Cancelled:
                return
            shelf = Shelf()
            visit.page.needs(PLACE, *given, shelf.folder)
            visit.page.needs(PLACE_AGAIN)
            kept = Kept(light(report), given[0], report.options) if report.together else None
            yield Answered(
                _verdict(report, language),
                voices.view(report, language),
                timeline.view(report, shelf) if report.heard else None,
                reading.view(report, shelf) if report.read else None,
                disagreements.view(report, language),
                kept,
            )
            yield present.progress("Writing the files", 0.0, None, language)
            written = self.desk.keep(report)
            if kept:
                kept.folders.extend((written.folder, shelf.folder))
            told = _verdict(report, language, written.note) if written.note else None
            yield Written(present.hand_over(written, shelf, language), _written_down(report), told)

    def fuse(self, kept: Kept | None, method: str, text_weight: float, language: Language) -> Changed | None:
        """Fuse a result with other weights, for which no model runs; None where there is nothing to fuse."""
        if kept is None:
            return None
        with plainly(language):
            heard, read = kept.report.heard, kept.report.read
            head = self.analyzer.readers.head(method, heard.model, read.model) if heard and read else None
            report = multimodal.fuse_again(kept.report, method=method, text_weight=text_weight, head=head)
            return Changed(
                replace(kept, report=report),
                {**_verdict(report, language), "again": True},
                voices.view(report, language),
                disagreements.view(report, language),
            )

    def write(self, kept: Kept | None, language: Language, page: Page = NOBODY) -> tuple[present.View, Kept]:
        """Write a result with the weights of now into a folder of its own; the recording is decoded again."""
        with plainly(language):
            if kept is None:
                raise InputError(GONE)
            report = replace(
                _whole(kept, self.settings), id=secrets.token_hex(8), made_at=datetime.now(UTC).astimezone()
            )
            shelf = Shelf()
            page.needs(PLACE_AGAIN, shelf.folder)
            written = self.desk.keep(report)
            kept.folders.append(written.folder)
            return present.hand_over(written, shelf, language), replace(kept, written=kept.report.options)

    def answer(self, chosen: Mapping[str, Any], page: Page = NOBODY) -> tuple[dict[str, Any], str]:
        """Analyze a recording and its words; return the report as JSON and a ZIP of everything that the run wrote."""
        with plainly(), lent(page, chosen["upload"]):
            return hand_out(self.desk, self._answer(chosen, quiet), page)

    def load(self, file: str, language: Language, page: Page = NOBODY) -> tuple[Transcript, str]:
        """Read a file of subtitles or text; return what is said, and a sentence about it."""
        with plainly(language), lent(page, file):
            found = read_file(Path(file))
            timed = sum(line.time is not None for line in found.lines)
            note = say("together.loaded", language, name=Path(file).name, lines=len(found.lines), timed=timed)
            return found, note

    def missing(self, language: Language) -> str:
        """Return why nothing can be written down on this machine, or nothing where it can."""
        try:
            models.resolve_transcriber(self.settings.models)
        except ModelError as error:
            return translate(str(error), language)
        return ""

    def ways(self) -> tuple[str, ...]:
        """Return every way of fusing that there is."""
        return (*METHODS, *names(self.settings.models))

    def _answer(self, chosen: Mapping[str, Any], progress: Progress) -> Report:
        said = edited(chosen.get("script"), (chosen["said"] or "").translate(BROKEN))
        found = {
            "model": find_model(chosen.get("model"), self.settings, "speech"),
            "text_model": find_model(chosen.get("text_model"), self.settings, "text"),
        }
        options = read_options({**chosen, **found})
        for file in _given(chosen):
            return self.line.analyze(file, options, transcript=said, name=file.name, progress=progress)
        if said is None:
            raise InputError(NOTHING_CHOSEN)
        return self.line.read(said, options, progress=progress)


def _given(chosen: Mapping[str, Any]) -> list[Path]:
    """Return the recording, if there is one."""
    try:
        return [find_file(chosen)]
    except InputError:
        return []


def from_model(script: Transcript | None) -> bool:
    """Say whether a model wrote it down, so that it belongs to one recording."""
    return script is not None and script.origin not in (TYPED, FILE)


def _written_down(report: Report) -> Transcript | None:
    return report.read.transcript if report.read and from_model(report.read.transcript) else None


def edited(script: Transcript | None, text: str) -> Transcript | None:
    """Return what stands in the text box, None where that is nothing.

    Lines of `script`, a file or what was written down, keep their times, those with a few corrections too.
    """
    if not text.strip():
        return None
    typed = Transcript.typed(text)
    if script is None:
        return typed
    lines, given = list(typed.lines), script.lines
    rows, before = [line.text for line in lines], [line.text for line in given]
    for what, first, last, start, end in SequenceMatcher(None, before, rows).get_opcodes():
        if what == "equal":
            lines[start:end] = given[first:last]
        elif what == "replace":
            for place, old in zip(range(start, end), given[first:last], strict=False):
                lines[place] = _corrected(rows[place], old)
    return replace(script, lines=tuple(lines)) if any(line.time for line in lines) else typed


def _corrected(text: str, old: Line) -> Line:
    """Return a line with the time of the one that it was, if it is still nearly that."""
    beginnings = old.text[:COMPARED], text[:COMPARED]
    alike = SequenceMatcher(None, *beginnings, autojunk=False).ratio() >= ALIKE
    return replace(old, text=text, moments=()) if alike else Line(text)


def _verdict(report: Report, language: Language, note: str = "") -> present.View:
    """Return the verdict, with what a person can do where a side was not given."""
    shown = present.verdict(report, language, note)
    missing = "together.no_words" if report.read is None else "together.no_recording" if report.heard is None else ""
    return {**shown, "warnings": [*shown["warnings"], *([say(missing, language)] if missing else [])]}


def light(report: Report) -> Report:
    """Return a report without what is large and never looked at again."""
    if report.heard is None:
        return report
    heard = report.heard
    recording, speech = replace(heard.recording, wave=NO_SOUND), replace(heard.speech, features=None)
    return replace(report, heard=Heard(recording, speech, heard.model))


def _whole(kept: Kept, settings: Settings) -> Report:
    """Return a kept report with its sound again, and with the features that its files have."""
    report, options, speech = kept.report, kept.report.options, kept.report.speech
    recording = decode(kept.file, settings, options, name=report.name)
    if options.embedding and options.granularity == "frame":
        files = [folder / EMBEDDING for folder in kept.folders]
        found = next(filter(Path.is_file, files), None)
        if found is None:
            options = replace(options, embedding=False)  # somebody has deleted them
        else:
            speech = replace(speech, features=np.load(found))
    return replace(report, options=options, heard=Heard(recording, speech, report.model))
