"""What the Speech tab's events do; each one parses, calls the analyzer, and hands a report to be presented."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from emoscope.errors import Cancelled, InputError
from emoscope.report import Report
from emoscope.results import Progress, quiet
from emoscope.settings import Options
from emoscope.studio import present, timeline
from emoscope.studio.choices import find_model
from emoscope.studio.desk import Desk
from emoscope.studio.holdings import NOBODY, Page
from emoscope.studio.pace import STEPS, Pace
from emoscope.studio.plainly import plainly
from emoscope.studio.shelf import Shelf
from emoscope.studio.words import Language
from emoscope.studio.work import Work

T = TypeVar("T")

NOTHING_CHOSEN = "There is no recording yet: choose a file, or record yourself, then analyse."


@dataclass
class Visit:
    """One visitor's analyses, counted; Gradio copies this for every visitor, so it holds no lock and no event."""

    turn: int = 0
    page: Page = field(default_factory=lambda: NOBODY)  # which they are asked for on

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
        self.desk = desk
        self.settings = desk.settings

    def analyze(self, chosen: Mapping[str, Any], language: Language) -> Iterator[present.View | Answered]:
        """Yield how far the analysis is, its answer, and then the files; nothing more when the visitor stopped it.

        The files of an hour take seconds to write, and nobody has to wait for them to see the timeline.
        """
        with plainly(language):
            visit: Visit = chosen["visit"]
            file = find_file(chosen)
            visit.page.needs_also("speech", file)
            try:
                report = yield from watch(lambda progress: self._hear(chosen, progress), visit, language)
            except Cancelled:
                return
            shelf = Shelf()
            visit.page.needs("speech", file, shelf.folder)
            yield Answered(present.verdict(report, language), timeline.view(report, shelf))
            yield present.progress("Writing the files", 0.0, None, language)
            kept = self.desk.keep(report)
            told = present.verdict(report, language, kept.note) if kept.note else None
            yield Answered(told, downloads=present.hand_over(kept, shelf, language))

    def answer(self, chosen: Mapping[str, Any], page: Page = NOBODY) -> tuple[dict[str, Any], str]:
        """Analyze a recording; return the report as JSON and a ZIP of everything that the run wrote."""
        with plainly(), lent(page, chosen["upload"]):
            return hand_out(self.desk, self._hear(chosen, quiet), page)

    def _hear(self, chosen: Mapping[str, Any], progress: Progress) -> Report:
        model = find_model(chosen.get("model"), self.settings, "speech")
        file, options = find_file(chosen), read_options({**chosen, "model": model})
        return self.desk.line.analyze(file, options, name=file.name, progress=progress)


@contextmanager
def lent(page: Page, file: str | None) -> Iterator[None]:
    """Have a program's page need the file that it sent, until the end."""
    if not file:
        yield
        return
    page.needs(file, Path(file))
    try:
        yield
    finally:
        page.needs(file)


def hand_out(desk: Desk, report: Report, page: Page) -> tuple[dict[str, Any], str]:
    """Keep a report; return it as JSON, and where a program's page finds a ZIP of everything that was written."""
    shelf, found = Shelf(), report.to_dict()
    page.fetches(shelf.folder.name, shelf.folder)
    with desk.keep(report) as kept:
        found["warnings"] += filter(None, [kept.note])
        return found, shelf.link(present.find_archive(kept.folder))["path"]


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


def watch(
    task: Callable[[Progress], T], visit: Visit, language: Language, steps: Mapping[str, tuple[float, float]] = STEPS
) -> Generator[present.View, None, T]:
    """Yield how far a task is, and return what it gives; raises Cancelled when its visitor has moved on."""
    pace, work = Pace(steps), Work(lambda tell: task(until_moved_on(tell, visit)))
    for moment in work:
        pace.follow(moment)
        yield present.progress(moment.what, pace.done, pace.left, language)
    return work.result()


def until_moved_on(tell: Progress, visit: Visit) -> Progress:
    """Return a progress function that also ends the work when the visitor has moved on, or gone."""
    mine = visit.turn

    def listen(what: str, done: float) -> None:
        if visit.turn != mine or visit.page.closed:
            raise Cancelled("The analysis was stopped.")
        tell(what, done)

    return listen
