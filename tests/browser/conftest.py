"""A real Chromium and a real studio; a page that reports an error or asks another machine fails its test."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import sync_playwright

from tests.browser.studio import patient_analyzer, serving, settings_for
from tests.sounds import syllables

ROOT = Path(__file__).resolve().parent.parent.parent
RATE = 16_000
SHOWN = "document.querySelector('#timeline [data-ready]')?.dataset.ready ?? ''"  # counts the timelines shown
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def sounds(tmp_path_factory):
    """Recordings as WAV files: speech-like, a steady tone, silence, and a text with a wrong ending."""
    folder = tmp_path_factory.mktemp("sounds")
    soundfile.write(folder / "speech.wav", syllables(7)[0], RATE)
    wave = 0.3 * np.sin(2 * np.pi * 220 * np.arange(4 * RATE) / RATE)
    soundfile.write(folder / "tone.wav", wave, RATE)
    soundfile.write(folder / "late.wav", np.concatenate([np.zeros(3 * RATE), wave]), RATE)
    soundfile.write(folder / "silence.wav", np.zeros(2 * RATE), RATE)
    (folder / "text.wav").write_text("this is no sound")
    return folder


@pytest.fixture(scope="session")
def chromium(sounds):
    """A browser whose microphone plays the speech."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("there is no Chromium on this machine")
    microphone = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        *microphone,
        f"--use-file-for-fake-audio-capture={sounds / 'speech.wav'}",
    ]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=arguments)
        yield browser.new_context(permissions=["microphone"])  # one for all pages, so that scripts come from its cache
        browser.close()


class Visits:
    """Opens pages, and knows what went wrong in them."""

    def __init__(self, context):
        self.context = context
        self.pages = []
        self.trouble = []

    def __call__(self, address, *, size=(1440, 900), scheme="light"):
        page = self.context.new_page()
        self.pages.append(page)
        page.set_default_timeout(20_000)
        page.set_viewport_size({"width": size[0], "height": size[1]})
        page.emulate_media(color_scheme=scheme)
        page.on("pageerror", lambda error: self.trouble.append(f"error: {error}"))
        page.on("console", lambda said: self.trouble.append(f"console: {said.text}") if said.type == "error" else None)
        page.on("request", lambda request: self._watch(request.url, address))
        page.goto(address)
        page.wait_for_selector("#analyze")
        return page

    def _watch(self, url, address):
        if not url.startswith((address, "data:", "blob:")):
            self.trouble.append(f"request: {url}")

    def close(self):
        for page in self.pages:
            page.close()
        assert not self.trouble


@pytest.fixture
def visit(chromium):
    """Open the page at an address, in a window of this size and in light or dark."""
    visits = Visits(chromium)
    yield visits
    visits.close()


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """A studio whose model hears the first half angry, the second sad: its address, outputs, and the model's gate."""
    settings = settings_for(tmp_path_factory.mktemp("known"))
    analyzer, gate = patient_analyzer(settings)
    with serving(analyzer, settings) as address:
        yield address, settings.outputs, gate


@pytest.fixture(scope="session")
def real(tmp_path_factory):
    """The studio as a person starts it, with the model that ships: its address and outputs."""
    folder = tmp_path_factory.mktemp("real")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    chosen = {
        "EMOSCOPE_PORT": str(port),
        "EMOSCOPE_OUTPUTS": str(folder),
        "EMOSCOPE_SPEECH_MODEL": "compact",
    }
    process = subprocess.Popen(
        [sys.executable, "app.py"], cwd=ROOT, env=os.environ | chosen, stdout=subprocess.PIPE, text=True
    )
    try:
        address = process.stdout.readline().split()[-1]
        yield address.replace("localhost", "127.0.0.1"), folder
    finally:
        process.terminate()
        process.stdout.close()
        process.wait(15)


def choose(page, file):
    """Upload a file in place of the one that is there."""
    if page.locator("#upload .file-preview").count():
        page.click("#upload button[aria-label=Clear]")
    page.set_input_files("#upload input[type=file]", file)
    page.wait_for_selector("#upload .file-preview")


def start(page, file):
    """Have a file analysed by a model whose gate is shut, and wait until it stands there."""
    choose(page, file)
    page.click("#analyze")
    page.wait_for_selector("#progress .what >> text=Listening")


def analyze(page, file, granularity="utterance"):
    """Do what a person does to have a file analysed, and wait for the answer."""
    choose(page, file)
    page.check(f"#granularity input[value={granularity}]", force=True)
    before = page.evaluate(SHOWN)
    page.click("#analyze")
    page.wait_for_function(f"before => ({SHOWN}) !== before", arg=before)
    page.wait_for_selector("#analyze:enabled")
