"""Gradio's page in a web application: what it is told before it is imported, and where it is mounted."""

import inspect
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.middleware import Middleware

from emoscope import claims
from emoscope.access import ANYBODY, SCOPE, Asker
from emoscope.errors import OptionError
from emoscope.settings import Settings
from emoscope.studio.desk import Desk
from emoscope.studio.words import PageInLanguage, language_of, say, translations

if TYPE_CHECKING:
    import gradio as gr

WAITING_VISITORS = 32  # requests that Gradio lets wait; analyses have a queue of their own behind it


def prepare() -> Path:
    """Tell Gradio of the folder for what visitors see and upload, and return it; it is made when the server starts."""
    folder = claims.temporary("emoscope-studio")
    os.environ |= {
        "GRADIO_TEMP_DIR": str(folder),  # everything in there is served to whoever knows its path
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    return folder


def build(desk: Desk) -> "gr.Blocks":
    """Return the studio's page."""
    _import_gradio()
    from emoscope.studio import page

    return page.build(desk)


def mount(app: FastAPI, demo: "gr.Blocks", settings: Settings) -> FastAPI:
    """Put the page at "/", with everything switched off that would speak to the world."""
    import gradio as gr
    from gradio import processing_utils

    from emoscope.studio.theme import HEAD, STYLE, theme

    processing_utils.async_ssrf_protected_download = _no_download
    demo.queue(api_open=False, max_size=WAITING_VISITORS)
    _share(demo._queue)
    app = gr.mount_gradio_app(
        app,
        demo,
        path="/",
        server_name=settings.host,
        server_port=settings.port,
        max_file_size=round(settings.max_mb * 1e6),
        show_error=False,
        run_history=False,
        enable_monitoring=False,
        footer_links=[],
        theme=theme(),
        css=STYLE,
        head=HEAD,
        i18n=gr.I18n(**translations()),
        app_kwargs={
            "openapi_url": None,
            "middleware": [Middleware(PageInLanguage)],  # inside of what compresses
            "exception_handlers": {RequestValidationError: _misfit},
        },
    )
    # Gradio checks only in apps it launched itself that an input file is one the visitor uploaded. Without this line
    # anyone could name any file of this machine as their recording.
    demo.has_launched = True
    demo.is_running = True  # else every SVG file counts as a part of the page, and long answers get no heartbeat
    return app


async def _misfit(_request: Request, _error: Exception) -> Response:
    """Answer what no page of ours sends; FastAPI's own answer repeats it, and fails where that is no text."""
    return JSONResponse({"detail": "The request does not fit what is expected here."}, 422)


def _share(queue: Any) -> None:
    """Leave one account, or one other machine, no more than half of the places where requests wait."""
    push = queue.push

    def side(request: Request) -> str:
        asker: Asker = request.scope.get(SCOPE, ANYBODY)
        return asker.side

    async def push_in_turn(body: Any, request: Request, username: str | None) -> Any:
        waiting = (event for events in queue.event_queue_per_concurrency_id.values() for event in events.queue)
        count, mine = 0, side(request)
        if mine:
            count = sum(side(event.request) == mine for event in waiting)
        if count >= WAITING_VISITORS // 2:
            return False, say("errors.shared", language_of(request), count=count), "queue_full"
        return await push(body, request, username)

    queue.push = push_in_turn


async def _no_download(url: str, *_args: Any, **_kwargs: Any) -> str:
    """Stand in for Gradio's download of a file that a visitor names by its address."""
    raise OptionError(f"Emoscope fetches nothing from the network; download {url} and upload the file.")


def _import_gradio() -> None:
    """Import Gradio without its rewriting of type stubs, which takes half of the time.

    Gradio asks `inspect` for each component's source file and skips the stub when there is none.
    """
    if "gradio" in sys.modules:
        return
    find_file = inspect.getfile

    def find_no_class(thing: Any) -> str:
        if isinstance(thing, type):
            raise OSError
        return find_file(thing)

    inspect.getfile = find_no_class  # type: ignore[assignment]  # for a moment it takes fewer things
    try:
        import gradio  # noqa: F401
    finally:
        inspect.getfile = find_file
