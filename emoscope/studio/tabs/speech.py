"""The Speech tab: a recording in, its verdict, timeline and files out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from emoscope.settings import LONGEST_SMOOTHING, PRECISIONS, Options
from emoscope.studio import present
from emoscope.studio.desk import Desk
from emoscope.studio.examples import EXAMPLES, Example
from emoscope.studio.handlers import AUTOMATIC, Answered, Handlers, Visit
from emoscope.studio.parts import QUIETLY, part
from emoscope.studio.shelf import Shelf
from emoscope.studio.tabs.recording import place_origin
from emoscope.studio.words import label, language_of

AT_ONCE = 4  # analyses that may decode at the same time; the analyzer lets one at a time listen
DEFAULTS = Options()


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


@dataclass(frozen=True)
class Buttons:
    """What starts an analysis, and what stops it."""

    analyze: gr.Button
    cancel: gr.Button
    examples: tuple[tuple[Example, gr.Button], ...]


def build(desk: Desk) -> None:
    """Place the tab and connect its events."""
    handlers = Handlers(desk)
    with gr.Row(elem_id="desk"):
        with gr.Column(elem_id="controls", min_width=300, scale=4):
            controls, examples = _controls(handlers)
            with gr.Row(elem_id="buttons"):
                analyze = gr.Button(label("speech.analyze"), variant="primary", elem_id="analyze")
                cancel = gr.Button(label("speech.cancel"), elem_id="cancel", visible=False)
        with gr.Column(elem_id="answer", min_width=300, scale=7):
            verdict = part("verdict", emotions=present.legend())
            progress = part("progress")
    results = Results(progress, verdict, part("timeline", emotions=present.legend()), part("downloads"))
    _connect(controls, results, Buttons(analyze, cancel, examples), handlers)
    _offer_api(handlers)


def _controls(handlers: Handlers) -> tuple[Controls, tuple[tuple[Example, gr.Button], ...]]:
    """Place the left column: the recording, examples, the granularity, and more options."""
    origin = place_origin(label("speech.recording"))
    examples = _examples()
    granularity = gr.Radio(
        [(label("speech.utterance"), "utterance"), (label("speech.frame"), "frame")],
        value=DEFAULTS.granularity,
        label=label("speech.granularity"),
        info=label("speech.granularity_help"),
        elem_id="granularity",
        elem_classes="choice",
    )
    with gr.Accordion(label("speech.more"), open=False, elem_id="more"):
        controls = Controls(
            **vars(origin),
            granularity=granularity,
            model=_models(handlers),
            precision=_precisions(),
            smooth=gr.Slider(
                0,
                LONGEST_SMOOTHING,
                DEFAULTS.smooth,
                step=0.1,
                label=label("speech.smooth"),
                info=label("speech.smooth_help"),
                elem_id="smooth",
            ),
            embedding=_option("embedding"),
            trim=_option("trim"),
            denoise=_option("denoise"),
            normalise=_option("normalise"),
            visit=gr.State(Visit()),
        )
    return controls, examples


def _examples() -> tuple[tuple[Example, gr.Button], ...]:
    with gr.Column(elem_id="examples"):
        part("tryout")
        with gr.Row(elem_id="clips"):
            return tuple(
                (example, gr.Button(label(example.words), size="sm", min_width=10, elem_id=f"example-{example.name}"))
                for example in EXAMPLES
            )


def _models(handlers: Handlers) -> gr.Dropdown:
    """Place the choice of a model; what is on disk is read again at every visit."""

    def choices() -> list[tuple[Any, str]]:
        found = [(entry.title, name) for name, entry in handlers.offered().items()]
        return [(label("speech.automatic"), AUTOMATIC), *found]

    shown = gr.Dropdown(
        choices(),
        value=AUTOMATIC,
        label=label("speech.model"),
        info=label("speech.model_help"),
        elem_id="model",
        filterable=False,
    )
    gr.on(None, lambda: gr.update(choices=choices()), None, shown, **QUIETLY)
    return shown


def _precisions() -> gr.Dropdown:
    shown = {DEFAULTS.precision: label("speech.automatic")}
    return gr.Dropdown(
        [(shown.get(each, each), each) for each in PRECISIONS],
        value=DEFAULTS.precision,
        label=label("speech.precision"),
        info=label("speech.precision_help"),
        elem_id="precision",
        filterable=False,
    )


def _option(name: str) -> gr.Checkbox:
    return gr.Checkbox(
        getattr(DEFAULTS, name),
        label=label(f"speech.{name}"),
        info=label(f"speech.{name}_help"),
        elem_id=name,
        container=False,
    )


def _connect(controls: Controls, results: Results, buttons: Buttons, handlers: Handlers) -> None:
    """Connect the buttons: begin, analyze, come back to rest; Cancel asks the running analysis to stop."""
    examples = [button for _, button in buttons.examples]
    shown = [results.progress, buttons.cancel, buttons.analyze, *examples]

    def begin(visit: Visit, request: gr.Request) -> list[Any]:
        visit.move_on()
        return [present.ready(language_of(request)), gr.update(visible=True), *_switch(examples, on=False)]

    def rest() -> list[Any]:
        return [None, gr.update(visible=False), *_switch(examples, on=True)]

    def stop(visit: Visit) -> list[Any]:
        visit.move_on()
        return rest()

    def run(values: dict[Any, Any], request: gr.Request) -> Iterator[tuple[Any, ...]]:
        for news in handlers.analyze(controls.names(values), language_of(request)):
            if not isinstance(news, Answered):
                yield news, gr.skip(), gr.skip(), gr.skip()
            elif news.downloads is None:
                yield gr.skip(), news.verdict, news.timeline, None  # the files of the analysis before are not its own
            else:
                yield None, gr.skip(), gr.skip(), news.downloads

    runs = [
        start(begin, controls.visit, shown, **QUIETLY).then(
            run,
            set(vars(controls).values()),
            list(vars(results).values()),
            show_progress="hidden",
            concurrency_id="analysis",
            concurrency_limit=AT_ONCE,
            api_visibility="private",
        )
        for start in _starts(controls, buttons)
    ]
    for running in runs:
        for ended in (running.success, running.failure):  # Gradio 6.31 does not do after an error what `then` says
            ended(rest, None, shown, **QUIETLY)
    buttons.cancel.click(stop, controls.visit, shown, cancels=runs, **QUIETLY)


def _starts(controls: Controls, buttons: Buttons) -> Iterator[Any]:
    """Yield the events that begin an analysis: the button, and each example once it stands where an upload would."""
    yield buttons.analyze.click
    for example, button in buttons.examples:
        taken = button.click(
            lambda example=example: ("upload", Shelf().link(example.file)["path"]),
            None,
            [controls.source, controls.upload],
            **QUIETLY,
        )
        yield taken.then


def _switch(examples: list[gr.Button], *, on: bool) -> list[Any]:
    """Let everything that starts an analysis be pressed, or not."""
    title = label("speech.analyze" if on else "speech.working")
    return [gr.update(interactive=on, value=title), *(gr.update(interactive=on) for _ in examples)]


def _offer_api(handlers: Handlers) -> None:
    """Offer one endpoint to programs: a file and its options in, the report and a ZIP out."""
    inputs = [
        gr.File(type="filepath", label="file", visible=False),
        gr.Radio(["utterance", "frame"], value=DEFAULTS.granularity, label="granularity", visible=False),
        gr.Checkbox(DEFAULTS.embedding, label="embedding", visible=False),
        gr.Number(DEFAULTS.smooth, label="smooth", visible=False),
    ]
    outputs = [gr.JSON(label="report", visible=False), gr.File(label="zip", visible=False)]
    gr.Button(visible=False).click(
        handlers.answer, inputs, outputs, api_name="analyze", concurrency_id="analysis", concurrency_limit=AT_ONCE
    )
