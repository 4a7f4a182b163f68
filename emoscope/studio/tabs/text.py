"""The Text tab: a text in, its verdict, its sentences and words, and files out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from emoscope.errors import Cancelled
from emoscope.report import Report
from emoscope.results import Progress, quiet
from emoscope.settings import Options
from emoscope.studio import present, reading
from emoscope.studio.choices import AUTOMATIC, find_model, place_models
from emoscope.studio.desk import Desk
from emoscope.studio.examples import TEXTS
from emoscope.studio.handlers import Visit, hand_out, watch
from emoscope.studio.parts import QUIETLY, part
from emoscope.studio.plainly import plainly
from emoscope.studio.shelf import Shelf
from emoscope.studio.tabs.options import DEFAULTS, place_switch
from emoscope.studio.tabs.running import AT_ONCE, Buttons, connect
from emoscope.studio.words import Language, label, language_of
from emoscope.text.split import BROKEN, LONGEST

LINES = 9, 16  # of the text box: at first, and at most
COUNT = "(text) => Array.from(text).length"  # characters as Python counts them


@dataclass(frozen=True)
class Controls:
    """What a visitor sets."""

    text: gr.Textbox
    text_model: gr.Dropdown
    embedding: gr.Checkbox
    visit: gr.State


@dataclass(frozen=True)
class Answered:
    """What the page shows of a text; what is None stays as it is."""

    verdict: present.View | None = None
    reading: present.View | None = None
    downloads: present.View | None = None


def build(desk: Desk) -> None:
    """Place the tab and connect its events."""
    with gr.Row(elem_classes="desk"):
        with gr.Column(elem_id="text-controls", elem_classes="desk-controls", min_width=300, scale=4):
            controls, examples = _controls(desk)
            with gr.Row(elem_classes="desk-buttons"):
                read_it = gr.Button(label("text.read"), variant="primary", elem_id="read")
                stop = gr.Button(label("text.stop"), elem_id="text-stop", visible=False)
        with gr.Column(elem_classes="desk-answer", min_width=300, scale=7):
            legend = present.legend()
            verdict = part("verdict", elem_id="text-verdict", emotions=legend, help="text.empty_help")
            progress = part("progress", elem_id="text-progress")
    shown = [progress, verdict, part("reading", emotions=legend), part("downloads", elem_id="text-downloads")]
    buttons = Buttons(read_it, stop, "text.read", "text.working", examples)

    def run(values: dict[Any, Any], request: gr.Request) -> Iterator[tuple[Any, ...]]:
        chosen = {name: values[component] for name, component in vars(controls).items()}
        for news in read(desk, chosen, language_of(request)):
            if not isinstance(news, Answered):
                yield news, gr.skip(), gr.skip(), gr.skip()
            elif news.downloads is None:
                yield gr.skip(), news.verdict, news.reading, None  # the files of the text before are not its own
            else:
                yield None, news.verdict or gr.skip(), gr.skip(), news.downloads

    inputs = set(vars(controls).values())
    connect(
        _starts(controls, buttons),
        run,
        inputs,
        shown,
        visit=controls.visit,
        progress=progress,
        buttons=buttons,
        holdings=desk.holdings,
    )
    _offer_api(desk)


def _controls(desk: Desk) -> tuple[Controls, tuple[gr.Button, ...]]:
    """Place the left column: the text, examples, and more options."""
    text = gr.Textbox(
        label=label("text.text"),
        placeholder=label("text.placeholder"),
        lines=LINES[0],
        max_lines=LINES[1],
        elem_id="text",
        elem_classes="paper",
        container=False,
    )
    counter = part("counter", value=0, box="text", button="read", limit=LONGEST)
    text.change(None, text, counter, js=COUNT, **QUIETLY)
    with gr.Column(elem_classes="desk-examples"):
        part("tryout", elem_id="text-tryout", written=True)
        with gr.Row(elem_classes="desk-clips"):
            examples = tuple(
                gr.Button(label(f"text.{name}"), size="sm", min_width=10, elem_id=f"text-{name}") for name in TEXTS
            )
    with gr.Accordion(label("speech.more"), open=False, elem_id="text-more", elem_classes="desk-more"):
        controls = Controls(
            text=text,
            text_model=place_models(desk.settings, "text", name="text-model", words="text.model"),
            embedding=place_switch("embedding", "text-"),
            visit=gr.State(Visit()),
        )
    return controls, examples


def _starts(controls: Controls, buttons: Buttons) -> Iterator[Any]:
    """Yield the events that begin: the button, Gradio's own key for it, and each example once it stands in the box."""
    yield buttons.start.click
    yield controls.text.submit
    for text, button in zip(TEXTS.values(), buttons.examples, strict=True):
        yield button.click(lambda text=text: text, None, controls.text, **QUIETLY).then


def read(desk: Desk, chosen: Mapping[str, Any], language: Language) -> Iterator[present.View | Answered]:
    """Yield how far the reading is, its answer, and then the files; nothing more when the visitor stopped it."""
    with plainly(language):
        visit: Visit = chosen["visit"]
        try:
            report = yield from watch(lambda progress: _read(desk, chosen, progress), visit, language)
        except Cancelled:
            return
        shelf = Shelf()
        visit.page.needs("text", shelf.folder)
        yield Answered(present.verdict(report, language), reading.view(report, shelf))
        yield present.progress("Writing the files", 0.0, None, language)
        kept = desk.keep(report)
        told = present.verdict(report, language, kept.note) if kept.note else None
        yield Answered(told, downloads=present.hand_over(kept, shelf, language))


def _read(desk: Desk, chosen: Mapping[str, Any], progress: Progress) -> Report:
    model = find_model(chosen["text_model"], desk.settings, "text")
    options = Options(text_model=model, embedding=chosen["embedding"])
    text = (chosen["text"] or "").translate(BROKEN)  # half a character cannot be sent back
    return desk.line.read(text, options, progress=progress)


def _offer_api(desk: Desk) -> None:
    """Offer one endpoint to programs: a text in, the report and a ZIP out."""

    def answer(text: str, text_model: str, embedding: bool, request: gr.Request) -> tuple[dict[str, Any], str]:
        """Read a text; return the report as JSON and a ZIP of everything that the run wrote."""
        with plainly():
            report = _read(desk, {"text": text, "text_model": text_model, "embedding": embedding}, quiet)
            return hand_out(desk, report, desk.holdings.program(request.session_hash))

    inputs = [
        gr.Textbox(label="text", visible=False),
        gr.Textbox(AUTOMATIC, label="text_model", visible=False),
        gr.Checkbox(DEFAULTS.embedding, label="embedding", visible=False),
    ]
    outputs = [gr.JSON(label="report", visible=False), gr.File(label="zip", visible=False)]
    gr.Button(visible=False).click(
        answer, inputs, outputs, api_name="text", concurrency_id="analysis", concurrency_limit=AT_ONCE
    )
