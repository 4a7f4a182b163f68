"""What the Speech tab's events do; each one parses, calls the analyzer, and hands a report to be presented."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from emoscope import export, models
from emoscope.errors import Cancelled, InputError, OptionError
from emoscope.results import Progress, Report, quiet
from emoscope.settings import Options
from emoscope.studio import present, timeline
from emoscope.studio.desk import Desk
from emoscope.studio.pace import Pace
from emoscope.studio.plainly import plainly
from emoscope.studio.shelf import Shelf
from emoscope.studio.words import Language
from emoscope.studio.work import Work

NOTHING_CHOSEN = "There is no recording yet: choose a file, or record yourself, then analyse."
AUTOMATIC = "auto"


@dataclass
class Visit:
    """One visitor's analyses, counted; Gradio copies this for every visitor, so it holds no lock and no event."""

    turn: int = 0

    def move_on(self) -> None:
        """Begin another analysis, or none: whatever ran until now is to stop."""
        self.turn += 1


@dataclass(frozen=True)
class Answered:
    """What the page shows of an analysis; what is None stays as it is."""

    verdict: present.View | None = None
    timeline: present.View | None = None
    downloads: present.View | None = None


class Handlers:
    """The studio's answers to what a visitor does."""

    def __init__(self, desk: Desk) -> None:
        self.analyzer = desk.analyzer
        self.settings = desk.settings

    def analyze(self, chosen: Mapping[str, Any], language: Language) -> Iterator[present.View | Answered]:
        """Yield how far the analysis is, its answer, and then the files; nothing more when the visitor stopped it.

        The files of an hour take seconds to write, and nobody has to wait for them to see the timeline.
        """
        pace = Pace()
        with plainly(language):
            work = Work(lambda tell: self._hear(chosen, until_moved_on(tell, chosen["visit"])))
            for moment in work:
                pace.follow(moment)
                yield present.progress(moment.what, pace.done, pace.left, language)
            try:
                report = work.result()
            except Cancelled:
                return
            shelf = Shelf()
            yield Answered(present.verdict(report, language), timeline.view(report, shelf))
            yield present.progress("Writing the files", 0.0, None, language)
            folder = export.write(report, self.settings.outputs)
            yield Answered(downloads=present.downloads(folder, shelf, language))

    def answer(self, file: str, granularity: str, embedding: bool, smooth: float) -> tuple[dict[str, Any], str]:
        """Analyze a recording; return the report as JSON and a ZIP of everything that the run wrote."""
        chosen = {"upload": file, "granularity": granularity, "embedding": embedding, "smooth": smooth}
        with plainly():
            report = self._hear(chosen, quiet)
            folder = export.write(report, self.settings.outputs)
            whole = Shelf().link(present.find_archive(folder))
            return report.to_dict(), whole["path"]

    def offered(self) -> dict[str, models.Entry]:
        """Return the models on disk by what the form calls them, which is never a path."""
        entries = models.inventory(self.settings.models)
        return {entry.folder.name: entry for entry in entries if entry.state == "ready"}

    def _hear(self, chosen: Mapping[str, Any], progress: Progress) -> Report:
        file, options = find_file(chosen), read_options({**chosen, "model": self._find_model(chosen)})
        return self.analyzer.analyze(file, options, name=file.name, progress=progress)

    def _find_model(self, chosen: Mapping[str, Any]) -> str:
        """Return the chosen model's name; a visitor must not name a folder of this machine."""
        name = chosen.get("model") or AUTOMATIC
        if name == AUTOMATIC:
            return AUTOMATIC
        if name not in (offered := self.offered()):
            raise OptionError(f"There is no model “{name}” on this machine. Choose one of the list.")
        return offered[name].name


def find_file(chosen: Mapping[str, Any]) -> Path:
    """Return the recording that the visitor means: the last source they turned to."""
    file = chosen["recording" if chosen.get("source") == "microphone" else "upload"]
    if not file:
        raise InputError(NOTHING_CHOSEN)
    return Path(file)


def read_options(chosen: Mapping[str, Any]) -> Options:
    """Read the options off the form; what the form does not have keeps its default."""
    names = {field.name for field in fields(Options)}
    return Options(**{name: value for name, value in chosen.items() if name in names})


def until_moved_on(tell: Progress, visit: Visit) -> Progress:
    """Return a progress function that also ends the work when the visitor has moved on."""
    mine = visit.turn

    def listen(what: str, done: float) -> None:
        if visit.turn != mine:
            raise Cancelled("The analysis was stopped.")
        tell(what, done)

    return listen
