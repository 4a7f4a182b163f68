"""What begins an analysis, shows that it runs, and stops it, wherever a tab has a button for it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from emoscope.studio import present
from emoscope.studio.handlers import Visit
from emoscope.studio.holdings import Holdings
from emoscope.studio.parts import QUIETLY
from emoscope.studio.words import label, language_of

AT_ONCE = 4  # analyses that may decode at the same time; the analyzer lets one at a time listen


@dataclass(frozen=True)
class Buttons:
    """What a visitor presses; the titles are keys of words."""

    start: gr.Button
    stop: gr.Button
    title: str  # of the first one
    working: str  # its title while an analysis runs
    examples: tuple[gr.Button, ...] = ()  # each starts one too


def connect(
    starts: Iterable[Any],
    run: Callable[..., Any],
    inputs: Any,
    outputs: list[Any],
    *,
    visit: gr.State,
    progress: gr.HTML,
    buttons: Buttons,
    holdings: Holdings,
) -> None:
    """Have each of the `starts`, which are events, begin, `run`, and come back to rest; Stop asks `run` to end.

    `run` yields the outputs while it works; the visit is moved on before it, and when it is to stop.
    """
    shown = [progress, buttons.stop, buttons.start, *buttons.examples]

    def begin(visit: Visit, request: gr.Request) -> list[Any]:
        visit.move_on()
        visit.page = holdings.page(request.session_hash)
        return [present.ready(language_of(request)), gr.update(visible=True), *_switch(buttons, on=False)]

    def rest() -> list[Any]:
        return [None, gr.update(visible=False), *_switch(buttons, on=True)]

    def stop(visit: Visit) -> list[Any]:
        visit.move_on()
        return rest()

    runs = [
        start(begin, visit, shown, **QUIETLY).then(
            run,
            inputs,
            outputs,
            show_progress="hidden",
            concurrency_id="analysis",
            concurrency_limit=AT_ONCE,
            api_visibility="private",
        )
        for start in starts
    ]
    for running in runs:
        for ended in (running.success, running.failure):  # Gradio 6.31 does not do after an error what `then` says
            ended(rest, None, shown, **QUIETLY)
    buttons.stop.click(stop, visit, shown, cancels=runs, **QUIETLY)


def _switch(buttons: Buttons, *, on: bool) -> list[Any]:
    """Let everything that starts an analysis be pressed, or not."""
    title = label(buttons.title if on else buttons.working)
    return [gr.update(interactive=on, value=title), *(gr.update(interactive=on) for _ in buttons.examples)]
