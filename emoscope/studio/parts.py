"""The pieces of the page that Gradio has no component for: markup, style and script in a folder each."""

from pathlib import Path
from typing import Any

import gradio as gr

HERE = Path(__file__).parent


def part(name: str, **properties: Any) -> gr.HTML:
    """Return the piece in the folder `name`; it shows `value`, and takes more properties by name.

    The markup never changes and holds nobody's text: Gradio compiles it as a template, so the scripts put every text in
    its place as text. A function and not a class, because a subclass of a component writes files beside the source.
    """
    return gr.HTML(
        html_template=_read(name, "html"),
        css_template=_read(name, "css"),
        js_on_load=_read(name, "js"),
        apply_default_css=False,
        elem_id=name,
        **properties,
    )


def _read(name: str, ending: str) -> str:
    return (HERE / name / f"{name}.{ending}").read_text(encoding="utf-8")
