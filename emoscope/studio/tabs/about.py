"""The About tab: which models answer, whose they are, and what Emoscope cannot do."""

import gradio as gr

from emoscope import models
from emoscope.studio import present
from emoscope.studio.desk import Desk
from emoscope.studio.parts import part
from emoscope.studio.words import language_of


def build(desk: Desk) -> None:
    """Place the tab; the list of models is read again at every visit."""

    def look(request: gr.Request) -> present.View:
        entries = models.inventory(desk.settings.models)
        return present.about(entries, desk.analyzer.status.model, language_of(request))

    gr.on(None, look, None, part("about"), queue=False, show_progress="hidden", api_visibility="private")
