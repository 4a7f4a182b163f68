"""What people call their files and what is said in them, in every tab that shows it: text, never a part of the page."""

import json

import httpx
import pytest
import soundfile

from emoscope.analyzer import Analyzer
from emoscope.readers import Readers
from tests.browser.conftest import Visits, analyze, choose
from tests.browser.studio import Patient, serving, settings_for, wait_for
from tests.fakes import Keywords, Scribe
from tests.sounds import RATE, tone

RUNS = "window.pwned=1"
NAME = f"<img src=x onerror={RUNS}>${{{RUNS}}}{{{{value}}}}&lt;b&gt;'.wav"
SAID = f"<img src=x onerror={RUNS}><script>{RUNS}</script> ${{{RUNS}}} {{{{value}}}} </script> &lt;b&gt; so joyful."
ELEMENTS = "img[src=x], b, [onerror]"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A recording with such a name, and a transcript in which such things are said."""
    folder = tmp_path_factory.mktemp("hostile")
    soundfile.write(folder / NAME, tone(3)[0], RATE)
    (folder / "said.vtt").write_text(f"WEBVTT\n\n00:00.300 --> 00:01.700\n{SAID.replace('<', '&lt;')}\n")
    return folder


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A studio whose recogniser hears such things, too."""
    settings = settings_for(tmp_path_factory.mktemp("injection"))
    model = Patient()
    model.gate.set()
    scribe = Scribe(said=(SAID,))
    readers = Readers(settings, load_text=lambda _folder: Keywords(), load_recogniser=lambda: scribe)
    with serving(Analyzer(settings, load=lambda _folder: model, readers=readers), settings) as address:
        wait_for(lambda: httpx.get(f"{address}/ready").status_code == 200)
        yield address


@pytest.fixture(scope="module")
def shared(chromium, address):
    visits = Visits(chromium)
    yield visits(address)
    visits.close()  # which fails where the console was not silent


@pytest.fixture
def page(shared):
    """The page; afterwards nothing of what was sent has become a part of it."""
    yield shared
    assert shared.evaluate("window.pwned") is None
    assert shared.locator(ELEMENTS).count() == 0


def turn_to(page, name):
    page.click(f"#tab-{name}-button")


def test_in_the_speech_tab(page, hostile):
    analyze(page, hostile / NAME)
    assert RUNS in page.locator("#verdict .file").inner_text()


def test_in_the_speech_tab_when_it_is_refused(page, tmp_path):
    (tmp_path / NAME).write_text("this is no sound")
    choose(page, tmp_path / NAME)
    page.click("#analyze")
    page.wait_for_selector("text=is a text file")
    assert page.locator(ELEMENTS).count() == 0


def test_in_the_text_tab(page):
    turn_to(page, "text")
    page.fill("#text textarea", SAID)
    page.wait_for_selector("#read:enabled")
    page.click("#read")
    page.wait_for_selector("#reading .sentences .text")
    assert page.locator("#reading .text").first.inner_text().startswith("<img src=x")


def test_in_the_tab_of_speech_and_text(page, hostile):
    turn_to(page, "together")
    page.set_input_files("#upload-together input[type=file]", hostile / NAME)
    page.wait_for_selector("#upload-together .file-preview")
    with page.expect_file_chooser() as chooser:
        page.click("#load-said")
    chooser.value.set_files(hostile / "said.vtt")
    page.wait_for_selector("#said-note .note:not(:empty)")
    assert "<img src=x" in page.locator("#said textarea").input_value()
    page.click("#together")
    page.wait_for_selector("#together-downloads .files li")
    page.wait_for_selector("#together-timeline [data-ready]")
    assert "<img src=x" in page.locator("#tab-together, body").last.inner_text()


def test_in_the_compare_tab(page, hostile):
    turn_to(page, "compare")
    for side in "ab":
        page.set_input_files(f"#upload-{side} input[type=file]", hostile / NAME)
        page.wait_for_selector(f"#upload-{side} .file-preview")
    page.click("#compare")
    page.wait_for_selector("#difference .main")
    assert RUNS in page.locator("#verdict-b .file").inner_text()


def test_in_the_batch_tab(page, hostile):
    turn_to(page, "batch")
    page.set_input_files("#batch-upload input[type=file]", [hostile / NAME])
    page.wait_for_selector("#batch-upload .file-preview")
    page.click("#batch")
    page.wait_for_selector("#table .zip:visible")
    assert "pwned" in page.locator("#table").inner_text()


def test_in_the_history_tab(page, address, hostile):
    sent = httpx.post(
        f"{address}/api/v1/multimodal",
        files={"file": (NAME, (hostile / NAME).read_bytes())},
        data={"text": SAID},
        timeout=60,
    )
    assert json.loads(sent.text)["source"]["name"] == NAME, sent.text[:500]
    turn_to(page, "history")
    page.wait_for_selector("#past tbody tr")
    page.fill("#past input[type=search]", NAME[:20])
    page.wait_for_selector("#past tbody tr")
    assert page.locator("#past tbody .open").first.inner_text() == NAME
    page.locator("#past tbody .open").first.click()
    page.wait_for_selector("#history-timeline [data-ready]")
    page.locator("#history-reading").get_by_text("<img src=x").first.wait_for()
