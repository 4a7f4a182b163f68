"""Privacy mode in a real browser: the page has its files while it is open, and nothing is left when it is closed."""

import os
from pathlib import Path

import httpx
import pytest

from emoscope.studio import holdings
from tests.browser.conftest import analyze
from tests.browser.studio import patient_analyzer, serving, settings_for, wait_for

ARCHIVE = "document.querySelector('#downloads a.whole')?.href"


@pytest.fixture
def studio(tmp_path, monkeypatch):
    """A studio that keeps nothing, and looks for leftovers all the time: its address, outputs, and Gradio's folder."""
    monkeypatch.setattr(holdings, "LOOK", 0.05)
    monkeypatch.setattr(holdings, "EMPTY", 1.0)
    settings = settings_for(tmp_path, keep="nothing")
    with serving(patient_analyzer(settings)[0], settings) as address:
        yield address, settings.outputs, Path(os.environ["GRADIO_TEMP_DIR"])


def files(folder):
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())


def archive(page, address):
    return address + page.locator("#downloads a.whole").get_attribute("href").replace(address, "")


def test_who_leaves_the_page_leaves_nothing(visit, sounds, studio):
    address, outputs, shelf = studio
    page = visit(address)
    analyze(page, sounds / "speech.wav", "frame")
    page.wait_for_selector("#downloads a.whole")
    assert page.inner_text("#downloads .folder").startswith("Nothing is kept: these files go")
    first, before = archive(page, address), page.evaluate(ARCHIVE)
    assert httpx.get(first).status_code == 200
    assert any(name.endswith("/speech.wav") for name in files(shelf))

    analyze(page, sounds / "late.wav", "frame")
    page.wait_for_function(f"before => {ARCHIVE} && {ARCHIVE} !== before", arg=before)
    second = archive(page, address)
    assert httpx.get(second).status_code == 200
    wait_for(lambda: httpx.get(first).status_code in (403, 404))
    wait_for(lambda: not any(name.endswith("/speech.wav") for name in files(shelf)))
    assert any(name.endswith("/late.wav") for name in files(shelf))

    page.goto("about:blank")
    wait_for(lambda: not any(shelf.iterdir()))
    assert httpx.get(second).status_code in (403, 404)
    left = [name for name in files(outputs) if not name.startswith(shelf.name)]  # the temporary folder is in there
    assert left == []


def test_who_comes_back_can_go_on(visit, sounds, studio):
    address, _, shelf = studio
    page = visit(address)
    analyze(page, sounds / "tone.wav")
    page.wait_for_selector("#downloads a.whole")
    page.reload()
    page.wait_for_selector("#analyze")
    wait_for(lambda: not any(name.endswith("/tone.wav") for name in files(shelf)))
    analyze(page, sounds / "tone.wav")
    page.wait_for_selector("#downloads a.whole")
    assert httpx.get(archive(page, address)).status_code == 200
