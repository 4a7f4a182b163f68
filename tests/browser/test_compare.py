"""The Compare tab with a model whose answers are known: numbers, words, and two timelines that move together."""

import csv
import io
import re

import pytest
from axe_playwright_python.sync_playwright import Axe

from emoscope.labels import LABELS
from tests.browser.conftest import Visits

pytestmark = pytest.mark.slow  # tests/test_tabs.py has the same handlers, without a browser

TAKES = ("tone.wav", "late.wav")  # 4 s of sound; 3 s of silence and 4 s of sound


def put(page, side, file):
    page.set_input_files(f"#upload-{side} input[type=file]", file)
    page.wait_for_selector(f"#upload-{side} .file-preview")


def compare(page, sounds, files=TAKES):
    page.click("#tab-compare-button")
    for side, file in zip("ab", files, strict=True):
        put(page, side, sounds / file)
    page.click("#compare")
    page.wait_for_selector("#difference .main")
    for side in "ab":
        page.wait_for_selector(f"#timeline-{side} [data-ready]")


@pytest.fixture(scope="module")
def compared(chromium, known, sounds):
    visits = Visits(chromium)
    page = visits(known[0])
    compare(page, sounds)
    yield page
    visits.close()


@pytest.fixture
def page(compared):
    compared.check("#difference input[value=scores]", force=True)
    compared.click("#timeline-a .whole")
    return compared


def rows(page):
    """The numbers of the chart: of each emotion A, B and the difference in points."""
    found = {}
    for row in page.locator("#difference tbody tr").all():
        cells = row.locator(".number").all_inner_texts()
        found[row.get_attribute("data-name")] = [float(text.rstrip("%").replace("−", "-")) for text in cells]
    return found


def window(page, side):
    """The part of a timeline that is drawn, in seconds."""
    said = page.locator(f"#timeline-{side} .overview").get_attribute("aria-valuetext")
    return [60 * int(minutes) + float(seconds) for minutes, seconds in re.findall(r"(\d+):([\d.]+)", said)]


def test_both_verdicts_stand_side_by_side(page):
    titles = [page.locator(f"#verdict-{side} h2").inner_text() for side in "ab"]
    assert titles == ["Sad 34%", "Sad 34%"]
    files = [page.locator(f"#verdict-{side} .file").inner_text() for side in "ab"]
    assert files == ["A · tone.wav", "B · late.wav"]
    left, right = (page.locator(f"#verdict-{side}").bounding_box() for side in "ab")
    assert left["y"] == right["y"]
    assert left["width"] == pytest.approx(right["width"], abs=1)


def test_equal_scores_are_no_difference(page):
    assert page.locator("#difference .main").inner_text() == "A and B differ by less than a point in every emotion."
    assert page.locator("#difference .distance .value").inner_text() == "0.00"
    assert page.locator("#difference .meaning").inner_text() == "practically the same"
    found = rows(page)
    assert set(found) == set(LABELS)
    assert all(abs(points) < 1 for _, _, points in found.values())


def test_the_shares_of_the_time_differ_by_what_the_silence_takes(page):
    """Of late.wav's 3.5 angry seconds the first 3 are silent: of its 4 sounding seconds it is sad in 3.5."""
    page.check("#difference input[value=shares]", force=True)
    assert re.fullmatch(r"B is 3[78] points sadder; A is 3[78] points angrier\.", main := main_sentence(page)), main
    found = rows(page)
    assert found["sad"] == pytest.approx([50, 87.5, 37.5], abs=1.5)
    assert found["angry"] == pytest.approx([50, 12.5, -37.5], abs=1.5)
    assert found["happy"] == [0, 0, 0]
    assert [*found][:: len(found) - 1] == ["sad", "angry"]  # what B has most more of, and A
    distance = float(page.locator("#difference .distance .value").inner_text())
    assert distance == pytest.approx(0.352, abs=0.02)  # of 50 and 50 from 12.5 and 87.5
    track = page.locator("#difference tr[data-name=sad] .track").bounding_box()
    bar = page.locator("#difference tr[data-name=sad] .fill").bounding_box()
    assert bar["x"] == pytest.approx(track["x"] + track["width"] / 2, abs=1)  # to the right: B has more
    page.wait_for_function("document.getAnimations().every((one) => one.playState !== 'running')")
    bar = page.locator("#difference tr[data-name=sad] .fill").bounding_box()
    assert bar["width"] / track["width"] == pytest.approx(0.375 / 2, abs=0.01)


def main_sentence(page):
    return page.locator("#difference .main").inner_text()


def test_the_comparison_is_downloaded_as_a_table(page):
    with page.expect_download() as started:
        page.click("#difference .csv")
    assert started.value.suggested_filename == "comparison.csv"
    lines = list(csv.DictReader(io.StringIO(started.value.path().read_text("utf-8"))))
    assert len(lines) == 18
    assert {(line["file_a"], line["file_b"]) for line in lines} == {TAKES}
    shown = rows(page)
    for line in lines[:9]:
        assert float(line["points"]) == pytest.approx(shown[line["emotion"]][2], abs=0.051)


def test_both_timelines_share_an_axis_as_long_as_the_longer(page):
    assert window(page, "a") == window(page, "b") == [0, 7]
    page.locator("#timeline-a .plot").focus()
    page.click("#timeline-a .closer")
    page.wait_for_timeout(100)
    assert window(page, "a") == window(page, "b") != [0, 7]
    page.click("#timeline-b .whole")
    page.wait_for_timeout(100)
    assert window(page, "a") == window(page, "b") == [0, 7]


def test_the_measure_is_switched_with_the_keyboard(page):
    page.focus("#difference input[value=scores]")
    page.keyboard.press("ArrowRight")
    assert "sadder" in main_sentence(page)
    page.keyboard.press("ArrowLeft")
    assert "less than a point" in main_sentence(page)


def test_a_missing_recording_is_named_and_the_tab_goes_on(visit, known, sounds):
    page = visit(known[0])
    page.click("#tab-compare-button")
    put(page, "a", sounds / "tone.wav")
    page.click("#compare")
    page.wait_for_selector(".toast-body >> text=Recording B is missing")
    page.wait_for_selector("#compare:enabled")
    put(page, "b", sounds / "tone.wav")
    page.click("#compare")
    page.wait_for_selector("#difference .main")
    assert main_sentence(page) == "A and B differ by less than a point in every emotion."


def test_a_comparison_is_cancelled(visit, known, sounds):
    address, outputs, gate = known
    before = set(outputs.glob("outputs_*"))
    page = visit(address)
    page.click("#tab-compare-button")
    for side, file in zip("ab", TAKES, strict=True):
        put(page, side, sounds / file)
    gate.clear()
    try:
        page.click("#compare")
        page.wait_for_selector("#compare-progress .what >> text=A: ")
        page.click("#compare-cancel")
        page.wait_for_selector("#compare:enabled")
    finally:
        gate.set()
    page.wait_for_selector("#compare-progress .card", state="hidden")
    assert page.locator("#difference .card").is_hidden()
    assert set(outputs.glob("outputs_*")) == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_all_and_axe_finds_nothing_serious(visit, known, sounds, scheme):
    page = visit(known[0], size=(390, 844), scheme=scheme)
    compare(page, sounds)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.wait_for_function("document.getAnimations().every((one) => one.playState !== 'running')")
    parts = [["#difference"], ["#side-a"], ["#verdict-a"], ["#verdict-b"]]
    found = Axe().run(page, context={"include": parts}).response["violations"]
    serious = [(each["id"], [node["target"] for node in each["nodes"]]) for each in found]
    assert [one for one, each in zip(serious, found, strict=True) if each["impact"] in ("serious", "critical")] == []
