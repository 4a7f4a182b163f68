"""The Speech + text tab: a recording and its words in; one verdict, who says what, and where they disagree out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from emoscope.fusion import METHODS
from emoscope.settings import Settings
from emoscope.studio import present
from emoscope.studio.choices import place_models
from emoscope.studio.desk import Desk
from emoscope.studio.handlers import Visit
from emoscope.studio.parts import QUIETLY, part
from emoscope.studio.tabs.options import place_granularity, place_precision, place_smoothing, place_switch
from emoscope.studio.tabs.recording import place_origin
from emoscope.studio.tabs.running import AT_ONCE, Buttons, connect
from emoscope.studio.together import Answered, Handlers, Kept, Written, from_model
from emoscope.studio.words import Language, label, language_of, say
from emoscope.text.split import LONGEST
from emoscope.transcribe import ENDINGS
from emoscope.transcript import Transcript

NAME = "together-"  # what the names of this tab's elements begin with
KEEP = 3600  # seconds that a visitor may leave a result alone and still change its weights
LINES = 5, 12  # of the text box: at first, and at most
# While a number is typed it may be none yet, or too large, which Gradio answers with an error of its own.
WITHIN = "(kept, way, weight) => [kept, way, Math.min(100, Math.max(0, Number(weight) || 0))]"
UNWEIGHED = "maximum"  # the method that asks for no weight


@dataclass(frozen=True)
class Controls:
    """What a visitor sets for an analysis."""

    source: gr.Radio
    upload: gr.File
    recording: gr.Audio
    said: gr.Textbox
    script: gr.State  # the transcript that the words come from, if they do: of a file, or written down
    transcribe: gr.Checkbox
    granularity: gr.Radio
    model: gr.Dropdown
    text_model: gr.Dropdown
    precision: gr.Dropdown
    smooth: gr.Slider
    embedding: gr.Checkbox
    fusion: gr.Dropdown
    weight: gr.Slider  # per cent
    visit: gr.State

    def names(self, values: dict[Any, Any]) -> dict[str, Any]:
        """Return Gradio's values by name, the weight as a share."""
        found = {name: values[component] for name, component in vars(self).items()}
        return {**found, "text_weight": found["weight"] / 100}


@dataclass(frozen=True)
class Results:
    """What an analysis fills, while it runs and in the end."""

    progress: gr.HTML
    verdict: gr.HTML
    voices: gr.HTML
    timeline: gr.HTML
    reading: gr.HTML
    disagreements: gr.HTML
    downloads: gr.HTML
    kept: gr.State
    stale: gr.Row
    said: gr.Textbox
    script: gr.State
    note: gr.HTML

    def update(self, **changed: Any) -> tuple[Any, ...]:
        """Return what leaves all as it is but these."""
        return tuple(changed.get(name, gr.skip()) for name in vars(self))


def build(desk: Desk) -> None:
    """Place the tab and connect its events."""
    handlers, legend = Handlers(desk), present.legend()
    with gr.Row(elem_classes="desk"):
        with gr.Column(elem_id="together-controls", elem_classes="desk-controls", min_width=300, scale=4):
            controls, note = _controls(handlers)
            with gr.Row(elem_classes="desk-buttons"):
                start = gr.Button(label("speech.analyze"), variant="primary", elem_id="together")
                stop = gr.Button(label("speech.cancel"), elem_id="together-cancel", visible=False)
        with gr.Column(elem_classes="desk-column", min_width=300, scale=7):
            with gr.Column(elem_classes="desk-answer"):
                verdict = part("verdict", elem_id="together-verdict", emotions=legend, help="together.empty_help")
                progress = part("progress", elem_id="together-progress")
            with gr.Column(elem_id="mix", elem_classes="sheet"):
                controls["fusion"], controls["weight"] = _ways(handlers), _weight(desk.settings)
    voices = part("voices", emotions=legend)
    timeline = part("timeline", elem_id="together-timeline", emotions=legend)
    disagreements = part("disagreements", emotions=legend)
    reading = part("reading", elem_id="together-reading", emotions=legend)
    with gr.Row(elem_id="stale", visible=False) as stale:
        gr.Markdown(label("together.stale"))
        rewrite = gr.Button(label("together.rewrite"), elem_id="rewrite", size="sm", min_width=200)
    downloads = part("downloads", elem_id="together-downloads")
    kept = gr.State(None, time_to_live=KEEP)
    placed = Controls(**controls)
    words = placed.said, placed.script, note
    results = Results(progress, verdict, voices, timeline, reading, disagreements, downloads, kept, stale, *words)
    _connect(placed, results, Buttons(start, stop, "speech.analyze", "speech.working"), handlers)
    _follow_weights(placed, results, handlers)
    _write_again(rewrite, results, handlers)
    _offer_api(handlers, desk.settings)


def _controls(handlers: Handlers) -> tuple[dict[str, Any], gr.HTML]:
    """Place the left column: the recording, what is said, a note about it, and more options."""
    holdings = handlers.desk.holdings
    origin = place_origin(holdings, label("speech.recording"), name="together", height=130)
    said, script = (
        gr.Textbox(
            label=label("together.said"),
            placeholder=label("together.said_placeholder"),
            lines=LINES[0],
            max_lines=LINES[1],
            max_length=LONGEST,
            elem_id="said",
            elem_classes="paper",
            container=False,
        ),
        gr.State(None, time_to_live=KEEP),
    )
    title: Any = label("together.load")  # Gradio's types know of no words that the browser chooses here
    load = gr.UploadButton(title, file_types=list(ENDINGS), type="filepath", size="sm", elem_id="load-said")
    note = part("note", elem_id="said-note")
    transcribe = gr.Checkbox(
        False,
        label=label("together.transcribe"),
        info=label("together.transcribe_help"),
        elem_id="transcribe",
        container=False,
    )

    def read(file: str, request: gr.Request) -> tuple[str, Transcript, str]:
        found, about = handlers.load(file, language_of(request), holdings.page(request.session_hash))
        return found.text, found, about

    def look(request: gr.Request) -> Any:
        missing = handlers.missing(language_of(request))
        if missing:
            return gr.update(value=False, interactive=False, info=missing)
        return gr.update(interactive=True, info=label("together.transcribe_help"))

    def forget(script: Transcript | None) -> tuple[Any, ...]:
        return ("", None, None) if from_model(script) else (gr.skip(),) * 3

    for given in (origin.upload, origin.recording):  # what was written down belongs to the recording before
        given.change(forget, script, [said, script, note], **QUIETLY)
    load.upload(read, load, [said, script, note], show_progress="hidden", api_visibility="private")
    gr.on(None, look, None, transcribe, **QUIETLY)
    with gr.Accordion(label("speech.more"), open=False, elem_id="together-more", elem_classes="desk-more"):
        controls = {
            **vars(origin),
            "said": said,
            "script": script,
            "transcribe": transcribe,
            "granularity": place_granularity(NAME),
            "model": place_models(handlers.settings, "speech", name=f"{NAME}model", words="speech.model"),
            "text_model": place_models(handlers.settings, "text", name=f"{NAME}text-model", words="text.model"),
            "precision": place_precision(NAME),
            "smooth": place_smoothing(NAME),
            "embedding": place_switch("embedding", NAME),
            "visit": gr.State(Visit()),
        }
    return controls, note


def _ways(handlers: Handlers) -> gr.Dropdown:
    """Place the choice of the fusion; trained ones are looked for again at every visit."""

    def choices() -> list[tuple[Any, str]]:
        return [(label(f"together.{way}") if way in METHODS else way, way) for way in handlers.ways()]

    shown = gr.Dropdown(
        choices(),
        value=handlers.settings.fusion,
        label=label("together.fusion"),
        info=label("together.fusion_help"),
        elem_id="fusion",
        filterable=False,
    )
    gr.on(None, lambda: gr.update(choices=choices()), None, shown, **QUIETLY)
    return shown


def _weight(settings: Settings) -> gr.Slider:
    return gr.Slider(
        0,
        100,
        round(100 * settings.text_weight),
        step=1,
        label=label("together.weight"),
        info=label("together.weight_help"),
        elem_id="weight",
        elem_classes="slider",
    )


def _connect(controls: Controls, results: Results, buttons: Buttons, handlers: Handlers) -> None:
    """Connect the buttons with an analysis and what it fills."""

    def run(values: dict[Any, Any], request: gr.Request) -> Iterator[tuple[Any, ...]]:
        for news in handlers.analyze(controls.names(values), language_of(request)):
            if isinstance(news, Answered):  # the files of the analysis before are not its own
                yield results.update(**vars(news), downloads=None, stale=gr.update(visible=False))
            elif isinstance(news, Written):
                shown = _to_correct(news.heard, language_of(request)) if news.heard else {}
                if news.verdict:
                    shown["verdict"] = news.verdict
                yield results.update(progress=None, downloads=news.downloads, **shown)
            else:
                yield results.update(progress=news)

    inputs = set(vars(controls).values())
    connect(
        [buttons.start.click],
        run,
        inputs,
        list(vars(results).values()),
        visit=controls.visit,
        progress=results.progress,
        buttons=buttons,
        holdings=handlers.desk.holdings,
    )


def _to_correct(heard: Transcript, language: Language) -> dict[str, Any]:
    """Return what puts the words that were written down into the box."""
    return {"said": heard.text, "script": heard, "note": say("together.heard", language, name=heard.origin)}


def _follow_weights(controls: Controls, results: Results, handlers: Handlers) -> None:
    """Fuse the result again while the weight is dragged, and when another way is chosen."""
    outputs = [results.kept, results.verdict, results.voices, results.disagreements, results.stale]

    def fuse(kept: Kept | None, way: str, weight: float, request: gr.Request) -> tuple[Any, ...]:
        changed = handlers.fuse(kept, way, weight / 100, language_of(request))
        if changed is None:
            return (gr.skip(),) * len(outputs)
        return *vars(changed).values(), gr.update(visible=changed.kept.stale)

    def explain(way: str) -> Any:
        weighed = way != UNWEIGHED
        return gr.update(interactive=weighed, info=label(f"together.{'weight_help' if weighed else 'unweighed'}"))

    inputs = [results.kept, controls.fusion, controls.weight]
    for moved in (controls.weight.input, controls.weight.release, controls.fusion.input):  # a reset is a release only
        moved(fuse, inputs, outputs, js=WITHIN, trigger_mode="always_last", **QUIETLY)
    controls.fusion.change(explain, controls.fusion, controls.weight, **QUIETLY)


def _write_again(button: gr.Button, results: Results, handlers: Handlers) -> None:
    """Have the files written with the weights of now."""

    def begin() -> Any:
        return gr.update(interactive=False, value=label("together.rewriting"))

    def rest() -> Any:
        return gr.update(interactive=True, value=label("together.rewrite"))

    def write(kept: Kept | None, request: gr.Request) -> tuple[Any, ...]:
        page = handlers.desk.holdings.page(request.session_hash)
        downloads, kept = handlers.write(kept, language_of(request), page)
        return downloads, kept, gr.update(visible=False)

    running = button.click(begin, None, button, **QUIETLY).then(
        write,
        results.kept,
        [results.downloads, results.kept, results.stale],
        show_progress="hidden",
        concurrency_id="analysis",
        concurrency_limit=AT_ONCE,
        api_visibility="private",
    )
    for ended in (running.success, running.failure):
        ended(rest, None, button, **QUIETLY)


def _offer_api(handlers: Handlers, settings: Settings) -> None:
    """Offer one endpoint to programs: a recording and its words in, the report and a ZIP out."""

    def answer(
        file: str | None, text: str, fusion: str, text_weight: float, request: gr.Request
    ) -> tuple[dict[str, Any], str]:
        """Analyze a recording and its words; return the report as JSON and a ZIP of everything that the run wrote."""
        chosen = {"upload": file, "said": text, "fusion": fusion, "text_weight": text_weight, "transcribe": not text}
        return handlers.answer(chosen, handlers.desk.holdings.program(request.session_hash))

    inputs = [
        gr.File(type="filepath", label="file", visible=False),
        gr.Textbox(label="text", visible=False),
        gr.Textbox(settings.fusion, label="fusion", visible=False),
        gr.Number(settings.text_weight, label="text_weight", visible=False),
    ]
    outputs = [gr.JSON(label="report", visible=False), gr.File(label="zip", visible=False)]
    gr.Button(visible=False).click(
        answer, inputs, outputs, api_name="multimodal", concurrency_id="analysis", concurrency_limit=AT_ONCE
    )
