"""Where a recording comes from: a file or the microphone. Speech has one of these, Compare two."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from emoscope import audio
from emoscope.studio.holdings import Holdings
from emoscope.studio.parts import QUIETLY
from emoscope.studio.words import label


@dataclass(frozen=True)
class Origin:
    """The choice between the two, and both."""

    source: gr.Radio
    upload: gr.File
    recording: gr.Audio


def place_origin(holdings: Holdings, title: Any, *, name: str = "", height: int = 170, titled: bool = False) -> Origin:
    """Place it; `name` tells several of them apart, and with `titled` the title is shown above."""
    suffix = f"-{name}" if name else ""
    source = gr.Radio(
        [(label("speech.upload"), "upload"), (label("speech.record"), "microphone")],
        value="upload",
        label=title if titled else label("speech.source"),
        show_label=titled,
        container=titled,
        elem_id=f"source{suffix}",
        elem_classes="choice",
    )
    upload = gr.File(
        file_types=list(audio.ENDINGS),
        type="filepath",
        show_label=False,
        label=title,
        elem_id=f"upload{suffix}",
        elem_classes="drop",
        height=height,
    )
    recording = gr.Audio(
        sources=["microphone"],
        type="filepath",
        buttons=[],
        show_label=False,
        label=title,
        elem_id=f"record{suffix}",
        elem_classes="drop",
        visible=False,
    )
    source.change(_show, source, [upload, recording], **QUIETLY)
    for given in (upload, recording):
        hold(holdings, given)
    return Origin(source, upload, recording)


def hold(holdings: Holdings, given: gr.File | gr.Audio) -> None:
    """Have the page need what a visitor gives in this place, until they give something else."""

    def follow(files: list[str] | str | None, request: gr.Request) -> None:
        found = [files] if isinstance(files, str) else files or []
        holdings.page(request.session_hash).needs(str(given.elem_id), *map(Path, found))

    if holdings.private:
        given.change(follow, given, None, **QUIETLY)


def _show(source: str) -> tuple[Any, Any]:
    return gr.update(visible=source == "upload"), gr.update(visible=source == "microphone")
