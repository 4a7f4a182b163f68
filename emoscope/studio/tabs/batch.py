"""The Batch tab: many recordings in; a table that fills while they are heard, and the report of whichever is chosen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from emoscope import audio
from emoscope.batch.rows import Row
from emoscope.errors import InputError
from emoscope.labels import LABELS
from emoscope.results import Progress
from emoscope.studio import present, timeline
from emoscope.studio.batches import LISTENING, TABLE, Batch
from emoscope.studio.desk import Desk
from emoscope.studio.handlers import Visit, until_moved_on
from emoscope.studio.holdings import NOBODY, Page
from emoscope.studio.pace import Pace
from emoscope.studio.parts import QUIETLY, part
from emoscope.studio.plainly import plainly
from emoscope.studio.shelf import Shelf
from emoscope.studio.tabs.recording import hold
from emoscope.studio.words import Language, label, language_of, length_in, say, translate
from emoscope.studio.work import Moment, Work

AT_ONCE = 8  # batches on their way; the analyzer lets one at a time listen, a few clips each
MOST = 200  # files; with more, a page is no place to look at them
NOTHING: present.View = {"emotion": None, "confidence": None, "seconds": None, "length": "", "note": ""}
SHOW_REPORT = "() => document.querySelector('#batch-verdict').scrollIntoView({behavior: 'smooth', block: 'nearest'})"


@dataclass
class Shift(Visit):
    """One visitor's batches: the one they look at, and for which turn it was asked."""

    asked: int = 0
    batch: Batch | None = None


@dataclass(frozen=True)
class Standing:
    """What the page shows of a batch: how far it is, and its rows."""

    progress: present.View | None
    table: present.View


def build(desk: Desk) -> None:
    """Place the tab and connect its events."""
    gr.Markdown(label("batch.lead"), elem_classes="lead")
    with gr.Column(elem_classes="sheet"):
        files = gr.File(
            file_count="multiple",
            file_types=list(audio.ENDINGS),
            type="filepath",
            label=label("batch.files"),
            show_label=False,
            elem_id="batch-upload",
            elem_classes="drop",
            height=150,
        )
        with gr.Row(elem_classes="acts"):
            start = gr.Button(label("batch.start"), variant="primary", elem_id="batch", min_width=200)
            cancel = gr.Button(label("batch.stop"), elem_id="batch-stop", visible=False, min_width=120)
    legend = present.legend()
    progress = part("progress", elem_id="batch-progress")
    table = part("table", emotions=legend)
    verdict = part("verdict", elem_id="batch-verdict", emotions=legend)
    drawn = part("timeline", elem_id="batch-timeline", emotions=legend)
    shift = gr.State(Shift())

    def begin(shift: Shift, request: gr.Request) -> tuple[Any, ...]:
        shift.move_on()
        shift.page = desk.holdings.page(request.session_hash)
        shift.asked = shift.turn
        return gr.update(interactive=False, value=label("speech.working")), gr.update(visible=True), None, None, None

    def rest() -> tuple[Any, ...]:
        idle = gr.update(interactive=True, value=label("batch.stop"), visible=False)
        return gr.update(interactive=True, value=label("batch.start")), idle, None

    def stop(shift: Shift) -> Any:
        shift.move_on()
        return gr.update(interactive=False, value=label("batch.stopping"))

    def run(files: list[str] | None, shift: Shift, request: gr.Request) -> Iterator[tuple[Any, Any]]:
        for now in hear(desk, files or [], shift, language_of(request)):
            yield now.progress, now.table

    def choose(shift: Shift, chosen: gr.EventData, request: gr.Request) -> tuple[Any, Any]:
        return open_report(shift.batch, chosen.index, language_of(request), shift.page)

    hold(desk.holdings, files)
    running = start.click(begin, shift, [start, cancel, table, verdict, drawn], **QUIETLY).then(
        run,
        [files, shift],
        [progress, table],
        show_progress="hidden",
        concurrency_id="batch",
        concurrency_limit=AT_ONCE,
        api_visibility="private",
    )
    for ended in (running.success, running.failure):
        ended(rest, None, [start, cancel, progress], **QUIETLY)
    cancel.click(stop, shift, cancel, **QUIETLY)
    opened = table.choose(
        choose, shift, [verdict, drawn], show_progress="hidden", concurrency_limit=AT_ONCE, api_visibility="private"
    )
    opened.success(None, None, None, js=SHOW_REPORT)


def hear(desk: Desk, files: Sequence[str], shift: Shift, language: Language) -> Iterator[Standing]:
    """Yield how far the batch is while it is heard, and in the end what there is; a stop keeps what is done."""
    with plainly(language):
        _check(files, language)
        if shift.asked != shift.turn:  # stopped while it waited for others
            return
        batch, shelf = Batch([Path(file) for file in files], desk.analyzer, desk.settings), Shelf()
        shift.page.needs("batch", *batch.files, shelf.folder)
        shift.page.needs("batch-report")
        shift.batch = batch
        work, pace = Work(lambda tell: _hear(desk, batch, shelf, until_moved_on(tell, shift))), Pace()
        for moment in work:
            pace.follow(moment)
            yield Standing(_progress(batch, moment, pace, language), show(batch, language))
        yield Standing(None, show(batch, language, work.result()))


def _hear(desk: Desk, batch: Batch, shelf: Shelf, progress: Progress) -> present.View:
    """Hear every recording, and return where the page finds the table and the ZIP."""
    with desk.keeper.place() as place:
        batch.hear(place.folder, progress)
        if batch.folder is None:
            return {}
        return {"csv": shelf.link(batch.folder / TABLE), "zip": shelf.link(present.find_archive(batch.folder))}


def _check(files: Sequence[str], language: Language) -> None:
    if not files:
        raise InputError(say("batch.nothing", language))
    if len(files) > MOST:
        raise InputError(say("batch.too_many", language, count=len(files), most=MOST))


def _progress(batch: Batch, moment: Moment, pace: Pace, language: Language) -> present.View:
    """Return the progress: files are counted, and what is done is named where it is something else than listening."""
    what = say("batch.step", language, done=len(batch.rows), total=len(batch.files))
    if moment.what != LISTENING:
        what = f"{what} · {translate(moment.what, language)}"
    return {"what": what, "done": moment.done, "left": pace.left}


def show(batch: Batch, language: Language, downloads: present.View | None = None) -> present.View:
    """Return the table: a row for every file, and the downloads once it is over."""
    over = downloads is not None
    return {
        "rows": [_row(batch, index, language, over=over) for index in range(len(batch.files))],
        "summary": _summary(batch, language, over=over),
        "csv": None,
        "zip": None,
        **(downloads or {}),
    }


def open_report(
    batch: Batch | None, index: Any, language: Language, page: Page = NOBODY
) -> tuple[present.View, present.View]:
    """Return the verdict and the timeline of one of the visitor's own recordings."""
    with plainly(language):
        if batch is None or index not in batch.heard:
            raise InputError(say("batch.gone", language))
        report, shelf = batch.report(index), Shelf()
        page.needs("batch-report", shelf.folder)
        return present.verdict(report, language), timeline.view(report, shelf)


def _row(batch: Batch, index: int, language: Language, *, over: bool) -> present.View:
    """Return one row; what cannot be known yet is None."""
    row, file = batch.rows.get(index), batch.files[index].name
    if row is None:
        state = "left" if over else "listening" if index < batch.begun else "waiting"
        return {**NOTHING, "file": file, "state": state}
    if row["error"]:
        return {**NOTHING, "file": file, "state": "failed", "note": translate(row["error"], language)}
    return {
        "file": file,
        "state": "done",
        "emotion": row["emotion"],
        "silent": row["silent"],
        "confidence": row["confidence"],
        "scores": [round(1000 * row[name]) for name in LABELS],
        "seconds": row["duration"],
        "length": length_in(row["duration"], language),
        "note": " ".join(translate(warning, language) for warning in row["warnings"]),
    }


def _summary(batch: Batch, language: Language, *, over: bool) -> str:
    """Count what was heard, what could not be, and what a stop left out."""
    rows: list[Row] = list(batch.rows.values())
    heard = [row for row in rows if not row["error"]]
    facts = [say("batch.heard", language, count=len(heard))]
    if len(rows) > len(heard):
        facts.append(say("batch.failures", language, count=len(rows) - len(heard)))
    if over and len(batch.files) > len(rows):
        facts.append(say("batch.left_out", language, count=len(batch.files) - len(rows)))
    if heard:
        facts.append(say("batch.sound", language, sound=length_in(sum(row["duration"] for row in heard), language)))
        names = dict.fromkeys(row["model"] for row in heard)  # two, when a better model arrives in the middle
        facts.append(say("batch.model", language, model=", ".join(names)))
    return " · ".join(facts)
