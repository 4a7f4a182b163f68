"""The REST interface and the studio in one process: the web application, and the server around it."""

import shutil
import socket
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI

from emoscope import studio
from emoscope.api import Office, add_api, agents, uploads
from emoscope.api.metrics import Metrics
from emoscope.errors import OptionError
from emoscope.history import Keeper
from emoscope.jobs import Jobs
from emoscope.live import Live, longest
from emoscope.settings import Settings
from emoscope.studio.desk import Desk
from emoscope.studio.rolling.routes import add_routes
from emoscope.studio.walls import Walls

if TYPE_CHECKING:
    from emoscope.analyzer import Analyzer

SECONDS_TO_FINISH = 5  # what a running answer gets when the server is asked to stop


def create_app(analyzer: "Analyzer", settings: Settings) -> FastAPI:
    """Return the whole web application; it starts the analyzer when it starts. One at a time in a process."""
    jobs, keeper = Jobs(analyzer, settings), Keeper(settings)
    office = Office(analyzer, settings, jobs, keeper, Metrics(analyzer, jobs), uploads.place())
    live = Live(analyzer.listen, limit=longest(settings))
    folder = studio.prepare()
    demo = studio.build(Desk(analyzer, settings, live, keeper, jobs))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with ExitStack() as ends:
            ends.callback(shutil.rmtree, folder, ignore_errors=True)
            ends.enter_context(uploads.existing(office.uploads))
            ends.callback(keeper.history.close)
            ends.callback(analyzer.stop)
            ends.callback(live.close)
            ends.callback(jobs.close)
            analyzer.start()
            threading.Thread(target=keeper.start, name="history", daemon=True).start()  # it may read many folders
            async with agents.serving(app, office):
                yield

    app = FastAPI(title="Emoscope", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    add_api(app, office)  # before the mount: Gradio at "/" answers everything that comes after it
    add_routes(app, live)
    app = studio.mount(app, demo, settings)
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
