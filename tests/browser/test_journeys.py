"""What people do in the studio, with the model that ships and real sound."""

import io
import json
from zipfile import ZipFile

import numpy as np
import pytest
import soundfile

from tests.browser.conftest import analyze, choose

OURS = "#header, #controls, #verdict, #timeline, #downloads, #about"


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
    assert listed(page) == {"result.json", "processed_audio.wav"}


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
    analyze(page, sounds / "speech.wav")
    assert page.locator("#verdict .title").inner_text()


def test_without_a_file_the_page_asks_for_one(visit, real):
    page = visit(real[0])
    page.click("#analyze")
    page.wait_for_selector(".toast-body >> text=no recording yet")
    page.wait_for_selector("#analyze:enabled")


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
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    page = visit(real[0], scheme=scheme)
    analyze(page, sounds / "speech.wav", "frame")
    page.wait_for_function(
        "document.getAnimations().every((one) => one.playState !== 'running')"
    )  # colours change softly
    found = axe.Axe().run(page, context={"include": [[part] for part in OURS.split(", ")]}).response["violations"]
    serious = [
        (each["id"], [node["target"] for node in each["nodes"]])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []
