"""The timeline with a model whose answers are known: every number on the page is checked."""

import re

import numpy as np
import pytest

from emoscope.audio.playback import write_m4a
from emoscope.labels import LABELS
from emoscope.results import Waveform, quiet
from emoscope.timeline import Timeline, _merge_short, _runs, shares, turning_points
from tests.browser.conftest import ROOT, Visits, analyze, choose, start
from tests.fakes import HalfAndHalf

SURE = "87%"  # softmax of one logit of 4 among eight of 0: 54.6 / 62.6
REST = "2%"  # 1 / 62.6
PIXEL = """share => {
    const canvas = document.querySelector('#timeline .picture');
    return [...canvas.getContext('2d').getImageData(share * canvas.width, 0.45 * canvas.height, 1, 1).data];
}"""
RULER, AREA, STRIP = 8, 160, 320  # pixels below the top of the plot that lie in a lane
READING = (ROOT / "emoscope" / "studio" / "timeline" / "reading.js").read_text("utf-8")


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
    page.click("#timeline .whole")
    page.focus("#timeline .plot")
    page.keyboard.press("Escape")


def sound_time(page):
    return page.evaluate("document.querySelector('#timeline audio').currentTime")


def playing(page):
    return not page.evaluate("document.querySelector('#timeline audio').paused")


def point(page, share, below=AREA):
    """The pixel at this share of the timeline's width, so far below its top."""
    box = page.locator("#timeline .plot").bounding_box()
    return box["x"] + share * box["width"], box["y"] + below


def drag(page, first, last, below=AREA):
    page.mouse.move(*point(page, first, below))
    page.mouse.down()
    page.mouse.move(*point(page, last, below), steps=3)
    page.mouse.up()


def percents(page, selector):
    """What a list of nine says, by the name of the class."""
    rows = page.locator(f"#timeline {selector} li").all_inner_texts()
    return dict(row.split()[-2:] for row in rows)


def window(page):
    """The part of the axis that is drawn, in seconds."""
    said = page.locator("#timeline .overview").get_attribute("aria-valuetext")
    return [60 * int(minutes) + float(seconds) for minutes, seconds in re.findall(r"(\d+):([\d.]+)", said)]


def rows(page):
    return [row.split() for row in page.locator("#timeline tbody tr").all_inner_texts()]


def set_smoothing(page, seconds):
    page.locator("#timeline .smoothing input").fill(str(seconds))
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def slide(page, *, wheel=0, sideways=0, keys=()):
    """Turn the wheel over the middle of the plot, with keys held down."""
    page.mouse.move(*point(page, 0.5))
    for key in keys:
        page.keyboard.down(key)
    page.mouse.wheel(sideways, wheel)
    page.wait_for_timeout(60)
    for key in keys:
        page.keyboard.up(key)


# ---- what is shown


def test_the_segments_are_listed(page):
    assert rows(page) == [
        ["0:00.00", "0:01.98", "😠angry", "85%"],
        ["0:01.98", "0:04.00", "😢sad", "85%"],
    ]
    assert page.locator("#timeline .shares").inner_text() == "Of the sounding time: sad 51% · angry 50%"


def test_the_picture_has_the_colours_of_the_emotions(page):
    def colour(share):
        return page.evaluate(PIXEL, share)

    assert colour(0.2)[:3] == pytest.approx([0xDB, 0x2B, 0x15], abs=3)
    assert colour(0.8)[:3] == pytest.approx([0x6B, 0x95, 0xF5], abs=3)


def test_the_same_emotions_as_lines(page):
    page.click("#timeline [data-shape=lines]")
    page.wait_for_timeout(60)
    assert page.evaluate(PIXEL, 0.2)[:3] != pytest.approx([0xDB, 0x2B, 0x15], abs=3)
    assert page.locator("#timeline [data-shape=lines]").get_attribute("aria-pressed") == "true"
    page.click("#timeline [data-shape=area]")
    page.wait_for_timeout(60)
    assert page.evaluate(PIXEL, 0.2)[:3] == pytest.approx([0xDB, 0x2B, 0x15], abs=3)


def test_a_click_seeks_and_is_read_out(page):
    page.mouse.click(*point(page, 0.75))
    assert sound_time(page) == pytest.approx(3.0, abs=0.02)
    plot = page.locator("#timeline .plot")
    assert float(plot.get_attribute("aria-valuenow")) == pytest.approx(3.0, abs=0.02)
    assert plot.get_attribute("aria-valuetext").endswith(f", sad {SURE}")
    assert percents(page, ".legend") == dict.fromkeys(LABELS, REST) | {"sad": SURE}
    assert page.locator("#timeline .now").inner_text().startswith(("0:03.0", "0:02.9"))
    head = page.locator("#timeline .playhead").bounding_box()
    assert head["x"] + 1 == pytest.approx(point(page, 0.75)[0], abs=2)


def test_the_pointer_reads_all_nine_without_seeking(page):
    page.mouse.move(*point(page, 0.9))
    assert page.locator("#timeline .tip .when").inner_text().startswith(("0:03.6", "0:03.5"))
    assert percents(page, ".tip") == dict.fromkeys(LABELS, REST) | {"sad": SURE}
    assert percents(page, ".legend") == dict.fromkeys(LABELS, REST) | {"angry": SURE}  # at the playhead
    page.mouse.move(0, 0)
    assert page.locator("#timeline .tip").is_hidden()
    assert sound_time(page) == 0


# ---- seeking and playing


def test_a_drag_seeks_all_the_way(page):
    page.mouse.move(*point(page, 0.2))
    page.mouse.down()
    page.mouse.move(*point(page, 0.4), steps=3)
    assert sound_time(page) == pytest.approx(1.6, abs=0.02)
    page.mouse.move(*point(page, 0.5), steps=3)
    page.mouse.up()
    page.mouse.move(*point(page, 0.9))
    assert sound_time(page) == pytest.approx(2.0, abs=0.02)


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
        (["]"], 1.98),
        (["End", "["], 1.98),
    ],
)
def test_keys_seek(page, keys, seconds):
    for key in keys:
        page.keyboard.press(key)
    assert sound_time(page) == pytest.approx(seconds, abs=0.011)


def test_space_plays_and_the_playhead_follows(page):
    before = page.locator("#timeline .playhead").bounding_box()["x"]
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelector('#timeline audio').currentTime > 0.4")
    assert page.locator("#timeline .play").get_attribute("aria-label") == "Pause"
    page.keyboard.press("Space")
    assert page.locator("#timeline .playhead").bounding_box()["x"] > before + 50
    page.wait_for_selector("#timeline .play[aria-label=Play]")


@pytest.mark.parametrize("where", ["table", "strip"])
def test_a_segment_plays_to_its_end_and_no_further(page, where):
    page.select_option("#timeline select", "2")
    if where == "table":
        page.click("#timeline tbody tr:first-child button")
    else:
        page.mouse.click(*point(page, 0.1, STRIP))
    page.wait_for_selector("#timeline .play[aria-label=Pause]")
    assert page.locator("#timeline tbody tr.current").inner_text().split()[0] == "0:00.00"
    assert page.locator("#timeline .between").inner_text() == "0:00.00 – 0:01.98"
    page.wait_for_selector("#timeline .play[aria-label=Play]")
    assert sound_time(page) == pytest.approx(1.98, abs=0.02)
    page.select_option("#timeline select", "1")


def test_the_two_seconds_that_decided_are_named_and_played(page):
    sentence = page.locator("#timeline .decided .sentence").inner_text()
    assert sentence == "What decided it: from 0:01.98 to 0:04.00, 100% of all that spoke for sad against angry."
    page.click("#timeline .replay")
    page.wait_for_selector("#timeline .play[aria-label=Pause]")
    assert page.locator("#timeline .between").inner_text() == "0:01.98 – 0:04.00"
    assert sound_time(page) >= 1.979
    page.click("#timeline .play")


@pytest.mark.parametrize("how", ["ruler", "shift"])
def test_a_chosen_range_loops(page, how):
    if how == "ruler":
        drag(page, 0.5, 0.6, RULER)
    else:
        page.keyboard.down("Shift")
        drag(page, 0.6, 0.5)
        page.keyboard.up("Shift")
    assert page.locator("#timeline .between").inner_text() == "0:02.00 – 0:02.40"
    assert page.locator("#timeline .loop").get_attribute("aria-pressed") == "true"
    assert sound_time(page) == pytest.approx(2.0, abs=0.02)
    page.evaluate("""() => {
        const sound = document.querySelector('#timeline audio');
        window.seen = [];
        window.looking = setInterval(() => window.seen.push(sound.currentTime), 10);
    }""")
    page.keyboard.press("Space")
    page.wait_for_function("window.seen.some((time, at) => at && time < window.seen[at - 1])")  # it went back
    page.keyboard.press("Space")
    seen = page.evaluate("() => { clearInterval(window.looking); return window.seen; }")
    assert min(seen) >= 1.98
    assert max(seen) < 2.5
    page.click("#timeline .clear")
    assert page.locator("#timeline .range").is_hidden()
    assert page.locator("#timeline .loop").get_attribute("aria-pressed") == "false"


def test_keys_choose_and_loop(page):
    for key in ("Shift+ArrowRight", "i", "Shift+ArrowRight", "o"):
        page.keyboard.press(key)
    assert page.locator("#timeline .between").inner_text() == "0:01.00 – 0:02.00"
    page.keyboard.press("Escape")
    assert page.locator("#timeline .chosen").is_hidden()
    page.keyboard.press("l")  # nothing is chosen: the segment at the playhead
    assert page.locator("#timeline .between").inner_text() == "0:01.98 – 0:04.00"
    page.keyboard.press("Home")  # out of the range, which is given up
    assert page.locator("#timeline .chosen").is_hidden()


def test_the_browser_hears_the_compressed_copy_where_it_belongs(page, tmp_path):
    samples = np.zeros(8 * 16_000, np.float32)
    for second in (1.0, 6.5):
        samples[round(16_000 * second) :][:8] = 0.9
    write_m4a(Waveform(samples), tmp_path / "clicks.m4a")
    found = page.evaluate(
        """async (bytes) => {
            const decoder = new OfflineAudioContext(1, 16000, 16000);
            const decoded = await decoder.decodeAudioData(Uint8Array.from(bytes).buffer);
            return [1.0, 6.5].map((second) => {
                const first = 16000 * (second - 0.1);
                const part = Array.from(decoded.getChannelData(0).slice(first, first + 3200), Math.abs);
                return (first + part.indexOf(Math.max(...part))) / 16000;
            });
        }""",
        list((tmp_path / "clicks.m4a").read_bytes()),
    )
    assert found == pytest.approx([1.0, 6.5], abs=0.005)


# ---- zooming and panning


def test_buttons_and_keys_zoom_about_the_playhead(page):
    page.mouse.click(*point(page, 0.5))
    page.click("#timeline .closer")
    assert window(page) == pytest.approx([1.0, 3.0], abs=0.02)
    page.focus("#timeline .plot")
    page.keyboard.press("+")
    assert window(page) == pytest.approx([1.5, 2.5], abs=0.02)
    page.click("#timeline .farther")
    assert window(page) == pytest.approx([1.0, 3.0], abs=0.02)
    page.focus("#timeline .plot")
    page.keyboard.press("0")
    assert window(page) == [0.0, 4.0]
    for _ in range(6):
        page.keyboard.press("+")
    first, last = window(page)
    assert last - first == pytest.approx(0.5, abs=0.011)


def test_the_wheel_zooms_with_control_or_focus_and_pans_with_shift(page):
    page.evaluate("document.activeElement.blur()")
    slide(page, wheel=-100)
    assert window(page) == [0.0, 4.0]  # the page's, not ours
    page.locator("#timeline .plot").scroll_into_view_if_needed()
    slide(page, wheel=-200, keys=["Control"])
    first, last = window(page)
    assert last - first == pytest.approx(4 * np.exp(-0.32), abs=0.02)
    assert (first + last) / 2 == pytest.approx(2.0, abs=0.02)  # what is under the pointer stays there
    page.focus("#timeline .plot")
    slide(page, wheel=-100)
    first, last = window(page)
    assert last - first == pytest.approx(4 * np.exp(-0.48), abs=0.02)
    slide(page, wheel=100, keys=["Shift"])
    assert window(page)[0] > first + 0.1
    assert np.diff(window(page)) == pytest.approx([last - first], abs=0.011)


def test_the_overview_pans_and_its_edges_zoom(page):
    page.click("#timeline .closer")
    assert window(page) == pytest.approx([0.0, 2.0], abs=0.01)
    page.locator("#timeline .overview").scroll_into_view_if_needed()
    box = page.locator("#timeline .overview").bounding_box()

    def at(share):
        return box["x"] + share * box["width"], box["y"] + 15

    page.mouse.move(*at(0.25))
    page.mouse.down()
    page.mouse.move(*at(0.5), steps=4)
    page.mouse.up()
    assert window(page) == pytest.approx([1.0, 3.0], abs=0.02)
    page.mouse.click(*at(0.95))
    assert window(page) == pytest.approx([2.0, 4.0], abs=0.01)
    page.mouse.move(*at(0.5))
    page.mouse.down()
    page.mouse.move(*at(0.25), steps=4)
    page.mouse.up()
    assert window(page) == pytest.approx([1.0, 4.0], abs=0.03)
    page.keyboard.press("Home")
    assert window(page) == pytest.approx([0.0, 3.0], abs=0.03)
    page.keyboard.press("ArrowRight")
    assert window(page) == pytest.approx([0.3, 3.3], abs=0.03)
    assert sound_time(page) == 0


def test_two_fingers_zoom_and_pan(page):
    touch = page.context.new_cdp_session(page)

    def send(kind, *shares):
        fingers = [dict(zip("xy", point(page, share), strict=True)) for share in shares]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    send("touchStart", 0.45, 0.55)
    for step in range(1, 6):
        send("touchMove", 0.45 - 0.02 * step, 0.55 + 0.02 * step)
    send("touchEnd")
    assert window(page) == pytest.approx([4 / 3, 8 / 3], abs=0.05)
    send("touchStart", 0.4, 0.6)
    for step in range(1, 6):
        send("touchMove", 0.4 + 0.05 * step, 0.6 + 0.05 * step)
    send("touchEnd")
    assert window(page) == pytest.approx([1.0, 2.33], abs=0.05)
    assert sound_time(page) == 0


def test_a_finger_seeks_when_it_lifts_and_not_before(page):
    touch = page.context.new_cdp_session(page)
    finger = dict(zip("xy", point(page, 0.75), strict=True))
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [finger]})
    assert sound_time(page) == 0  # it may be going to scroll the page
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert sound_time(page) == pytest.approx(3.0, abs=0.02)


# ---- classes and smoothing, in the browser


def test_switching_a_class_off_renormalises_the_others_at_once(page):
    page.mouse.click(*point(page, 0.75))
    sad = page.locator("#timeline .legend .class").nth(LABELS.index("sad"))
    sad.click()
    assert sad.get_attribute("aria-pressed") == "false"
    left = percents(page, ".legend")
    assert left.pop("sad") == "–"
    assert set(left.values()) == {"13%"}  # the eight others are as likely: an eighth each
    assert rows(page)[0][2] == "😠angry"
    assert page.locator("#timeline .note").inner_text() == "The downloads hold all nine emotions."
    page.click("#timeline .all")
    assert percents(page, ".legend")["sad"] == SURE
    assert page.locator("#timeline .note").is_hidden()


def test_one_class_alone_is_all_and_cannot_be_switched_off(page):
    happy = page.locator("#timeline .legend .class").nth(LABELS.index("happy"))
    happy.dblclick()
    assert percents(page, ".legend")["happy"] == "100%"
    assert [row[2] for row in rows(page)] == ["😊happy"]
    happy.click()
    assert happy.get_attribute("aria-pressed") == "true"
    page.click("#timeline .all")


@pytest.mark.parametrize("smooth", [0, 0.1, 1.5, 3])
def test_the_slider_smooths_as_python_does(page, smooth):
    heard = known_timeline(4).segments(smooth)
    set_smoothing(page, smooth)
    assert [row[3] for row in rows(page)] == [f"{100 * each.probability:.0f}%" for each in heard]
    assert [row[0] for row in rows(page)] == [f"0:{each.start:05.2f}" for each in heard]
    note = page.locator("#timeline .note").inner_text()
    assert note == "The downloads were written with 0.5 s of smoothing."
    set_smoothing(page, 0.5)
    assert page.locator("#timeline .note").is_hidden()


def known_timeline(seconds):
    return HalfAndHalf().listen(Waveform(np.zeros(seconds * 16_000, np.float32)), progress=quiet).timeline


def walk(frames, seed):
    """Logits that wander as speech does, with silence in places."""
    random = np.random.default_rng(seed)
    steps = random.normal(0, 0.6, (frames, 9)).cumsum(axis=0) + random.normal(0, 1.5, (frames, 9))
    pauses = np.repeat(random.random(frames // 20 + 1) < 0.2, 20)[:frames]
    return Timeline(steps.astype(np.float32), silent=pauses, start=0.36, seconds=0.02 * frames + 0.013)


@pytest.mark.parametrize(
    ("timeline", "off"),
    [
        (walk(1, 1), ()),
        (walk(14, 2), ()),
        (walk(400, 3), ()),
        (walk(400, 4), ("sad", "neutral", "angry")),
        (walk(1500, 5), ("happy",)),
        (Timeline(walk(90, 6).logits, silent=np.ones(90, bool)), ()),
    ],
    ids=["one frame", "14 frames", "8 s", "8 s, six classes", "half a minute, eight classes", "silence"],
)
@pytest.mark.parametrize("smooth", [0, 0.05, 0.5, 2])
def test_browser_and_python_read_the_same(page, timeline, off, smooth):
    active = [label not in off for label in LABELS]
    found = page.evaluate(
        f"""([raw, silent, active, smooth, axis]) => {{
            {READING}
            const frames = {{
                rows: raw.map((row) => Float32Array.from(row)), silent: Uint8Array.from(silent), count: silent.length,
            }};
            const rows = smoothed(frames, active, reachOf(smooth, axis.hop));
            const segments = segmentsOf(rows, frames.silent, axis);
            return {{
                rows: rows.map((row) => row && Array.from(row)), segments,
                points: turningPoints(segments), shares: sharesOf(segments),
            }};
        }}""",
        [
            timeline.probabilities(0).T.tolist(),
            (255 * timeline.silent).tolist(),
            active,
            smooth,
            {"hop": 0.02, "start": timeline.start, "seconds": timeline.seconds},
        ],
    )
    wanted = timeline.probabilities(smooth) * np.array(active, np.float32)
    wanted /= wanted.sum(axis=1, keepdims=True)
    given = np.array([row or np.zeros(len(timeline)) for row in found["rows"]]).T
    assert given.sum(axis=1) == pytest.approx(np.ones(len(timeline)), abs=1e-6)
    assert given == pytest.approx(wanted, abs=2e-6)
    runs = _merge_short(_runs(timeline.winners(wanted)), 15)
    assert [(each["class"], each["start"]) for each in found["segments"]] == [
        (winner, timeline._time(first)) for winner, first, _last in runs
    ]
    if not off:
        segments = timeline.segments(smooth)
        assert [LABELS[each["class"]] if each["class"] < 9 else "silence" for each in found["segments"]] == [
            each.label for each in segments
        ]
        for key in ("start", "end", "probability"):
            assert [each[key] for each in found["segments"]] == pytest.approx(
                [getattr(each, key) for each in segments], abs=1e-6
            )
        assert [each["time"] for each in found["points"]] == [each.time for each in turning_points(segments)]
        assert found["shares"] == pytest.approx(list(shares(segments).values()), abs=1e-9)


# ---- the clock of the file


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
    start(page, sounds / "tone.wav")
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
    first.wait_for_selector("#progress .what >> text=Listening")
    second.wait_for_selector("#progress .what >> text=Waiting")
    second.click("#cancel")
    second.wait_for_selector("#analyze:enabled")
    gate.set()
    first.wait_for_selector("#verdict .answer")
    assert second.locator("#verdict .empty").is_visible()
