"""The History tab: the runs of the past, searched, opened again, compared, deleted, and seen from afar."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from emoscope.studio import present
from emoscope.studio.archive import SIDES, Archive, Asked, Compared, Looked, Opened
from emoscope.studio.desk import Desk
from emoscope.studio.holdings import Page
from emoscope.studio.parts import QUIETLY, part
from emoscope.studio.words import label, language_of

AT_ONCE = 4  # runs that are read back at the same time
SHOW = "() => document.querySelector('#history-bar').scrollIntoView({behavior: 'smooth', block: 'start'})"
LATEST: dict[str, Any] = {**QUIETLY, "trigger_mode": "always_last"}
SLOWLY: dict[str, Any] = {
    "show_progress": "hidden",
    "api_visibility": "private",
    "concurrency_id": "history",
    "concurrency_limit": AT_ONCE,
}
# t-SNE wants a core for half a minute.
ONE_BY_ONE: dict[str, Any] = {**SLOWLY, "concurrency_id": "map", "concurrency_limit": 1}


@dataclass(frozen=True)
class Lists:
    """What shows many runs, and what a visitor looks for in them."""

    asked: gr.State
    past: gr.HTML
    trends: gr.HTML
    chart: gr.HTML


@dataclass(frozen=True)
class Details:
    """What shows one run, or two; the first ones have the names of what `Opened` has."""

    close: gr.Button
    verdict: gr.HTML
    nearby: gr.HTML
    voices: gr.HTML
    timeline: gr.HTML
    disagreements: gr.HTML
    reading: gr.HTML
    downloads: gr.HTML
    verdicts: list[gr.HTML]
    difference: gr.HTML
    timelines: list[gr.HTML]

    @property
    def all(self) -> list[Any]:
        """Return everything that it fills."""
        single = [each for each in vars(self).values() if not isinstance(each, list)]
        return [*single, *self.verdicts, *self.timelines]

    def show(self, found: Opened | Compared | None) -> dict[Any, Any]:
        """Return what fills it with one run, with two, or with nothing."""
        values: dict[Any, Any] = dict.fromkeys(self.all)
        values[self.close] = gr.update(visible=found is not None)
        if isinstance(found, Opened):
            values |= {getattr(self, name): value for name, value in vars(found).items()}
        elif found is not None:
            values[self.difference] = found.difference
            values |= dict(zip(self.verdicts, found.verdicts, strict=True))
            values |= dict(zip(self.timelines, found.timelines, strict=True))
        return values


def build(desk: Desk) -> Callable[[gr.Tab], None]:
    """Place the tab and connect its events; return what connects its being opened, for nothing is read before."""
    return Tab(desk).follow


class Tab:
    """The tab's pieces and its events."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.archive, legend = desk, Archive(desk), present.legend()
        asked = gr.State(Asked())
        past = part("past", emotions=legend)
        trends = part("trends", emotions=legend)
        self.lists = Lists(asked, past, trends, part("chart", emotions=legend))
        self.progress = part("progress", elem_id="history-progress")
        self.details = _place_details(legend)
        self.clip = part("clip", emotions=legend)
        self._connect_lists()
        self._connect_details()

    def follow(self, tab: gr.Tab) -> None:
        """Look whenever the tab is opened."""

        def look(asked: Asked, request: gr.Request) -> tuple[Any, ...]:
            return _values(self.archive.look(asked, self._page(request), language_of(request)))

        tab.select(look, self.lists.asked, self._looked, **LATEST)

    @property
    def _looked(self) -> list[Any]:
        return list(vars(self.lists).values())

    def _page(self, request: gr.Request) -> Page:
        return self.desk.holdings.page(request.session_hash)

    def _connect_lists(self) -> None:
        """Connect what is looked for, tables, deleting, and what is seen from afar."""
        archive, lists = self.archive, self.lists

        def ask(told: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
            language = language_of(request)
            return _values(archive.look(archive.read(told.wish, language), self._page(request), language))

        def day(asked: Asked, told: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
            language = language_of(request)
            wish = {**vars(asked), "since": told.day, "until": told.day, "view": "runs", "page": 0}
            return _values(archive.look(archive.read(wish, language), self._page(request), language))

        def side(asked: Asked, told: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
            language = language_of(request)
            wish = archive.read({**vars(asked), "of": told.of}, language)
            return _values(archive.look(wish, self._page(request), language))

        def save(asked: Asked, request: gr.Request) -> tuple[Any, ...]:
            return _values(archive.table(asked, self._page(request), language_of(request)))

        def remove(asked: Asked, told: gr.EventData, request: gr.Request) -> dict[Any, Any]:
            found = archive.delete(told.ids, asked, self._page(request), language_of(request))
            return self._without_details(found)

        def sweep(asked: Asked, told: gr.EventData, request: gr.Request) -> dict[Any, Any]:
            found = archive.sweep(told.count, asked, self._page(request), language_of(request))
            return self._without_details(found)

        def arrange(asked: Asked, request: gr.Request) -> Iterator[tuple[Any, Any]]:
            for news in archive.arrange(asked, self._page(request), language_of(request)):
                yield (None, news) if "file" in news else (news, gr.skip())

        everything = [*self._looked, self.clip, *self.details.all]
        lists.past.ask(ask, None, self._looked, **LATEST)
        lists.past.save(save, lists.asked, self._looked, **SLOWLY)
        lists.past.remove(remove, lists.asked, everything, **SLOWLY)
        lists.past.sweep(sweep, lists.asked, everything, **SLOWLY)
        lists.trends.day(day, lists.asked, self._looked, **LATEST)
        lists.chart.side(side, lists.asked, self._looked, **LATEST)
        arranging = lists.chart.arrange(arrange, lists.asked, [self.progress, lists.chart], **ONE_BY_ONE)
        arranging.failure(lambda: None, None, self.progress, **QUIETLY)

    def _connect_details(self) -> None:
        """Connect what opens a run, compares two, plays one, and closes all of it."""
        archive, details = self.archive, self.details

        def show(told: gr.EventData, request: gr.Request) -> dict[Any, Any]:
            return details.show(archive.open(told.id, self._page(request), language_of(request)))

        def pair(told: gr.EventData, request: gr.Request) -> dict[Any, Any]:
            return details.show(archive.compare(told.ids, self._page(request), language_of(request)))

        def hear(told: gr.EventData, request: gr.Request) -> present.View:
            return archive.clip(told.id, self._page(request), language_of(request))

        for each in (self.lists.past, self.lists.chart, details.nearby, self.clip):
            each.show(show, None, details.all, **SLOWLY).success(None, None, None, js=SHOW)
        self.lists.past.pair(pair, None, details.all, **SLOWLY).success(None, None, None, js=SHOW)
        for each in (self.lists.past, self.lists.chart, details.nearby):
            each.hear(hear, None, self.clip, **LATEST)
        details.close.click(lambda: details.show(None), None, details.all, **QUIETLY)

    def _without_details(self, found: Looked) -> dict[Any, Any]:
        looked = dict(zip(self._looked, _values(found), strict=True))
        return {**looked, self.clip: None, **self.details.show(None)}


def _values(found: Looked) -> tuple[Any, ...]:
    return found.asked, found.past, found.trends, found.chart


def _place_details(legend: list[present.View]) -> Details:
    """Place what shows one run, or two beside each other."""
    with gr.Row(elem_id="history-bar"):
        close = gr.Button(label("history.close"), visible=False, elem_id="history-close", size="sm", min_width=120)
    with gr.Row(elem_id="history-run", elem_classes="desk"):
        with gr.Column(elem_classes="desk-answer", min_width=300, scale=7):
            verdict = part("verdict", elem_id="history-verdict", emotions=legend)
        with gr.Column(elem_classes="desk-answer", min_width=300, scale=4):
            nearby = part("nearby", emotions=legend)
    single = {
        name: part(name, elem_id=f"history-{name}", emotions=legend)
        for name in ("voices", "timeline", "disagreements", "reading", "downloads")
    }
    with gr.Row(elem_classes="sides"):
        verdicts = [part("verdict", elem_id=f"history-verdict-{side}", emotions=legend) for side in SIDES]
    difference = part("difference", elem_id="history-difference", emotions=legend)
    timelines = [
        part("timeline", elem_id=f"history-timeline-{side}", emotions=legend, group="history", height="compact")
        for side in SIDES
    ]
    return Details(close, verdict, nearby, **single, verdicts=verdicts, difference=difference, timelines=timelines)
