"""What people do in the studio, with the model that ships and real sound."""

import io
import json
import sys
import threading
import time
from zipfile import ZipFile

import numpy as np
import pytest
import soundfile
from axe_playwright_python.sync_playwright import Axe

from tests.browser.conftest import analyze, choose, start
from tests.browser.studio import wait_for

OURS = "#header, #tabs > .tab-wrapper, #controls, #verdict, #progress, #timeline, #downloads"
TABS = ("speech", "text", "together", "live", "compare", "batch", "history", "about")


def download(page, name):
    """The content of a file among the downloads."""
    link = page.locator(f"#downloads a[download='{name}']")
    with page.expect_download() as started:
        link.click()
    return started.value.path().read_bytes()


def listed(page):
    return set(page.locator("#downloads .files .name").all_inner_texts())


def test_utterance_gives_a_verdict_and_a_timeline(visit, real, sounds):
    page = visit(real[0])
    page.wait_for_selector("#header [data-state=ready]")
    assert page.locator("#header .name").inner_text() == "compact-speech"
    assert "Emotion2Vec+" in page.locator("#header .words").inner_text()
    analyze(page, sounds / "speech.wav")
    assert page.locator("#verdict .title").inner_text()
    scores = [float(text.rstrip("%")) for text in page.locator("#verdict .score").all_inner_texts()]
    assert len(scores) == 9
    assert sum(scores) == pytest.approx(100, abs=0.6)
    assert scores == sorted(scores, reverse=True)
    assert "Heard by compact-speech" in page.locator("#verdict .model").inner_text()
    assert page.locator("#timeline tbody tr").count() >= 1
    assert listed(page) == {"result.json", "processed_audio.wav", "frames.npz"}


def test_every_download_of_a_frame_analysis_opens_and_is_right(visit, real, sounds):
    page = visit(real[0])
    page.click("#more button")
    page.check("#embedding input")
    analyze(page, sounds / "speech.wav", "frame")
    report = json.loads(download(page, "result.json"))
    assert report["emotion"] == page.locator("#verdict .title").inner_text().lower()
    assert report["granularity"] == "frame"
    frames = report["timeline"]["frames"]
    assert len(download(page, "timeline.csv").decode().splitlines()) == frames + 1
    assert np.load(io.BytesIO(download(page, "embedding.npy"))).shape[0] == frames
    assert np.load(io.BytesIO(download(page, "frames.npz")))["probabilities"].shape == (frames, 9)
    wave, rate = soundfile.read(io.BytesIO(download(page, "processed_audio.wav")))
    assert (wave.ndim, rate, len(wave)) == (1, 16_000, 7 * 16_000)
    assert download(page, "timeline.png").startswith(b"\x89PNG")
    assert b"<svg" in download(page, "timeline.svg")
    whole = page.locator("#downloads .whole").get_attribute("download")
    with ZipFile(io.BytesIO(download(page, whole))) as pack:
        assert pack.testzip() is None
        assert set(pack.namelist()) == listed(page)
        assert json.loads(pack.read("result.json")) == report


def test_a_silent_file_is_said_to_be_silent(visit, real, sounds):
    page = visit(real[0])
    analyze(page, sounds / "silence.wav")
    assert page.locator("#verdict h2").inner_text().strip() == "Silence"
    assert "nothing to hear" in page.locator("#verdict .sentence").inner_text()
    assert page.locator("#verdict .warnings li").count() >= 1
    assert page.locator("#timeline tbody tr").all_inner_texts()[0].split()[-1] == "silence"


def test_a_wrong_file_gets_its_sentence_and_the_page_goes_on(visit, real, sounds):
    page = visit(real[0])
    choose(page, sounds / "text.wav")
    page.click("#analyze")
    page.wait_for_selector(".toast-body >> text=text.wav is")
    page.wait_for_selector("#analyze:enabled")
    assert page.locator("#progress .card").is_hidden()
    analyze(page, sounds / "speech.wav")
    assert page.locator("#verdict .title").inner_text()


def test_without_a_file_the_page_asks_for_one(visit, real):
    page = visit(real[0])
    page.click("#analyze")
    page.wait_for_selector(".toast-body >> text=no recording yet")
    page.wait_for_selector("#analyze:enabled")


def test_while_it_listens_the_page_says_so(visit, known, sounds):
    address, _outputs, gate = known
    page = visit(address)
    gate.clear()
    start(page, sounds / "tone.wav")
    assert page.locator("#analyze").inner_text() == "Analyzing …"
    bar = page.get_by_role("progressbar", name="Progress")
    page.wait_for_function("document.querySelector('#progress .bar').ariaValueNow === '56'")  # half of the listening
    assert bar.bounding_box()["width"] > 100
    assert page.locator("#progress .left").inner_text() == ""  # it stands still: nobody knows how long it will take
    gate.set()
    page.wait_for_selector("#verdict .answer")
    page.wait_for_selector("#progress .card", state="hidden")


def test_a_closed_tab_ends_its_analysis(visit, known, sounds):
    address, outputs, gate = known
    page = visit(address)
    gate.clear()
    runs = set(outputs.iterdir())
    start(page, sounds / "tone.wav")
    page.close()
    wait_for(lambda: not any(thread.name == "studio-work" for thread in threading.enumerate()))
    gate.set()
    assert set(outputs.iterdir()) == runs


def test_an_example_is_one_click_and_named_by_its_way_of_speaking(visit, real):
    page = visit(real[0])
    page.check("#source input[value=microphone]", force=True)
    assert "synthetic" in page.locator("#tryout").inner_text()
    page.get_by_role("button", name="Slow, low and breathy").click()
    page.wait_for_selector("#verdict .answer")
    assert page.locator("#verdict .file").inner_text() == "soft.flac"
    assert page.locator("#upload .filename").inner_text().strip().startswith("soft")  # it can be analysed again
    page.wait_for_selector("#analyze:enabled")


def test_the_model_is_chosen_among_those_on_the_machine(visit, real, sounds):
    page = visit(real[0])
    page.click("#more button")
    page.locator("#model input").click()
    offered = page.locator("#model [role=option]").all_inner_texts()
    assert [each.strip().removeprefix("✓").strip() for each in offered][:2] == ["Automatic", "Emoscope compact"]
    page.get_by_role("option", name="Emoscope compact").click()
    analyze(page, sounds / "speech.wav")
    assert json.loads(download(page, "result.json"))["options"]["model"] == "compact"


def test_the_address_names_the_tab(visit, real):
    page = visit(real[0])
    page.click("#tab-about-button")
    page.wait_for_selector("#about h2 >> text=Not a diagnosis")
    assert page.url.endswith("#tab-about")
    page.reload()
    page.wait_for_selector("#tab-about-button[aria-selected=true]")
    page.wait_for_selector("#about .models >> text=Emoscope compact")
    assert "Article 5(1)(f)" in page.locator("#about").inner_text()
    page.click("#tab-speech-button")
    page.click("#header a >> text=About")
    page.wait_for_selector("#tab-about-button[aria-selected=true]")


def test_a_voice_is_recorded_and_analysed(visit, real):
    page = visit(real[0])
    page.check("#source input[value=microphone]", force=True)
    page.click("#record .record-button")
    page.wait_for_timeout(2000)
    page.click("#record .stop-button")
    page.wait_for_selector(
        "#record audio, #record [data-testid=waveform-controls], #record .timestamps", state="attached"
    )
    page.wait_for_timeout(500)
    page.click("#analyze")
    page.wait_for_selector("#verdict .answer")
    assert "mono" in page.locator("#verdict .facts").first.inner_text()


def test_a_file_name_is_only_text(visit, real, sounds, tmp_path):
    name = "${6*7} {{value}} <img src=x onerror=alert(1)>.wav"
    (tmp_path / name).write_bytes((sounds / "speech.wav").read_bytes())
    page = visit(real[0])
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    analyze(page, tmp_path / name)
    assert "42" not in page.locator("#verdict .file").inner_text()
    assert page.locator("#verdict img, #downloads img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_all_without_scrolling_sideways(visit, real, sounds, scheme):
    page = visit(real[0], size=(390, 844), scheme=scheme)
    analyze(page, sounds / "speech.wav", "frame")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    dark = page.evaluate("getComputedStyle(document.querySelector('#verdict .card')).backgroundColor")
    assert (dark == "rgb(255, 255, 255)") == (scheme == "light")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation_in_our_parts(visit, real, sounds, scheme):
    page = visit(real[0], scheme=scheme)
    analyze(page, sounds / "speech.wav", "frame")
    assert serious(page, OURS.split(", ")) == []
    page.click("#tab-about-button")
    page.wait_for_selector("#about .models li")
    assert serious(page, ["#about"]) == []


def serious(page, parts):
    """What axe finds in these parts of the page, if it is worse than moderate."""
    still = (
        "document.getAnimations().every((one) => one.playState !== 'running' || one.effect.target.closest('[hidden]'))"
    )
    page.wait_for_function(still)  # colours change softly
    found = Axe().run(page, context={"include": [[part] for part in parts]}).response["violations"]
    return [
        (each["id"], [node["target"] for node in each["nodes"]])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.slow
def test_the_cold_page_is_light_and_quick(chromium, real, capsys):
    """Prints what a first visit costs, and every tab after it."""
    context = chromium.browser.new_context()
    page = context.new_page()
    weight, requests = [], []
    wire = context.new_cdp_session(page)
    wire.send("Network.enable")
    wire.on("Network.loadingFinished", lambda event: weight.append(event["encodedDataLength"]))
    page.on("request", lambda request: requests.append(request.url))
    begun = time.perf_counter()
    page.goto(real[0])
    page.wait_for_selector("#analyze:enabled")
    usable = time.perf_counter() - begun
    page.wait_for_timeout(2000)
    told = [f"cold page: usable after {usable:.2f} s, {sum(weight) / 1000:.0f} kB in {len(requests)} requests"]
    assert sum(weight) < 1_000_000
    for name in TABS[1:]:
        before, begun = sum(weight), time.perf_counter()
        page.click(f"#tab-{name}-button")
        page.wait_for_selector(f"#tab-{name} > *")
        took = time.perf_counter() - begun
        page.wait_for_timeout(1000)
        told.append(f"{name}: {took:.2f} s, {(sum(weight) - before) / 1000:.0f} kB more")
    context.close()
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(told) + "\n")
