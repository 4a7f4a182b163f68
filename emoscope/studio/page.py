"""The studio's page: where everything stands, and which event calls what."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from emoscope import audio
from emoscope.settings import LONGEST_SMOOTHING, Options, Settings
from emoscope.studio import present
from emoscope.studio.handlers import Handlers, Visit
from emoscope.studio.parts import part

if TYPE_CHECKING:
    from emoscope.analyzer import Analyzer

SOURCES = [("Upload", "upload"), ("Record", "microphone")]
GRANULARITIES = [("Utterance", "utterance"), ("Frame", "frame")]
GRANULARITY_HELP = "Utterance: one verdict for the whole. Frame: also files with nine probabilities every 20 ms."
LOOK_AGAIN = 1.0, 20.0  # seconds between two looks at the model: while something comes, and afterwards
CLEAN = 600, 86_400  # seconds: every ten minutes, what is older than a day
AT_ONCE = 4  # analyses that may decode at the same time; the analyzer lets one at a time listen
DEFAULTS = Options()


@dataclass(frozen=True)
class Controls:
    """What a visitor sets; the names are those of `Options` where there is such an option."""

    source: gr.Radio
    upload: gr.File
    recording: gr.Audio
    granularity: gr.Radio
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
    """What an analysis fills."""

    verdict: gr.HTML
    timeline: gr.HTML
    downloads: gr.HTML


def build(analyzer: "Analyzer", settings: Settings) -> gr.Blocks:
    """Return the whole page."""
    handlers = Handlers(analyzer, settings)
    demo = gr.Blocks(title="Emoscope", analytics_enabled=False, delete_cache=CLEAN, fill_width=True)
    with demo:
        header = part("header", value=handlers.status())
        with gr.Row(elem_id="desk"):
            with gr.Column(elem_id="controls", min_width=300, scale=4):
                controls = _controls()
                with gr.Row(elem_id="buttons"):
                    analyze = gr.Button("Analyze", variant="primary", elem_id="analyze")
                    cancel = gr.Button("Cancel", elem_id="cancel", visible=False)
            with gr.Column(elem_id="answer", min_width=300, scale=7):
                verdict = part("verdict", emotions=present.legend())
        results = Results(
            verdict,
            part("timeline", emotions=present.legend()),
            part("downloads"),
        )
        about = part("about", value=handlers.about())
        _follow_status(demo, header, handlers)
        demo.load(handlers.about, None, about, queue=False, show_progress="hidden", api_visibility="private")
        _connect(controls, results, (analyze, cancel), handlers)
        _offer_api(handlers)
    return demo


def _controls() -> Controls:
    """Place the left column: the recording, the granularity, and more options."""
    source = gr.Radio(SOURCES, value="upload", show_label=False, container=False, elem_id="source", label="Source")
    upload = gr.File(
        file_types=list(audio.ENDINGS),
        type="filepath",
        show_label=False,
        label="Recording",
        elem_id="upload",
        height=170,
    )
    recording = gr.Audio(
        sources=["microphone"],
        type="filepath",
        buttons=[],
        show_label=False,
        label="Recording",
        elem_id="record",
        visible=False,
    )
    source.change(
        _show_source, source, [upload, recording], queue=False, show_progress="hidden", api_visibility="private"
    )
    granularity = gr.Radio(
        GRANULARITIES, value=DEFAULTS.granularity, label="Granularity", info=GRANULARITY_HELP, elem_id="granularity"
    )
    with gr.Accordion("More options", open=False, elem_id="more"):
        return Controls(
            source,
            upload,
            recording,
            granularity,
            smooth=gr.Slider(
                0,
                LONGEST_SMOOTHING,
                DEFAULTS.smooth,
                step=0.1,
                label="Smoothing, seconds",
                elem_id="smooth",
                info="Averages the frames of the timeline; 0 shows them raw.",
            ),
            embedding=_option("Keep the embedding", "Adds the model's features to the downloads.", "embedding"),
            trim=_option("Trim silence", "Cuts the silence at both ends; the times stay those of your file.", "trim"),
            denoise=_option("Reduce noise", "Helps listening; it can also take emotion away.", "denoise"),
            normalise=_option("Normalise loudness", "Brings a quiet recording to a common level.", "normalise"),
            visit=gr.State(Visit()),
        )


def _option(label: str, info: str, name: str) -> gr.Checkbox:
    return gr.Checkbox(getattr(DEFAULTS, name), label=label, info=info, elem_id=name, container=False)


def _show_source(source: str) -> tuple[Any, Any]:
    return gr.update(visible=source == "upload"), gr.update(visible=source == "microphone")


def _follow_status(demo: gr.Blocks, header: gr.HTML, handlers: Handlers) -> None:
    """Keep the line about the model true, quickly while it loads."""
    timer = gr.Timer(LOOK_AGAIN[0])

    def look() -> tuple[present.View, Any]:
        status = handlers.status()
        return status, gr.Timer(LOOK_AGAIN[not status["busy"]])

    quietly: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    demo.load(look, None, [header, timer], **quietly)
    timer.tick(look, None, [header, timer], **quietly)


def _connect(controls: Controls, results: Results, buttons: tuple[gr.Button, gr.Button], handlers: Handlers) -> None:
    """Connect the buttons: begin, analyze, come back to rest; Cancel asks the running analysis to stop."""
    analyze, cancel = buttons
    quietly: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}

    def begin(visit: Visit) -> tuple[Any, Any]:
        visit.move_on()
        return gr.update(interactive=False, value="Analyzing …"), gr.update(visible=True)

    def rest() -> tuple[Any, Any]:
        return gr.update(interactive=True, value="Analyze"), gr.update(visible=False)

    def stop(visit: Visit) -> tuple[Any, Any]:
        visit.move_on()
        return rest()

    def run(values: dict[Any, Any], tell: gr.Progress = gr.Progress()) -> Any:  # noqa: B008 — Gradio finds it there
        found = handlers.analyze(controls.names(values), tell)
        return found if found else [gr.skip()] * 3

    started = analyze.click(begin, controls.visit, [analyze, cancel], **quietly)
    running = started.then(
        run,
        set(vars(controls).values()),
        [results.verdict, results.timeline, results.downloads],
        show_progress_on=results.verdict,
        concurrency_id="analysis",
        concurrency_limit=AT_ONCE,
        api_visibility="private",
    )
    for ended in (running.success, running.failure):  # Gradio 6.31 does not do after an error what `then` says
        ended(rest, None, [analyze, cancel], **quietly)
    cancel.click(stop, controls.visit, [analyze, cancel], cancels=[running], **quietly)


def _offer_api(handlers: Handlers) -> None:
    """Offer one endpoint to programs: a file and its options in, the report and a ZIP out."""
    inputs = [
        gr.File(type="filepath", label="file", visible=False),
        gr.Radio(GRANULARITIES, value=DEFAULTS.granularity, label="granularity", visible=False),
        gr.Checkbox(DEFAULTS.embedding, label="embedding", visible=False),
        gr.Number(DEFAULTS.smooth, label="smooth", visible=False),
    ]
    outputs = [gr.JSON(label="report", visible=False), gr.File(label="zip", visible=False)]
    gr.Button(visible=False).click(
        handlers.answer, inputs, outputs, api_name="analyze", concurrency_id="analysis", concurrency_limit=AT_ONCE
    )
