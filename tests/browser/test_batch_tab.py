"""The Batch tab: rows that come while others are heard, a bad file, a stop, downloads, and a row that opens."""

import csv
import io
import re
import threading
from zipfile import ZipFile

import pytest
import soundfile
from axe_playwright_python.sync_playwright import Axe

from emoscope.analyzer import Analyzer
from emoscope.batch import COLUMNS
from emoscope.studio import batches
from tests.browser.studio import serving, settings_for, wait_for
from tests.test_tabs import Held, tone

pytestmark = pytest.mark.slow  # tests/test_tabs.py has the same handlers, without a browser

RATE = 16_000
NAMES = ("one.wav", "text.wav", "=two.wav", "long.wav")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two short clips, a text with a wrong ending, and a recording of 3 s, which waits at the model's gate."""
    folder = tmp_path_factory.mktemp("clips")
    soundfile.write(folder / "one.wav", tone(1.0), RATE)
    soundfile.write(folder / "=two.wav", tone(1.5), RATE)
    soundfile.write(folder / "long.wav", tone(3.0), RATE)
    (folder / "text.wav").write_text("this is no sound")
    return [folder / name for name in NAMES]


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """A studio that hears clips one by one: its address, its model's gate, and its outputs."""
    settings, gate = settings_for(tmp_path_factory.mktemp("batch")), threading.Event()
    gate.set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "TOGETHER", 1)
        with serving(Analyzer(settings, load=lambda _folder: Held(gate=gate)), settings) as address:
            yield address, gate, settings.outputs


@pytest.fixture
def page(visit, studio):
    page = visit(studio[0])
    page.click("#tab-batch-button")
    return page


def begin(page, clips):
    page.set_input_files("#batch-upload input[type=file]", clips)
    page.wait_for_selector(f"#batch-upload .file-preview tr >> nth={len(clips) - 1}", state="attached")
    page.click("#batch")


def finish(page):
    page.wait_for_selector("#table .zip:visible")
    page.wait_for_selector("#batch:enabled")


def states(page):
    return [
        row.split()[0]
        for row in page.locator("#table tbody tr").evaluate_all("(rows) => rows.map((row) => row.className)")
    ]


def names(page):
    return page.locator("#table tbody td.file").evaluate_all(
        "(cells) => cells.map((cell) => cell.firstChild.textContent)"
    )


def download(page, kind):
    with page.expect_download() as started:
        page.click(f"#table .{kind}")
    return started.value


def test_rows_fill_while_others_are_heard_and_everything_can_be_downloaded(page, studio, clips):
    gate = studio[1]
    gate.clear()
    begin(page, clips)
    page.wait_for_selector("#table tr.listening >> text=long.wav")
    page.wait_for_function("document.querySelectorAll('#table tr.done').length === 2")
    assert states(page) == ["done", "failed", "done", "listening"]
    assert page.locator("#batch-progress .what").inner_text() == "3 of 4 heard"
    assert 0 < int(page.locator("#batch-progress .bar").get_attribute("aria-valuenow")) < 100
    assert page.locator("#table .zip").is_hidden()
    gate.set()
    finish(page)
    assert states(page) == ["done", "failed", "done", "done"]
    assert page.locator("#table .summary").inner_text() == "3 heard · 1 not heard · 5.5 s of sound · by half-and-half"
    assert "text.wav is" in page.locator("#table tr.failed .note").inner_text()
    assert page.locator("#table td.verdict").all_inner_texts() == ["😢sad", "not heard", "😠angry", "😢sad"]

    table = download(page, "csv")
    assert table.suggested_filename == "batch.csv"
    lines = list(csv.DictReader(io.StringIO(table.path().read_text("utf-8"))))
    assert list(lines[0]) == list(COLUMNS)
    assert [line["path"] for line in lines] == ["one.wav", "text.wav", "'=two.wav", "long.wav"]
    shown = page.locator("#table td.confidence").all_inner_texts()
    assert shown == [f"{100 * float(line['confidence']):.0f}%" if line["confidence"] else "" for line in lines]
    assert lines[1]["error"] == page.locator("#table tr.failed .note").inner_text()

    pack = download(page, "zip")
    assert re.fullmatch(r"batch_\d{8}_\d{6}\.zip", pack.suggested_filename)
    with ZipFile(pack.path()) as whole:
        assert whole.testzip() is None
        assert whole.read("batch.csv") == table.path().read_bytes()
        assert sum(name.endswith("result.json") for name in whole.namelist()) == 3


def test_a_row_opens_and_the_table_sorts_with_the_keyboard(page, visit, studio, clips):
    begin(page, clips)
    finish(page)
    page.click("#table tr.done >> nth=2")
    page.wait_for_selector("#batch-verdict .file >> text=long.wav")
    page.wait_for_selector("#batch-timeline [data-ready]")
    assert page.locator("#batch-verdict h2").inner_text() == "Sad 34%"
    assert page.locator("#table [aria-current]").locator(".open").inner_text() == "long.wav"

    page.focus("#table [data-sort=seconds]")
    page.keyboard.press("Enter")
    assert names(page) == ["one.wav", "=two.wav", "long.wav", "text.wav"]
    page.keyboard.press("Enter")
    assert names(page) == ["long.wav", "=two.wav", "one.wav", "text.wav"]
    assert page.locator("#table th.length").get_attribute("aria-sort") == "descending"
    page.keyboard.press("Enter")
    assert names(page) == list(NAMES)

    page.focus("#table tbody .open >> nth=0")
    page.keyboard.press("Enter")
    page.wait_for_selector("#batch-verdict .file >> text=one.wav")
    assert page.evaluate("document.activeElement.textContent") == "one.wav"  # the keyboard stays in its row

    other = visit(studio[0])
    other.click("#tab-batch-button")
    assert other.locator("#table .card").is_hidden()  # another visitor sees nothing of it


def test_a_stop_keeps_what_is_done(page, studio, clips):
    gate = studio[1]
    gate.clear()
    try:
        begin(page, [clips[0], clips[3], clips[2]])
        page.wait_for_selector("#table tr.done")
        page.click("#batch-stop")
        finish(page)
    finally:
        gate.set()
    assert states(page) == ["done", "left", "left"]
    assert page.locator("#table .summary").inner_text().startswith("1 heard · 2 left out")
    lines = list(csv.DictReader(io.StringIO(download(page, "csv").path().read_text("utf-8"))))
    assert [line["path"] for line in lines] == ["one.wav"]
    assert page.locator("#batch-stop").is_hidden()


def test_a_batch_ends_when_its_page_is_closed_and_what_is_done_is_kept(page, studio, clips):
    _, gate, outputs = studio
    before = set(outputs.glob("batch_*"))
    gate.clear()
    try:
        begin(page, [clips[0], clips[3]])
        page.wait_for_selector("#table tr.done")
        page.close()
        wait_for(lambda: set(outputs.glob("batch_*")) - before)
    finally:
        gate.set()


def test_without_files_the_tab_asks_for_some(page):
    page.click("#batch")
    page.wait_for_selector(".toast-body >> text=no recordings yet")
    page.wait_for_selector("#batch:enabled")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_all_and_axe_finds_nothing_serious(visit, studio, clips, scheme):
    page = visit(studio[0], size=(390, 844), scheme=scheme)
    page.click("#tab-batch-button")
    begin(page, clips)
    finish(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.wait_for_function("document.getAnimations().every((one) => one.playState !== 'running')")
    found = Axe().run(page, context={"include": [["#table"]]}).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert [(each["id"], [node["target"] for node in each["nodes"]]) for each in serious] == []
