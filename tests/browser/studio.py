"""A studio to test: with a model whose answers are known, in this process."""

import asyncio
import contextlib
import socket
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from unittest import mock

import uvicorn

from emoscope.analyzer import Analyzer
from emoscope.server import configured, create_app
from emoscope.settings import Settings
from tests.fakes import HalfAndHalf


@dataclass(frozen=True)
class Patient(HalfAndHalf):
    """Hears like HalfAndHalf, but only while its gate is open."""

    gate: threading.Event = field(default_factory=threading.Event)

    def listen(self, wave, *, features=False, progress):
        while not self.gate.wait(0.05):
            progress("Listening", 0.5)
        return super().listen(wave, features=features, progress=progress)


def settings_for(folder, **changed):
    """Settings with their own outputs, and a model folder that looks complete."""
    model = folder / "half-and-half"
    model.mkdir(parents=True, exist_ok=True)
    for name in ("config.yaml", "tokens.txt", "model.pt"):
        (model / name).touch()
    (folder / "outputs").mkdir(exist_ok=True)
    return Settings(speech_model=str(model), outputs=folder / "outputs", **changed)


def patient_analyzer(settings):
    """An analyzer whose model waits at its gate, and the gate."""
    model = Patient()
    model.gate.set()
    return Analyzer(settings, load=lambda _folder: model), model.gate


def make_app(analyzer, settings):
    """Build the app where an event loop runs: without one, Gradio makes loops that it never closes."""

    async def make():
        return create_app(analyzer, settings)

    with ThreadPoolExecutor(1) as other_thread:  # in this one Playwright's loop may be running
        return other_thread.submit(asyncio.run, make()).result()


@contextlib.contextmanager
def serving(analyzer, settings):
    """Serve the studio in a thread and yield its address; one at a time, as Gradio's folder is one for the process."""
    with mock.patch.object(tempfile, "tempdir", str(settings.outputs)):  # Gradio makes folders again that are gone
        app = make_app(analyzer, settings)
    with served(app) as address:
        yield address


@contextlib.contextmanager
def served(app):
    """Serve an application as the real one is served, in a thread, and yield its address."""
    server = uvicorn.Server(configured(app))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    wait_for(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
