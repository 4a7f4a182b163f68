"""An hour of sound on the timeline: how soon it is drawn, how smoothly it moves, how much is sent; all printed."""

import time
from dataclasses import dataclass

import numpy as np
import pytest
import soundfile

from emoscope.analyzer import Analyzer
from emoscope.results import SpeechResult
from emoscope.timeline import Timeline, frame_count
from tests.browser.conftest import RATE, Visits, choose
from tests.browser.studio import serving, settings_for
from tests.fakes import HalfAndHalf
from tests.sounds import syllables

pytestmark = pytest.mark.slow

# Times the drawing from the moment at which the page is given the new value, and the frames of the screen.
MEASURE = """() => {
    const part = document.querySelector('#timeline');
    const card = part.querySelector('.card');
    const button = document.querySelector('#analyze');
    window.times = { clicked: null, given: null, drawn: null };
    button.addEventListener('click', () => (window.times.clicked = performance.now()), true);
    new MutationObserver(() => {
        if (!card.hidden && window.times.given === null) window.times.given = performance.now();
    }).observe(card, { attributes: true, attributeFilter: ['hidden'] });
    new MutationObserver(() => {
        requestAnimationFrame(() => requestAnimationFrame(() => (window.times.drawn ??= performance.now())));
    }).observe(part, { attributes: true, attributeFilter: ['data-ready'], subtree: true });
}"""
FRAMES = """async ([what, seconds]) => {
    const plot = document.querySelector('#timeline .plot');
    const box = plot.getBoundingClientRect();
    const centre = { clientX: box.x + box.width / 2, clientY: box.y + 150, bubbles: true, cancelable: true };
    const turn = {
        zoom: (step) => ({ ...centre, ctrlKey: true, deltaY: step % 120 < 60 ? -60 : 60 }),
        pan: (step) => ({ ...centre, shiftKey: true, deltaY: step % 120 < 60 ? 25 : -25 }),
    }[what];
    const gaps = [];
    let last = performance.now();
    for (let step = 0; last < performance.now() + 1 && gaps.length < 60 * seconds; step++) {
        plot.dispatchEvent(new WheelEvent('wheel', turn(step)));
        await new Promise(requestAnimationFrame);
        gaps.push(performance.now() - last);
        last = performance.now();
    }
    return gaps;
}"""


@dataclass(frozen=True)
class Wanderer(HalfAndHalf):
    """Answers at once, with emotions that wander as speech does."""

    def listen(self, wave, **_ignored):
        random = np.random.default_rng(0)
        frames = frame_count(len(wave.samples))
        logits = random.standard_normal((frames, 9), dtype=np.float32)
        slow = random.standard_normal((frames // 40 + 2, 9), dtype=np.float32) * 2.5
        logits += np.repeat(slow, 40, axis=0)[:frames]
        return SpeechResult(Timeline(logits), embedding=np.zeros(6, np.float32))


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hour")
    soundfile.write(folder / "hour.flac", np.tile(syllables(60)[0], 60), RATE)
    settings = settings_for(folder)
    with serving(Analyzer(settings, load=lambda _folder: Wanderer()), settings) as address:
        yield address, folder / "hour.flac"


def movement(page, what):
    """Say how smoothly the picture moves, and the page's own work for a frame, which other work does not blur."""
    work = page.context.new_cdp_session(page)
    work.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent():
        found = work.send("Performance.getMetrics")["metrics"]
        return next(each["value"] for each in found if each["name"] == "TaskDuration")

    before = spent()
    gaps = page.evaluate(FRAMES, [what, 3])
    own = 1000 * (spent() - before) / len(gaps)
    rate = 1000 * len(gaps) / sum(gaps)
    return own, f"{what}: {rate:.0f} frames a second, longest gap {max(gaps):.0f} ms, {own:.0f} ms of work a frame"


def test_an_hour_is_drawn_at_once_and_moves_smoothly(studio, chromium, capsys):
    address, file = studio
    visits = Visits(chromium)
    page = visits(address)
    page.set_default_timeout(300_000)
    sizes = {}
    page.on("response", lambda got: sizes.update({got.url.split("/")[-1]: int(got.headers.get("content-length", 0))}))
    choose(page, file)
    page.check("#granularity input[value=utterance]", force=True)
    page.evaluate(MEASURE)
    page.click("#analyze")
    page.wait_for_function("window.times.drawn !== null")
    times = page.evaluate("window.times")
    begun = time.monotonic()
    page.wait_for_selector("#timeline .play:enabled")
    played = time.monotonic() - begun
    page.locator("#timeline .plot").scroll_into_view_if_needed()
    said = [
        f"analysis on the server and result to the page {(times['given'] - times['clicked']) / 1000:.2f} s",
        f"result to drawn {(times['drawn'] - times['given']) / 1000:.2f} s",
        f"sound ready {played:.1f} s after that",
        "payload "
        + ", ".join(f"{name} {size / 1e6:.2f} MB" for name, size in sizes.items() if "." in name and size > 1e5),
    ]
    for part in ("all of it", "a quarter"):
        for what in ("zoom", "pan"):
            own, words = movement(page, what)
            said.append(f"{part}, {words}")
            assert own < 33  # milliseconds: 30 frames a second on a core of its own
        page.click("#timeline .whole")
        page.click("#timeline .closer")
        page.click("#timeline .closer")
    for smooth in (1.5, 0):
        began = page.evaluate("performance.now()")
        page.locator("#timeline .smoothing input").fill(str(smooth))
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        said.append(f"smoothing {smooth:g} s: {page.evaluate('performance.now()') - began:.0f} ms to drawn")
    began = page.evaluate("performance.now()")
    page.locator("#timeline .legend .class").first.click()
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    said.append(f"a class off: {page.evaluate('performance.now()') - began:.0f} ms to drawn")
    page.evaluate("document.querySelector('#timeline audio').currentTime = 2880")
    began = time.monotonic()
    page.wait_for_function("!document.querySelector('#timeline audio').seeking")
    said.append(f"seek to 80%: {time.monotonic() - began:.2f} s")
    assert page.evaluate("document.querySelector('#timeline audio').duration") == pytest.approx(3600, abs=0.2)
    assert (times["drawn"] - times["given"]) / 1000 < 6  # 3 on two cores of its own
    assert sizes["frames.u8"] == 10 * 179_999
    page.screenshot(path=file.with_suffix(".png"))
    visits.close()
    with capsys.disabled():
        print("\nan hour: " + "; ".join(said))  # noqa: T201
