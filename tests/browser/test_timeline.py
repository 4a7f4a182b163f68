"""The timeline with a model whose answers are known: every number on the page is checked."""

import pytest

from emoscope.labels import LABELS
from tests.browser.conftest import Visits, analyze, choose

SURE = "87%"  # softmax of one logit of 4 among eight of 0: 54.6 / 62.6
REST = "2%"  # 1 / 62.6
PIXEL = """share => {
    const canvas = document.querySelector('#timeline canvas');
    return [...canvas.getContext('2d').getImageData(share * canvas.width, 0.45 * canvas.height, 1, 1).data];
}"""


@pytest.fixture(scope="module")
def page(chromium, known, sounds):
    """A page with four seconds analysed: angry until 1.98 s, then sad."""
    visits = Visits(chromium)
    page = visits(known[0])
    analyze(page, sounds / "tone.wav", "frame")
    page.locator("#timeline .plot").scroll_into_view_if_needed()
    yield page
    visits.close()


@pytest.fixture(autouse=True)
def rewound(page):
    page.evaluate(
        "() => { const sound = document.querySelector('#timeline audio'); sound.pause(); sound.currentTime = 0; }"
    )
    page.mouse.move(0, 0)


def sound_time(page):
    return page.evaluate("document.querySelector('#timeline audio').currentTime")


def point(page, share, height=0.5):
    """The pixel at this share of the timeline's width."""
    box = page.locator("#timeline .plot").bounding_box()
    return box["x"] + share * box["width"], box["y"] + height * box["height"]


def legend(page):
    rows = page.locator("#timeline .legend li").all_inner_texts()
    return dict(row.split()[-2:] for row in rows)


def test_the_verdict_and_nine_scores(page):
    shown = page.locator("#verdict")
    assert shown.locator("h2").inner_text() == "Sad 34%"
    assert shown.locator(".sentence").inner_text() == "A close call: only 1 point ahead of angry (34%)."
    scores = [float(text.rstrip("%")) for text in shown.locator(".score").all_inner_texts()]
    assert len(scores) == 9
    assert sum(scores) == pytest.approx(100, abs=0.5)
    assert shown.locator(".file").inner_text() == "tone.wav"
    assert "Heard by half-and-half, fp32 on cpu." in shown.inner_text()


def test_the_segments_are_listed(page):
    rows = page.locator("#timeline tbody tr").all_inner_texts()
    assert [row.split() for row in rows] == [
        ["0:00.00", "0:01.98", "😠angry", "85%"],
        ["0:01.98", "0:04.00", "😢sad", "85%"],
    ]


def test_the_picture_has_the_colours_of_the_emotions(page):
    def colour(share):
        return page.evaluate(PIXEL, share)

    assert colour(0.2)[:3] == pytest.approx([0xDB, 0x2B, 0x15], abs=3)
    assert colour(0.8)[:3] == pytest.approx([0x6B, 0x95, 0xF5], abs=3)


def test_a_click_seeks_and_is_read_out(page):
    page.mouse.click(*point(page, 0.75))
    assert sound_time(page) == pytest.approx(3.0, abs=0.02)
    page.mouse.move(0, 0)
    plot = page.locator("#timeline .plot")
    assert float(plot.get_attribute("aria-valuenow")) == pytest.approx(3.0, abs=0.02)
    assert plot.get_attribute("aria-valuetext").endswith(f", sad {SURE}")
    assert legend(page) == dict.fromkeys(LABELS, REST) | {"sad": SURE}
    assert page.locator("#timeline .now").inner_text().startswith(("0:03.0", "0:02.9"))
    head = page.locator("#timeline .playhead").bounding_box()
    assert head["x"] + 1 == pytest.approx(point(page, 0.75)[0], abs=2)


def test_a_drag_seeks_all_the_way(page):
    page.mouse.move(*point(page, 0.2))
    page.mouse.down()
    page.mouse.move(*point(page, 0.4), steps=3)
    assert sound_time(page) == pytest.approx(1.6, abs=0.02)
    page.mouse.move(*point(page, 0.5), steps=3)
    page.mouse.up()
    page.mouse.move(*point(page, 0.9))
    assert sound_time(page) == pytest.approx(2.0, abs=0.02)


def test_the_pointer_reads_without_seeking(page):
    page.mouse.move(*point(page, 0.9))
    assert page.locator("#timeline .where").inner_text() == "Pointer"
    assert legend(page)["sad"] == SURE
    page.mouse.move(0, 0)
    assert page.locator("#timeline .where").inner_text() == "Playhead"
    assert legend(page)["angry"] == SURE
    assert sound_time(page) == 0


@pytest.mark.parametrize(
    ("keys", "seconds"),
    [
        (["ArrowRight"], 0.1),
        (["ArrowRight", "ArrowRight", "ArrowLeft"], 0.1),
        (["Shift+ArrowRight"], 1.0),
        (["Alt+ArrowRight"] * 3, 0.06),
        (["End", "Shift+ArrowLeft"], 3.0),
        (["PageUp", "PageDown"], 0.0),
        (["End", "Home"], 0.0),
    ],
)
def test_keys_seek(page, keys, seconds):
    page.focus("#timeline .plot")
    for key in keys:
        page.keyboard.press(key)
    assert sound_time(page) == pytest.approx(seconds, abs=0.011)


def test_space_plays_and_the_playhead_follows(page):
    page.focus("#timeline .plot")
    before = page.locator("#timeline .playhead").bounding_box()["x"]
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelector('#timeline audio').currentTime > 0.4")
    assert page.locator("#timeline .play").get_attribute("aria-label") == "Pause"
    page.keyboard.press("Space")
    assert page.locator("#timeline .playhead").bounding_box()["x"] > before + 50
    page.wait_for_selector("#timeline .play[aria-label=Play]")


def test_a_segment_plays_to_its_end_and_no_further(page):
    page.select_option("#timeline select", "2")
    page.click("#timeline tbody tr:first-child button")
    page.wait_for_selector("#timeline .play[aria-label=Pause]")
    assert page.locator("#timeline tbody tr.current").inner_text().split()[0] == "0:00.00"
    page.wait_for_selector("#timeline .play[aria-label=Play]")
    assert sound_time(page) == pytest.approx(1.98, abs=0.02)
    page.select_option("#timeline select", "1")


def test_trimmed_times_are_those_of_the_file(visit, known, sounds):
    page = visit(known[0])
    page.click("#more button")
    page.check("#trim input")
    analyze(page, sounds / "late.wav", "frame")
    plot = page.locator("#timeline .plot")
    begin = float(plot.get_attribute("aria-valuemin"))
    assert begin == pytest.approx(3.0, abs=0.3)
    assert sound_time(page) == 0
    assert float(plot.get_attribute("aria-valuenow")) == pytest.approx(begin, abs=0.01)
    plot.scroll_into_view_if_needed()
    page.mouse.click(*point(page, 0.5))
    assert sound_time(page) == pytest.approx((float(plot.get_attribute("aria-valuemax")) - begin) / 2, abs=0.03)


def test_cancel_stops_the_analysis_and_leaves_nothing(visit, known, sounds):
    address, outputs, gate = known
    page = visit(address)
    gate.clear()
    runs = set(outputs.iterdir())
    choose(page, sounds / "tone.wav")
    page.click("#analyze")
    page.wait_for_selector("#verdict .progress-level >> text=Listening")
    page.click("#cancel")
    page.wait_for_selector("#analyze:enabled")
    assert page.locator("#analyze").inner_text() == "Analyze"
    gate.set()
    assert page.locator("#verdict .empty").is_visible()
    assert set(outputs.iterdir()) == runs
    analyze(page, sounds / "tone.wav")
    assert page.locator("#verdict h2").inner_text() == "Sad 34%"


def test_one_visitors_cancel_is_not_anothers(visit, known, sounds):
    address, _outputs, gate = known
    first, second = visit(address), visit(address)
    gate.clear()
    for page in (first, second):
        choose(page, sounds / "tone.wav")
        page.click("#analyze")
    first.wait_for_selector("#verdict .progress-level >> text=Listening")
    second.wait_for_selector("#verdict .progress-level >> text=Waiting")
    second.click("#cancel")
    second.wait_for_selector("#analyze:enabled")
    gate.set()
    first.wait_for_selector("#verdict .answer")
    assert second.locator("#verdict .empty").is_visible()
