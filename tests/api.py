"""The REST interface to test, without the studio: a real server in this process, and models with known answers."""

import contextlib
import socket
import tempfile
import threading
from dataclasses import dataclass, field
from unittest import mock

import httpx
import numpy as np
import soundfile
import uvicorn
from fastapi import FastAPI

from emoscope import claims
from emoscope.analyzer import Analyzer
from emoscope.api import Office, add_api, agents, uploads
from emoscope.api.metrics import Metrics
from emoscope.gate import Intake
from emoscope.history import Keeper
from emoscope.jobs import Jobs
from emoscope.readers import Readers
from emoscope.room import Room
from tests.browser.studio import Patient, settings_for, wait_for
from tests.fakes import Keywords, Scribe

RATE = 16_000


@dataclass(frozen=True)
class Counting(Patient):
    """Hears like HalfAndHalf while its gate is open, and notes how many clips came in one pass."""

    passes: list = field(default_factory=list)

    def listen_many(self, waves):
        while not self.gate.wait(5):
            raise AssertionError("nobody opened the gate")
        self.passes.append(len(waves))
        return super().listen_many(waves)


def make_analyzer(settings, model=None):
    model = model or Counting()
    model.gate.set()
    readers = Readers(settings, load_text=lambda _folder: Keywords(), load_recogniser=Scribe)
    return Analyzer(settings, load=lambda _folder: model, readers=readers), model


def make_office(folder, *, model=None, **changed):
    """An office in a folder of its own, and the model behind it."""
    settings = settings_for(folder, **changed)
    analyzer, model = make_analyzer(settings, model)
    jobs = Jobs(analyzer, settings)
    with mock.patch.object(tempfile, "tempdir", str(folder)):
        place = claims.temporary(uploads.UPLOADS)
    return Office(analyzer, settings, jobs, Keeper(settings), Metrics(analyzer, jobs), place), model


@contextlib.contextmanager
def serving(office):
    """Serve the interface alone, and yield a client of it."""

    @contextlib.asynccontextmanager
    async def lifespan(_app):
        with claims.existing(office.uploads):
            office.analyzer.start()
            async with agents.serving(app, office):
                yield

    app = FastAPI(lifespan=lifespan, openapi_url=None)
    app.add_middleware(Intake, room=Room.of(office.settings, office.uploads))
    add_api(app, office)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=2, ws="none"))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    wait_for(lambda: server.started and office.analyzer.status.state == "ready")
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=20) as client:
            yield client
    finally:
        office.jobs.close()
        server.should_exit = True
        thread.join(10)
        listener.close()
        office.analyzer.stop()
        office.keeper.history.close()


def write_tone(file, seconds, level=0.3):
    time = np.arange(round(seconds * RATE)) / RATE
    soundfile.write(file, (level * np.sin(2 * np.pi * 220 * time)).astype(np.float32), RATE, format="WAV")
    return file
