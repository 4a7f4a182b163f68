"""The Live tab with the fake microphone of Chromium: it plays speech, and the report must hold all of it."""

import json
import sys
import time

import pytest
from axe_playwright_python.sync_playwright import Axe

from emoscope.labels import LABELS
from tests.browser.studio import wait_for

CHUNK = 0.25  # seconds; a stop may cut the last piece of sound, and no more
EMOTION = (
    f"{json.dumps([*LABELS, 'silence'])}.includes(document.querySelector('#rolling .title').textContent.toLowerCase())"
)
DELAY = "Number(document.querySelector('#rolling [data-delay]')?.dataset.delay ?? NaN)"
SPOKEN = "Number(document.querySelector('#rolling [data-seconds]').dataset.seconds)"


@pytest.fixture
def gated(known):
    """The studio whose model waits at its gate; open again after the test."""
    yield known
    known[2].set()


def open_live(visit, address, **options):
    """Open the Live tab."""
    page = visit(address, **options)
    page.click("#tab-live-button")
    page.wait_for_selector("#rolling .act:visible")
    return page


def start(page):
    page.click("#rolling .act")
    page.wait_for_selector("#rolling [data-state=live]")


def stop(page):
    """Stop, wait for the report, and return it with the seconds that the microphone has given."""
    page.click("#rolling .act")
    page.wait_for_selector("#rolling [data-state=done]")
    page.wait_for_selector("#live-downloads a[download='result.json']")
    with page.expect_download() as started:
        page.click("#live-downloads a[download='result.json']")
    return json.loads(started.value.path().read_text("utf-8")), page.evaluate(SPOKEN)


def tell(what, delays):
    sys.stdout.write(f"\n{what}: {sorted(delays)[len(delays) // 2]:.2f} s, at most {max(delays):.2f} s\n")


def forgive(visit):
    """Forget what Chromium says of requests that the test itself let fail."""
    visit.trouble[:] = [said for said in visit.trouble if "Failed to load resource" not in said]


def test_a_voice_is_followed_and_a_stop_leaves_its_report(visit, real):
    page = open_live(visit, real[0])
    page.wait_for_selector("#header [data-state=ready]")
    start(page)
    page.wait_for_function(EMOTION)
    delays = []
    for _ in range(6):
        page.wait_for_timeout(200)
        delays.append(page.evaluate(DELAY))
    sys.stdout.write(
        f"\nfrom sound to picture: {sorted(delays)[len(delays) // 2]:.2f} s, at most {max(delays):.2f} s\n"
    )
    report, spoken = stop(page)
    assert report["duration"] == pytest.approx(spoken, abs=CHUNK)
    assert report["source"]["name"].startswith("live-")
    assert page.locator("#live-verdict .title").inner_text().lower() == report["emotion"]
    assert page.locator("#live-timeline tbody tr").count() >= 1


@pytest.mark.slow
def test_a_slow_model_loses_nothing(visit, gated):
    address, _, gate = gated
    page = open_live(visit, address)
    gate.clear()
    start(page)
    page.wait_for_timeout(4000)
    assert page.locator("#rolling .title").inner_text().startswith("Listening")
    page.click("#rolling .act")
    page.wait_for_selector("#rolling [data-state=analysing]")
    page.wait_for_selector("#live-progress .card:visible")
    gate.set()
    page.wait_for_selector("#rolling [data-state=done]")
    facts = page.locator("#live-verdict .facts").first.inner_text()
    spoken = page.evaluate(SPOKEN)
    assert spoken >= 3.9
    assert float(facts.split("\u00a0")[0]) == pytest.approx(spoken, abs=CHUNK)


@pytest.mark.slow
def test_a_network_that_goes_away_loses_nothing(visit, known):
    page = open_live(visit, known[0])
    start(page)
    page.wait_for_timeout(700)
    page.route("**/live/*?first=*", lambda route: route.abort())
    page.wait_for_selector("#rolling .trouble >> text=nothing is lost")
    page.wait_for_timeout(2500)
    page.unroute("**/live/*?first=*")
    page.wait_for_function("document.querySelector('#rolling .trouble').textContent === ''")
    report, spoken = stop(page)
    assert report["duration"] == pytest.approx(spoken, abs=CHUNK)
    assert spoken > 3
    forgive(visit)


@pytest.mark.slow
def test_who_looks_at_another_tab_is_still_listened_to(visit, known):
    page = open_live(visit, known[0])
    start(page)
    page.click("#tab-speech-button")
    page.wait_for_timeout(2000)
    page.click("#tab-live-button")
    page.wait_for_function(EMOTION)
    report, spoken = stop(page)
    assert report["duration"] == pytest.approx(spoken, abs=CHUNK)
    assert spoken > 2


@pytest.mark.slow
def test_two_visitors_speak_at_once(visit, real):
    pages = [open_live(visit, real[0]) for _ in range(2)]
    for page in pages:
        start(page)
    for page in pages:
        page.wait_for_function(EMOTION)
    began = time.monotonic()
    delays = []
    while time.monotonic() - began < 20:
        for page in pages:
            page.wait_for_timeout(200)
            delays.append(page.evaluate(DELAY))
    tell("from sound to picture, two visitors", delays)
    for page in pages:
        report, spoken = stop(page)
        assert report["duration"] == pytest.approx(spoken, abs=CHUNK)
        assert spoken > 18  # a machine that is busy enough keeps a browser from its microphone


@pytest.mark.slow
def test_who_closes_the_page_or_cancels_leaves_nothing(visit, gated, live_files):
    address, _, gate = gated
    page = open_live(visit, address)
    start(page)
    page.wait_for_function(EMOTION)
    assert len(live_files()) == 1
    page.click("#rolling .act")
    page.wait_for_selector("#rolling [data-state=done]")
    assert live_files() == []  # it has its report
    page.click("#rolling .act")
    page.wait_for_selector("#rolling [data-state=live]")
    page.wait_for_selector("#live-verdict", state="hidden")  # the last report is not that of this recording
    wait_for(lambda: len(live_files()) == 1)
    page.goto("about:blank")
    wait_for(lambda: live_files() == [])
    page = open_live(visit, address)
    start(page)
    page.wait_for_function(EMOTION)
    gate.clear()
    page.click("#rolling .act")
    page.wait_for_selector("#rolling [data-state=analysing]")
    page.wait_for_selector("#live-progress .card:visible")
    page.click("#rolling .act >> text=Cancel")
    page.wait_for_selector("#rolling [data-state=idle]")
    wait_for(lambda: live_files() == [])
    page.wait_for_selector("#live-progress .card", state="hidden")


@pytest.fixture
def live_files():
    """Return what is on disk of live recordings made since the test began."""
    import tempfile
    from pathlib import Path

    def files():
        return [file for file in Path(tempfile.gettempdir()).glob(".emoscope-live_*/*.wav") if file not in before]

    before = ()
    before = files()
    return files


@pytest.mark.slow
def test_a_microphone_that_is_denied_is_explained(visit, known):
    page = open_live(visit, known[0])
    deny = "async () => { throw new DOMException('', 'NotAllowedError'); }"
    page.evaluate(f"() => {{ navigator.mediaDevices.getUserMedia = {deny}; }}")
    page.click("#rolling .act")
    page.wait_for_selector("#rolling .trouble >> text=Allow it in the address bar")
    page.wait_for_selector("#rolling [data-state=idle]")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_all_and_everybody_can_use_it(visit, known, scheme):
    page = open_live(visit, known[0], size=(390, 844), scheme=scheme)
    start(page)
    page.wait_for_function(EMOTION)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.wait_for_timeout(500)  # colours change softly
    found = Axe().run(page, context={"include": [["#rolling"]]}).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
    page.focus("#rolling .act")
    page.keyboard.press("Enter")
    page.wait_for_selector("#rolling [data-state=done]")
