"""The studio's page: the header, and a tab for each thing that one can do."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from emoscope.studio import present
from emoscope.studio.desk import Desk
from emoscope.studio.parts import QUIETLY, part
from emoscope.studio.tabs import about, batch, compare, history, live, speech, text, together
from emoscope.studio.words import label, language_of

# By name, which is also the key of its title; one returns what connects its being opened.
TABS: dict[str, Callable[[Desk], Callable[[gr.Tab], None] | None]] = {
    "speech": speech.build,
    "text": text.build,
    "together": together.build,
    "live": live.build,
    "compare": compare.build,
    "batch": batch.build,
    "history": history.build,
    "about": about.build,
}
WORDS = ("text", "together")  # tabs whose model is loaded when somebody turns to them
LOOK_AGAIN = 1.0, 20.0  # seconds between two looks at the model: while something comes, and afterwards
CLEAN = 600, 86_400  # seconds: every ten minutes, what is older than a day


def build(desk: Desk) -> gr.Blocks:
    """Return the whole page."""
    demo = gr.Blocks(title="Emoscope", analytics_enabled=False, delete_cache=CLEAN, fill_width=True)
    with demo:
        _follow_status(demo, part("header"), desk)
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap"):
            for name, place in TABS.items():
                with gr.Tab(label(f"page.{name}"), id=name, elem_id=f"tab-{name}") as tab:
                    follow = place(desk)
                if name in WORDS:
                    tab.select(desk.analyzer.readers.warm, None, None, **QUIETLY)
                if follow:
                    follow(tab)
    if desk.holdings.private:
        _follow_leaving(demo, desk)
    return demo


def _follow_leaving(demo: gr.Blocks, desk: Desk) -> None:
    """Have the files of a page go when it is closed."""

    def close(request: gr.Request) -> None:
        desk.holdings.close(request.session_hash)

    with demo:
        demo.unload(close)


def _follow_status(demo: gr.Blocks, header: gr.HTML, desk: Desk) -> None:
    """Keep the line about the model true, quickly while it loads."""
    timer = gr.Timer(LOOK_AGAIN[0])

    def look(request: gr.Request) -> tuple[present.View, Any]:
        status = present.status(desk.analyzer.status, language_of(request)) | {"visitor": desk.asker.visitor}
        return status, gr.Timer(LOOK_AGAIN[not status["busy"]])

    demo.load(look, None, [header, timer], **QUIETLY)
    timer.tick(look, None, [header, timer], **QUIETLY)
