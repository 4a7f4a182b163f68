"""The REST interface and the studio in one process: the web application, and the server around it."""

import asyncio
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI

from emoscope import claims, studio
from emoscope.access import Access
from emoscope.api import Office, add_api, agents, uploads
from emoscope.api.metrics import Metrics
from emoscope.errors import OptionError
from emoscope.gate import CONNECTIONS, Gate, Intake, Prompt
from emoscope.history import Keeper
from emoscope.jobs import Jobs
from emoscope.live import Live, longest, sweep
from emoscope.room import Room
from emoscope.settings import Settings
from emoscope.studio.desk import Desk
from emoscope.studio.rolling.routes import add_routes
from emoscope.studio.walls import Walls

if TYPE_CHECKING:
    from emoscope.analyzer import Analyzer

SECONDS_TO_FINISH = 4.0  # what running analyses get when the server is asked to stop
SECONDS_TO_TELL = 3  # what answers get after that, until their connections are closed; a refused upload takes two
LOOK = 0.1  # seconds between two looks at what still runs


def create_app(analyzer: "Analyzer", settings: Settings) -> FastAPI:
    """Return the whole web application; it starts the analyzer when it starts. One at a time in a process."""
    jobs, keeper = Jobs(analyzer, settings), Keeper(settings)
    office = Office(analyzer, settings, jobs, keeper, Metrics(analyzer, jobs), claims.temporary(uploads.UPLOADS))
    live = Live(analyzer.listen, limit=longest(settings))
    folder = studio.prepare()
    room = Room.of(settings, folder, office.uploads)
    desk = Desk(analyzer, settings, live, keeper, jobs)
    demo = studio.build(desk)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with ExitStack() as ends:
            ends.enter_context(claims.existing(folder))
            ends.enter_context(desk.holdings.swept())
            ends.enter_context(claims.existing(office.uploads))
            ends.callback(keeper.history.close)
            ends.callback(analyzer.stop)
            sweep()
            ends.callback(live.close)
            ends.callback(jobs.close)
            analyzer.start()
            threading.Thread(target=keeper.start, name="history", daemon=True).start()  # it may read many folders
            async with agents.serving(app, office), room.kept_tidy():
                yield

    access = Access(settings)
    app = FastAPI(title="Emoscope", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Gate, access=access, settings=settings)  # inside of what measures and what adds headers
    app.add_middleware(Intake, room=room)
    add_api(app, office)  # before the mount: Gradio at "/" answers everything that comes after it
    add_routes(app, live)
    app = studio.mount(app, demo, settings)
    app.add_middleware(Walls)
    app.state.jobs, app.state.access = jobs, access
    return app


def serve(analyzer: "Analyzer", settings: Settings) -> None:
    """Serve the studio until the process is asked to stop, and print its address when it answers."""
    listener = _listen(settings)
    app = create_app(analyzer, settings)
    with suppress(KeyboardInterrupt):  # Ctrl+C is the usual way to stop it
        _Server(configured(app), analyzer, settings, app).run(sockets=[listener])


def configured(app: FastAPI) -> uvicorn.Config:
    """Return how the application is served: to whom, how many at once, and how long anybody is waited for."""
    return uvicorn.Config(
        app,
        http=Prompt,
        ws="none",
        log_level="warning",
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=SECONDS_TO_TELL,
    )


class _Server(uvicorn.Server):
    """Tells the address as soon as it answers; asked to stop, it lets analyses end for some seconds."""

    def __init__(self, config: uvicorn.Config, analyzer: "Analyzer", settings: Settings, app: FastAPI) -> None:
        super().__init__(config)
        self._analyzer, self._settings = analyzer, settings
        self._jobs: Jobs = app.state.jobs
        self._access: Access = app.state.access

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop in order at the first signal, and at once at the second: the next start sweeps."""
        if self.should_exit:
            os._exit(128 + sig)
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer 503 to what is new or waits, and in the end to what still runs; then close the connections."""
        threading.Thread(target=self._analyzer.stop, name="stopping", daemon=True).start()  # a download takes seconds
        end = time.monotonic() + SECONDS_TO_FINISH
        self._jobs.stop()
        while self._jobs.running and time.monotonic() < end:
            await asyncio.sleep(LOOK)
        self._jobs.close()
        logging.getLogger("uvicorn.error").addFilter(_is_news)
        await super().shutdown(sockets)
        claims.abandon()
        self._captured_signals.clear()  # else uvicorn ends the process by them; it was stopped in order

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            host, port = listener.getsockname()[:2]
            name = "localhost" if host in ("0.0.0.0", "::", "127.0.0.1", "::1") else host
            sys.stdout.write(f"Emoscope is at http://{name}:{port}{self._sign_in()}\n")
        sys.stdout.flush()

    def _sign_in(self) -> str:
        """Return what follows the address: the token that was made, or who may call; nothing on a machine of one's own.

        A token that somebody has set is not told: output ends up in logs.
        """
        if self._access.made:
            return f"/?token={self._access.made}"
        if self._access.on:
            return "\nSign in with your token, which is in EMOSCOPE_TOKEN."
        return "" if self._settings.is_local else "\nEverybody who can reach it may use it: EMOSCOPE_OPEN is 1."


def _is_news(record: logging.LogRecord) -> bool:
    """Say whether a line of the log tells more than that a page was open, whose stream had to be cut."""
    cut = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not cut and "graceful shutdown exceeded" not in record.getMessage()


def _listen(settings: Settings) -> socket.socket:
    """Take the port now, so that a taken one is told before anything is loaded."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio switches Nagle's algorithm off only where the protocol is named; it holds answers back for 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
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
