"""The pieces of the page that Gradio has no component for: markup, style and script in a folder each."""

from pathlib import Path
from typing import Any

import gradio as gr

HERE = Path(__file__).parent
# What an event says of itself that is over at once.
QUIETLY: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}

# The chapters of a long script, in this order, before the file that has the part's own name. Gradio makes one function
# of them all, so they share one scope.
CHAPTERS = {
    "timeline": ("reading", "page", "sound", "window", "lanes", "drawing", "readout", "gestures"),
    "rolling": ("microphone", "picture"),
}


def part(name: str, *, elem_id: str = "", **properties: Any) -> gr.HTML:
    """Return the piece in the folder `name`; it shows `value`, and takes more properties by name.

    `elem_id` tells two of the same piece apart. The markup never changes and holds nobody's text: Gradio compiles it as
    a template, so the scripts put every text in its place as text. A function and not a class, because a subclass of a
    component writes files beside the source.
    """
    folder = HERE / name
    return gr.HTML(
        html_template=_read(folder / f"{name}.html"),
        css_template=_read(folder / f"{name}.css"),
        js_on_load="\n".join(_read(folder / f"{each}.js") for each in (*CHAPTERS.get(name, ()), name)),
        apply_default_css=False,
        elem_id=elem_id or name,
        elem_classes=[f"part-{name}"],
        **properties,
    )


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8")
