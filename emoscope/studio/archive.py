"""What the History tab does: runs of the past found, opened again, compared, deleted, and seen from afar."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

from emoscope import reopen
from emoscope.errors import InputError, OptionError, StorageError
from emoscope.export import SOUND
from emoscope.history import ORDERS, Chart, Filter, History, Run, write_csv
from emoscope.history.entry import Kind
from emoscope.labels import LABELS
from emoscope.results import Progress, quiet
from emoscope.studio import chart, difference, disagreements, nearby, past, present, reading, timeline, trends, voices
from emoscope.studio.desk import Desk
from emoscope.studio.holdings import Page
from emoscope.studio.pace import Pace
from emoscope.studio.plainly import plainly
from emoscope.studio.shelf import Shelf
from emoscope.studio.words import Language, say, translate
from emoscope.studio.work import Work

View = present.View

PAGE = 15  # runs at a time: about what a screen holds
NEAREST = 10
SIDES = ("a", "b")
VIEWS = ("runs", "trends", "map")
KINDS: tuple[str, ...] = get_args(Kind)
LONGEST = 500  # characters that can be searched for
MANY = 10**9  # more than there are pages
MOST = 1000  # runs that one can choose by hand
TABLE = "history.csv"
ARRANGING = {"Arranging the runs": (0.0, 1.0)}


@dataclass(frozen=True)
class Asked:
    """What a visitor looks for, and how they look at it."""

    text: str = ""
    emotions: tuple[str, ...] = ()
    since: str = ""  # a day, as 2026-03-01, and included
    until: str = ""  # a day, and included too
    source: str = ""
    model: str = ""
    mode: str = ""
    order: str = "newest"
    page: int = 0
    view: str = "runs"  # one of VIEWS
    of: str = "speech"  # whose embeddings the map shows
    turn: int = 0  # the page's own count, so that it knows an answer that is out of date

    def check(self) -> None:
        """Raise an error unless everything has a meaning."""
        texts, numbers = (self.text, self.source, self.model), (self.page, self.turn)
        if self.order not in ORDERS or self.view not in VIEWS or self.of not in KINDS:
            raise ValueError(self)
        if len(self.emotions) > len(LABELS):
            raise ValueError(self)
        if not all(type(number) is int and 0 <= number < MANY for number in numbers):
            raise ValueError(self)
        if not all(isinstance(text, str) and len(text) <= LONGEST for text in texts):
            raise ValueError(self)
        self.filter()

    def filter(self) -> Filter:
        """Return which runs are meant; days are those of this machine."""
        after = _morning(self.until)
        return Filter(
            self.text.strip(),
            self.emotions,
            _morning(self.since),
            after and (after + timedelta(days=1)),
            self.source.strip(),
            self.model,
            self.mode,
        )

    @property
    def everything(self) -> bool:
        """Say whether all runs are meant."""
        return self.filter() == Filter()


def _morning(day: str) -> datetime | None:
    return datetime.combine(date.fromisoformat(day), datetime.min.time()).astimezone() if day else None


@dataclass(frozen=True)
class Looked:
    """What the page shows of the runs that are meant."""

    asked: Asked
    past: View
    trends: View | None = None
    chart: View | None = None


@dataclass(frozen=True)
class Opened:
    """What the page shows of one run."""

    verdict: View | None = None
    nearby: View | None = None
    voices: View | None = None
    timeline: View | None = None
    disagreements: View | None = None
    reading: View | None = None
    downloads: View | None = None


@dataclass(frozen=True)
class Compared:
    """What the page shows of two runs."""

    verdicts: tuple[View | None, ...] = (None, None)
    difference: View | None = None
    timelines: tuple[View | None, ...] = (None, None)


class Archive:
    """The tab's answers to what a visitor does; `page` is the page that needs the files it is shown."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def read(self, wish: Any, language: Language) -> Asked:
        """Return what a page asks for; it is told where that is nothing that ours ask."""
        with plainly(language):
            try:
                asked = Asked(**{**wish, "emotions": tuple(wish["emotions"])})
                asked.check()
            except (TypeError, ValueError, LookupError, OverflowError, OptionError):
                raise InputError(say("history.strange", language)) from None
            return asked

    def look(self, asked: Asked, page: Page, language: Language) -> Looked:
        """Return the runs that are meant, or why there is nothing to look through."""
        with plainly(language):
            try:
                return self._look(asked, page, language)
            except StorageError as error:
                private = self.desk.settings.retention.nothing
                state, sentence = "private" if private else "away", translate(str(error), language)
                return Looked(asked, past.without(state, sentence, vars(asked)))

    def arrange(self, asked: Asked, page: Page, language: Language) -> Iterator[View]:
        """Yield how far a map is on which neighbours stay together, and then the map."""
        with plainly(language):
            history, pace = self.desk.history(), Pace(ARRANGING)
            work = Work(lambda tell: _chart(history, "tsne", asked, tell))
            yield present.progress("Arranging the runs", 0.0, None, language)
            for moment in work:
                pace.follow(moment)
                yield present.progress(moment.what, pace.done, pace.left, language)
            yield chart.view(work.result(), asked.of, self._shelf("map", page), language)

    def open(self, id: Any, page: Page, language: Language) -> Opened:
        """Return what the tab that a run came from would show of it, and which others are like it."""
        with plainly(language):
            history = self.desk.history()
            run, folder = _reach(history, id, language)
            report, shelf = reopen.read(folder), self._shelf("run", page)
            return Opened(
                verdict=present.verdict(report, language),
                nearby=_nearby(history, run, language),
                voices=voices.view(report, language),
                timeline=timeline.view(report, shelf) if report.heard else None,
                disagreements=disagreements.view(report, language),
                reading=reading.view(report, shelf) if report.read else None,
                downloads=present.downloads(folder, shelf, language),
            )

    def compare(self, ids: Any, page: Page, language: Language) -> Compared:
        """Return two runs beside each other."""
        with plainly(language):
            if not isinstance(ids, list) or len(ids) != 2:
                raise InputError(say("history.two", language))
            history = self.desk.history()
            first, second = reports = [reopen.read(_reach(history, id, language)[1]) for id in ids]
            shelves = [self._shelf(f"compared {side}", page) for side in SIDES]
            pairs = list(zip(reports, shelves, strict=True))
            return Compared(
                tuple(
                    difference.named(present.verdict(report, language), side)
                    for report, side in zip(reports, SIDES, strict=True)
                ),
                difference.view(first, second, shelves[0], language),
                tuple(timeline.view(report, shelf) if report.heard else None for report, shelf in pairs),
            )

    def clip(self, id: Any, page: Page, language: Language) -> View:
        """Return the sound of a run, to be played."""
        with plainly(language):
            run, folder = _reach(self.desk.history(), id, language)
            file = folder / SOUND
            if run.duration is None or not file.is_file():
                raise InputError(say("history.soundless", language))
            return {**past.row(run, language), "audio": self._shelf("clip", page).link(file)}

    def delete(self, ids: Any, asked: Asked, page: Page, language: Language) -> Looked:
        """Delete the runs that were chosen, with their files."""
        with plainly(language):
            if not isinstance(ids, list) or len(ids) > MOST or not all(isinstance(id, str) for id in ids):
                raise InputError(say("history.strange", language))
            return self._told(_deleted(self.desk.history().delete(ids), language), asked, page, language)

    def sweep(self, count: Any, asked: Asked, page: Page, language: Language) -> Looked:
        """Delete all runs that are meant, if they are still as many as the visitor was told."""
        with plainly(language):
            history = self.desk.history()
            found = list(history.all(asked.filter()))
            if len(found) != count:
                raise InputError(say("history.changed", language, count=len(found)))
            here = [run.id for run in found if run.folder]
            told = _deleted(history.delete(here), language)
            if len(found) > len(here):
                told += " " + say("history.left", language, count=len(found) - len(here))
            return self._told(told, asked, page, language)

    def table(self, asked: Asked, page: Page, language: Language) -> Looked:
        """Write the runs that are meant as a table."""
        with plainly(language):
            shelf = self._shelf("table", page)
            file = shelf.folder / TABLE
            with file.open("w", encoding="utf-8", newline="") as out:
                write_csv(self.desk.history().all(asked.filter()), out, folders=False)
            looked = self._look(asked, page, language)
            return replace(looked, past={**looked.past, "csv": shelf.link(file)})

    def _look(self, asked: Asked, page: Page, language: Language) -> Looked:
        history, chosen = self.desk.history(), asked.filter()
        total = history.count(chosen)
        asked = replace(asked, page=min(asked.page, max(0, total - 1) // PAGE))
        rows: list[Run] = []
        if asked.view == "runs":
            rows = history.search(chosen, order=asked.order, limit=PAGE, offset=PAGE * asked.page)
        shown = past.view(
            rows,
            vars(asked),
            total=total,
            size=PAGE,
            models=history.models(),
            everything=asked.everything,
            private=self.desk.settings.retention.nothing,
            language=language,
        )
        if asked.view == "trends" and total:
            days = history.trends(chosen)
            return Looked(asked, shown, trends=trends.view(days, self._shelf("trends", page)))
        if asked.view == "map" and total:
            drawn = chart.view(_chart(history, "pca", asked), asked.of, self._shelf("map", page), language)
            return Looked(asked, shown, chart=drawn)
        return Looked(asked, shown)

    def _told(self, sentence: str, asked: Asked, page: Page, language: Language) -> Looked:
        looked = self._look(asked, page, language)
        return replace(looked, past={**looked.past, "told": sentence})

    def _shelf(self, what: str, page: Page) -> Shelf:
        """Return a place for files, of which the page needs only the last for `what`."""
        shelf = Shelf()
        page.needs(f"history {what}", shelf.folder)
        return shelf


def _reach(history: History, id: Any, language: Language) -> tuple[Run, Path]:
    """Return a run and the folder of its files; raises InputError where those are out of reach."""
    run = history.get(id if isinstance(id, str) else "")
    if run.folder is None:
        raise InputError(say("history.elsewhere", language, name=run.name))
    return run, run.folder


def _nearby(history: History, run: Run, language: Language) -> View:
    try:
        return nearby.view(history.similar(run.id, NEAREST), "", language)
    except InputError as error:  # it has no embedding
        return nearby.view([], translate(str(error), language), language)


def _chart(history: History, kind: str, asked: Asked, progress: Progress = quiet) -> Chart:
    of: Kind = "text" if asked.of == "text" else "speech"
    return history.chart(kind, asked.filter(), of=of, progress=progress)


def _deleted(count: int, language: Language) -> str:
    return say("history.deleted_one" if count == 1 else "history.deleted", language, count=count)
