"""The Compare tab: two recordings in; their verdicts, their difference, and two timelines that move together out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import gradio as gr

from emoscope.errors import Cancelled, InputError
from emoscope.report import Report
from emoscope.results import Progress
from emoscope.settings import Options
from emoscope.studio import difference, present
from emoscope.studio.desk import Desk
from emoscope.studio.handlers import Visit, find_file, until_moved_on
from emoscope.studio.pace import Pace
from emoscope.studio.parts import QUIETLY, part
from emoscope.studio.plainly import plainly
from emoscope.studio.shelf import Shelf
from emoscope.studio.tabs.recording import Origin, place_origin
from emoscope.studio.words import Language, label, language_of, say, translate
from emoscope.studio.work import Work

if TYPE_CHECKING:
    from emoscope.history import Kept

SIDES = ("a", "b")
AT_ONCE = 4  # comparisons that may decode at the same time

Heard: TypeAlias = "tuple[Report, Kept]"  # what was heard, and how it is kept


@dataclass(frozen=True)
class Compared:
    """What the page shows of two recordings."""

    verdicts: tuple[present.View, ...]
    difference: present.View
    timelines: tuple[present.View, ...]


def build(desk: Desk) -> None:
    """Place the tab and connect its events."""
    gr.Markdown(label("compare.lead"), elem_classes="lead")
    with gr.Row(elem_classes="sides"):
        sides = [_side(desk, name) for name in SIDES]
    with gr.Row(elem_classes="acts"):
        start = gr.Button(label("compare.compare"), variant="primary", elem_id="compare", min_width=200)
        cancel = gr.Button(label("speech.cancel"), elem_id="compare-cancel", visible=False, min_width=120)
    progress = part("progress", elem_id="compare-progress")
    legend = present.legend()
    with gr.Row(elem_classes="sides"):
        verdicts = [part("verdict", elem_id=f"verdict-{name}", emotions=legend) for name in SIDES]
    apart = part("difference", emotions=legend)
    timelines = [
        part("timeline", elem_id=f"timeline-{name}", emotions=legend, group="compare", height="compact")
        for name in SIDES
    ]
    visit = gr.State(Visit())
    shown = [start, cancel, progress]

    def begin(visit: Visit, request: gr.Request) -> tuple[Any, Any]:
        visit.move_on()
        visit.page = desk.holdings.page(request.session_hash)
        return gr.update(interactive=False, value=label("compare.working")), gr.update(visible=True)

    def rest() -> tuple[Any, Any, None]:
        return gr.update(interactive=True, value=label("compare.compare")), gr.update(visible=False), None

    def stop(visit: Visit) -> tuple[Any, Any, None]:
        visit.move_on()
        return rest()

    def run(values: dict[Any, Any], request: gr.Request) -> Iterator[tuple[Any, ...]]:
        chosen = [{name: values[component] for name, component in vars(side).items()} for side in sides]
        for news in hear(desk, chosen, values[visit], language_of(request)):
            if isinstance(news, Compared):
                yield None, *news.verdicts, news.difference, *news.timelines
            else:
                yield news, *[gr.skip()] * 5

    running = start.click(begin, visit, shown[:2], **QUIETLY).then(
        run,
        {visit, *(component for side in sides for component in vars(side).values())},
        [progress, *verdicts, apart, *timelines],
        show_progress="hidden",
        concurrency_id="compare",
        concurrency_limit=AT_ONCE,
        api_visibility="private",
    )
    for ended in (running.success, running.failure):
        ended(rest, None, shown, **QUIETLY)
    cancel.click(stop, visit, shown, cancels=[running], **QUIETLY)


def _side(desk: Desk, name: str) -> Origin:
    """Place one recording."""
    with gr.Column(elem_id=f"side-{name}", elem_classes="sheet", min_width=280):
        return place_origin(desk.holdings, label(f"compare.side_{name}"), name=name, height=130, titled=True)


def hear(
    desk: Desk, chosen: Sequence[Mapping[str, Any]], visit: Visit, language: Language
) -> Iterator[present.View | Compared]:
    """Yield how far the comparison is and, in the end, what it found; nothing more when the visitor stopped it."""
    with plainly(language):
        files = [_file(side, name, language) for name, side in zip(SIDES, chosen, strict=True)]
        visit.page.needs_also("compare", *files)
        heard: list[Heard] = []
        for name, file in zip(SIDES, files, strict=True):
            work, pace = Work(partial(_hear, desk, file, visit)), Pace()
            for moment in work:
                pace.follow(moment)
                what = say("compare.step", language, side=name.upper(), what=translate(moment.what, language))
                left = None if pace.left is None else pace.left * _outstanding(files[len(heard) :])
                yield {"what": what, "done": (len(heard) + pace.done) / len(files), "left": left}
            try:
                heard.append(work.result())
            except Cancelled:
                return
        shelves = [Shelf() for _ in SIDES]
        visit.page.needs("compare", *files, *(shelf.folder for shelf in shelves))
        yield show(heard, shelves, language)


def _file(side: Mapping[str, Any], name: str, language: Language) -> Path:
    try:
        return find_file(side)
    except InputError:
        raise InputError(say("compare.missing", language, side=name.upper())) from None


def _hear(desk: Desk, file: Path, visit: Visit, tell: Progress) -> Heard:
    progress = until_moved_on(tell, visit)
    report = desk.line.analyze(file, Options(), name=file.name, progress=progress)
    progress("Writing the files", 0.0)
    return report, desk.keep(report)


def _outstanding(files: Sequence[Path]) -> float:
    """Return how many times the work on the first file all of them are, going by their sizes."""
    sizes = [max(1, file.stat().st_size) for file in files]
    return sum(sizes) / sizes[0]


def show(heard: Sequence[Heard], shelves: Sequence[Shelf], language: Language) -> Compared:
    """Return what the page shows of the two recordings."""
    answers = [
        present.answer(report, kept, shelf, language) for (report, kept), shelf in zip(heard, shelves, strict=True)
    ]
    first, second = (report for report, _ in heard)
    return Compared(
        verdicts=tuple(difference.named(verdict, name) for name, (verdict, _, _) in zip(SIDES, answers, strict=True)),
        difference=difference.view(first, second, shelves[0], language),
        timelines=tuple(timeline for _, timeline, _ in answers),
    )
