"""The Speech tab: a recording in, its verdict, timeline and files out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from emoscope.studio import present
from emoscope.studio.choices import place_models
from emoscope.studio.desk import Desk
from emoscope.studio.examples import EXAMPLES
from emoscope.studio.handlers import Answered, Handlers, Visit
from emoscope.studio.parts import QUIETLY, part
from emoscope.studio.shelf import Shelf
from emoscope.studio.tabs.options import DEFAULTS, place_granularity, place_precision, place_smoothing, place_switch
from emoscope.studio.tabs.recording import place_origin
from emoscope.studio.tabs.running import AT_ONCE, Buttons, connect
from emoscope.studio.words import label, language_of


@dataclass(frozen=True)
class Controls:
    """What a visitor sets; the names are those of `Options` where there is such an option."""

    source: gr.Radio
    upload: gr.File
    recording: gr.Audio
    granularity: gr.Radio
    model: gr.Dropdown
    precision: gr.Dropdown
    embedding: gr.Checkbox
    smooth: gr.Slider
    trim: gr.Checkbox
    denoise: gr.Checkbox
    normalise: gr.Checkbox
    visit: gr.State

    def names(self, values: dict[Any, Any]) -> dict[str, Any]:
        """Return Gradio's values by name."""
        return {name: values[component] for name, component in vars(self).items()}


@dataclass(frozen=True)
class Results:
    """What an analysis fills, while it runs and in the end."""

    progress: gr.HTML
    verdict: gr.HTML
    timeline: gr.HTML
    downloads: gr.HTML


def build(desk: Desk) -> None:
    """Place the tab and connect its events."""
    handlers = Handlers(desk)
    with gr.Row(elem_id="desk", elem_classes="desk"):
        with gr.Column(elem_id="controls", elem_classes="desk-controls", min_width=300, scale=4):
            controls, examples = _controls(handlers)
            with gr.Row(elem_id="buttons", elem_classes="desk-buttons"):
                analyze = gr.Button(label("speech.analyze"), variant="primary", elem_id="analyze")
                cancel = gr.Button(label("speech.cancel"), elem_id="cancel", visible=False)
        with gr.Column(elem_id="answer", elem_classes="desk-answer", min_width=300, scale=7):
            verdict = part("verdict", emotions=present.legend())
            progress = part("progress")
    results = Results(progress, verdict, part("timeline", emotions=present.legend()), part("downloads"))
    _connect(controls, results, Buttons(analyze, cancel, "speech.analyze", "speech.working", examples), handlers)
    _offer_api(handlers)


def _controls(handlers: Handlers) -> tuple[Controls, tuple[gr.Button, ...]]:
    """Place the left column: the recording, examples, the granularity, and more options."""
    origin = place_origin(handlers.desk.holdings, label("speech.recording"))
    examples = _examples()
    granularity = place_granularity()
    with gr.Accordion(label("speech.more"), open=False, elem_id="more", elem_classes="desk-more"):
        controls = Controls(
            **vars(origin),
            granularity=granularity,
            model=place_models(handlers.settings, "speech", name="model", words="speech.model"),
            precision=place_precision(),
            smooth=place_smoothing(),
            embedding=place_switch("embedding"),
            trim=place_switch("trim"),
            denoise=place_switch("denoise"),
            normalise=place_switch("normalise"),
            visit=gr.State(Visit()),
        )
    return controls, examples


def _examples() -> tuple[gr.Button, ...]:
    with gr.Column(elem_id="examples", elem_classes="desk-examples"):
        part("tryout")
        with gr.Row(elem_id="clips", elem_classes="desk-clips"):
            return tuple(
                gr.Button(label(example.words), size="sm", min_width=10, elem_id=f"example-{example.name}")
                for example in EXAMPLES
            )


def _connect(controls: Controls, results: Results, buttons: Buttons, handlers: Handlers) -> None:
    """Connect the buttons with an analysis and what it fills."""

    def run(values: dict[Any, Any], request: gr.Request) -> Iterator[tuple[Any, ...]]:
        for news in handlers.analyze(controls.names(values), language_of(request)):
            if not isinstance(news, Answered):
                yield news, gr.skip(), gr.skip(), gr.skip()
            elif news.downloads is None:
                yield gr.skip(), news.verdict, news.timeline, None  # the files of the analysis before are not its own
            else:
                yield None, news.verdict or gr.skip(), gr.skip(), news.downloads

    connect(
        _starts(controls, buttons),
        run,
        set(vars(controls).values()),
        list(vars(results).values()),
        visit=controls.visit,
        progress=results.progress,
        buttons=buttons,
        holdings=handlers.desk.holdings,
    )


def _starts(controls: Controls, buttons: Buttons) -> Iterator[Any]:
    """Yield the events that begin an analysis: the button, and each example once it stands where an upload would."""
    yield buttons.start.click
    for example, button in zip(EXAMPLES, buttons.examples, strict=True):
        taken = button.click(
            lambda example=example: ("upload", Shelf().link(example.file)["path"]),
            None,
            [controls.source, controls.upload],
            **QUIETLY,
        )
        yield taken.then


def _offer_api(handlers: Handlers) -> None:
    """Offer one endpoint to programs: a file and its options in, the report and a ZIP out."""

    def answer(
        file: str, granularity: str, embedding: bool, smooth: float, request: gr.Request
    ) -> tuple[dict[str, Any], str]:
        """Analyze a recording; return the report as JSON and a ZIP of everything that the run wrote."""
        chosen = {"upload": file, "granularity": granularity, "embedding": embedding, "smooth": smooth}
        return handlers.answer(chosen, handlers.desk.holdings.program(request.session_hash))

    inputs = [
        gr.File(type="filepath", label="file", visible=False),
        gr.Radio(["utterance", "frame"], value=DEFAULTS.granularity, label="granularity", visible=False),
        gr.Checkbox(DEFAULTS.embedding, label="embedding", visible=False),
        gr.Number(DEFAULTS.smooth, label="smooth", visible=False),
    ]
    outputs = [gr.JSON(label="report", visible=False), gr.File(label="zip", visible=False)]
    gr.Button(visible=False).click(
        answer, inputs, outputs, api_name="analyze", concurrency_id="analysis", concurrency_limit=AT_ONCE
    )
