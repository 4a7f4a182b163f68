"""The models that a form offers: those on disk, by the names of their folders, which are never paths."""

from typing import TYPE_CHECKING, Any

import gradio as gr

from emoscope import models
from emoscope.errors import OptionError
from emoscope.settings import Settings
from emoscope.studio.parts import QUIETLY
from emoscope.studio.words import label

if TYPE_CHECKING:
    from emoscope.models.catalogue import Kind

AUTOMATIC = "auto"


def place_models(settings: Settings, kind: "Kind", *, name: str, words: str) -> gr.Dropdown:
    """Place the choice of a model; what is on disk is read again at every visit.

    `name` is its element's, `words` the key of its label, to which `_help` is added for what it explains.
    """

    def choices() -> list[tuple[Any, str]]:
        found = [(entry.title, folder) for folder, entry in offered(settings, kind).items()]
        return [(label("speech.automatic"), AUTOMATIC), *found]

    shown = gr.Dropdown(
        choices(),
        value=AUTOMATIC,
        label=label(words),
        info=label(f"{words}_help"),
        elem_id=name,
        filterable=False,
    )
    gr.on(None, lambda: gr.update(choices=choices()), None, shown, **QUIETLY)
    return shown


def offered(settings: Settings, kind: "Kind") -> dict[str, models.Entry]:
    """Return the models on disk by what the form calls them."""
    entries = models.inventory(settings.models)
    return {entry.folder.name: entry for entry in entries if entry.kind == kind and entry.state == "ready"}


def find_model(chosen: str | None, settings: Settings, kind: "Kind") -> str:
    """Return the chosen model's name; a visitor must not name a folder of this machine. Raises OptionError."""
    name = chosen or AUTOMATIC
    if name == AUTOMATIC:
        return AUTOMATIC
    found = offered(settings, kind)
    if name not in found:
        raise OptionError(f"There is no model “{name}” on this machine. Choose one of the list.")
    return found[name].name
