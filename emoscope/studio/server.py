"""FastAPI and Gradio in one process: the app, its own folder for files, and the server around it."""

import inspect
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.middleware import Middleware

from emoscope.errors import OptionError
from emoscope.live import Live, longest
from emoscope.settings import Settings
from emoscope.studio.desk import Desk
from emoscope.studio.rolling.routes import add_routes
from emoscope.studio.walls import Walls

if TYPE_CHECKING:
    import gradio as gr

    from emoscope.analyzer import Analyzer

WAITING_VISITORS = 32  # analyses that may queue; the next visitor is told that the studio is busy
SECONDS_TO_FINISH = 5  # what a running answer gets when the server is asked to stop


def build(desk: Desk) -> "gr.Blocks":
    """Return the studio's page."""
    _import_gradio()
    from emoscope.studio import page

    return page.build(desk)


def create_app(analyzer: "Analyzer", settings: Settings) -> FastAPI:
    """Return the whole web application; it starts the analyzer when it starts. One at a time in a process."""
    folder = Path(tempfile.mkdtemp(prefix="emoscope-studio-"))  # readable by this user only
    os.environ |= {
        "GRADIO_TEMP_DIR": str(folder),  # everything in there is served to whoever knows its path
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    live = Live(analyzer.listen, limit=longest(settings))
    demo = build(Desk(analyzer, settings, live))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        analyzer.start()
        yield
        live.close()
        analyzer.stop()
        shutil.rmtree(folder, ignore_errors=True)

    app = FastAPI(title="Emoscope", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    _add_health(app, analyzer)  # before the mount: Gradio at "/" answers everything that comes after it
    add_routes(app, live)
    app = _mount(app, demo, settings)
    app.add_middleware(Walls)
    return app


def serve(analyzer: "Analyzer", settings: Settings) -> None:
    """Serve the studio until the process is asked to stop, and print its address when it answers."""
    listener = _listen(settings)
    app = create_app(analyzer, settings)
    config = uvicorn.Config(
        app, log_level="warning", server_header=False, timeout_graceful_shutdown=SECONDS_TO_FINISH, ws="none"
    )
    with suppress(KeyboardInterrupt):  # Ctrl+C is the usual way to stop it
        _Server(config).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Tells the address as soon as it answers."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            host, port = listener.getsockname()[:2]
            name = "localhost" if host in ("0.0.0.0", "::", "127.0.0.1", "::1") else host
            sys.stdout.write(f"Emoscope is at http://{name}:{port}\n")
        sys.stdout.flush()


def _add_health(app: FastAPI, analyzer: "Analyzer") -> None:
    @app.get("/health")
    async def health() -> dict[str, str]:
        """Answer as long as the process is alive."""
        return {"status": "ok"}

    @app.get("/ready")
    async def ready() -> JSONResponse:
        """Say whether a model can answer, which, and how far the download of a better one is."""
        status = analyzer.status
        found: dict[str, Any] = {"state": status.state, "sentence": status.sentence}
        if status.news:
            found |= {"news": status.news, "doing": status.doing, "done": status.done}
        if status.model:
            found["model"] = asdict(status.model)
        return JSONResponse(found, 200 if status.state == "ready" else 503)


def _mount(app: FastAPI, demo: "gr.Blocks", settings: Settings) -> FastAPI:
    """Put the page at "/", with everything switched off that would speak to the world."""
    import gradio as gr
    from gradio import processing_utils

    from emoscope.studio.theme import HEAD, STYLE, theme
    from emoscope.studio.words import PageInLanguage, translations

    processing_utils.async_ssrf_protected_download = _no_download
    demo.queue(api_open=False, max_size=WAITING_VISITORS)
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
        app_kwargs={"openapi_url": None, "middleware": [Middleware(PageInLanguage)]},  # inside of what compresses
    )
    # Gradio checks only in apps it launched itself that an input file is one the visitor uploaded. Without this line
    # anyone could name any file of this machine as their recording.
    demo.has_launched = True
    demo.is_running = True  # else every SVG file counts as a part of the page, and long answers get no heartbeat
    return app


async def _no_download(url: str, *_args: Any, **_kwargs: Any) -> str:
    """Stand in for Gradio's download of a file that a visitor names by its address."""
    raise OptionError(f"Emoscope fetches nothing from the network; download {url} and upload the file.")


def _listen(settings: Settings) -> socket.socket:
    """Take the port now, so that a taken one is told before anything is loaded."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise OptionError(
            f"The studio cannot use port {settings.port} on {settings.host} ({error.strerror}). "
            "Stop what uses it, or set EMOSCOPE_PORT to another port."
        ) from None
    return listener


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
