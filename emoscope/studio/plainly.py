"""The studio's door for errors: what goes wrong becomes one sentence, in the visitor's language."""

import html
import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from emoscope.errors import EmoscopeError
from emoscope.studio.words import Language, say, translate

log = logging.getLogger(__name__)

SHOWN = 12  # seconds that the sentence stays on the page


@contextmanager
def plainly(language: Language = "en") -> Iterator[None]:
    """Turn what goes wrong into one sentence for the visitor; what nobody foresaw goes to the log under a number."""
    try:
        yield
    except EmoscopeError as error:
        raise _shown(translate(str(error), language), language) from None
    except Exception:  # the door to the visitor: nothing may leave as a trace
        number = secrets.token_hex(3)
        log.exception("unforeseen error %s", number)
        raise _shown(say("errors.unforeseen", language, number=number), language) from None


def _shown(sentence: str, language: Language) -> gr.Error:
    # Gradio shows the message as HTML, and it may hold the name of a file.
    message = html.escape(sentence, quote=False)
    return gr.Error(message, title=say("errors.title", language), duration=SHOWN, print_exception=False)
