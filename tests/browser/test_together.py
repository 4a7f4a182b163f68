"""The Speech + text tab in a browser: sentences that play, weights that change the result at once, two languages."""

import json
import re
from zipfile import ZipFile

import pytest

from emoscope import models
from emoscope.analyzer import Analyzer
from emoscope.readers import Readers
from tests.browser.conftest import Visits
from tests.browser.studio import Patient, serving, settings_for
from tests.fakes import Keywords, Scribe

SUBTITLES = """WEBVTT

00:00.300 --> 00:01.700
I am joyful.

00:02.300 --> 00:03.700
We are <i>lonely</i>.
"""
AUDIO = "document.querySelector('#together-timeline audio')"
DONE = "#together-downloads .files li"
WEIGHT = "#weight input[type=range]"


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """A studio with models whose answers are known: its address, its outputs, and how often its models were asked."""
    settings = settings_for(tmp_path_factory.mktemp("together"))
    hears, reads = Patient(), Keywords()
    hears.gate.set()
    readers = Readers(settings, load_text=lambda _folder: reads, load_recogniser=Scribe)
    with serving(Analyzer(settings, load=lambda _folder: hears, readers=readers), settings) as address:
        yield address, settings.outputs, lambda: len(hears.heard) + len(reads.read_texts)


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    file = tmp_path_factory.mktemp("script") / "talk.vtt"
    file.write_text(SUBTITLES)
    return file


def open_tab(page):
    page.click("#tab-together-button")
    page.wait_for_selector("#upload-together")


def load(page, script):
    with page.expect_file_chooser() as chooser:
        page.click("#load-said")
    chooser.value.set_files(script)
    page.wait_for_selector("#said-note .note:not(:empty)")


def analyze(page, sounds, script):
    open_tab(page)
    page.set_input_files("#upload-together input[type=file]", sounds / "tone.wav")
    page.wait_for_selector("#upload-together .file-preview")
    load(page, script)
    page.click("#together")
    page.wait_for_selector(DONE)
    page.wait_for_selector("#together-timeline [data-ready]")


@pytest.fixture(scope="module")
def answered(chromium, studio, sounds, script):
    """A page with four seconds analysed: angry and then sad, where the words are happy and then sad."""
    visits = Visits(chromium)
    page = visits(studio[0])
    analyze(page, sounds, script)
    yield page
    visits.close()


@pytest.fixture
def page(answered):
    answered.evaluate(f"() => {{ {AUDIO}.pause(); {AUDIO}.currentTime = 0; }}")
    set_weight(answered, 55)
    answered.focus("#together-timeline .plot")
    answered.keyboard.press("Escape")
    return answered


def set_weight(page, percent):
    """Drag the slider there and wait for the answer, if it is another one."""
    page.locator(WEIGHT).evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input', { bubbles: true })); }",
        percent,
    )
    page.wait_for_selector(f"#voices .counted >> text=Voice {100 - percent}%, words {percent}%")


def shown(page, selector):
    return page.locator(selector).inner_text()


def numbers(page):
    """What each emotion has by voice, words and both together, in per cent."""
    rows = page.locator("#voices tbody tr").all()
    return {
        row.get_attribute("data-name"): [cell.inner_text() for cell in row.locator(".number").all()] for row in rows
    }


def wait_for_sound(page, seconds):
    page.wait_for_function(f"seconds => {AUDIO}.currentTime >= seconds && !{AUDIO}.paused", arg=seconds)


# ---- who says what


def test_voice_words_and_both_stand_beside_each_other(page):
    assert shown(page, "#voices .headline") == "It says “happy” and sounds “sad”."
    found = numbers(page)
    assert found["happy"][:2] == ["5%", "45%"]
    assert found["unknown"][1] == "–"  # the text model cannot say it
    assert shown(page, "#said-note .note").startswith("talk.vtt: 2 lines, 2 of them with their times.")
    tiles = page.locator("#voices .sides li").all_inner_texts()
    assert [tile.split()[0] for tile in tiles] == ["Voice", "Words", "Together"]


def test_another_weight_changes_the_result_at_once_without_a_model(page, studio):
    passes, verdicts = studio[2](), []
    for percent in (0, 20, 40, 60, 80, 100):
        set_weight(page, percent)
        verdicts.append(shown(page, "#together-verdict h2"))
        assert page.locator(WEIGHT).input_value() == str(percent)  # nothing pushes it back
    assert studio[2]() == passes
    assert len(set(verdicts)) >= 4
    found = numbers(page)
    assert found["happy"][1:] == ["45%", "43%"]  # all words, but for the 5% of “unknown”, which only the voice can say
    assert page.is_visible("#stale")
    set_weight(page, 55)
    page.wait_for_selector("#stale", state="hidden")  # the files hold these


# ---- what plays


def test_a_sentence_of_the_timeline_plays_and_is_followed_in_the_text(page):
    box = page.locator("#together-timeline .plot").bounding_box()
    page.mouse.click(box["x"] + 0.7 * box["width"], box["y"] + lane(page, "words"))
    wait_for_sound(page, 2.4)
    assert shown(page, "#together-timeline .between") == "0:02.30 – 0:03.70"
    page.wait_for_selector("#together-reading .sentence[aria-current=true] >> text=lonely")


def lane(page, name):
    """The middle of a lane below the top of the plot, in pixels, as drawing.js lays them out."""
    heights = {"evidence": 46, "caption": 20, "gap": 6, "events": 0, "words": 30}
    below = sum(heights[each] for each in ("evidence", "caption"))
    return page.locator("#together-timeline .plot").bounding_box()["height"] - below - heights[name] / 2


def test_a_disagreement_plays(page):
    [entry] = page.locator("#disagreements li").all()
    assert entry.locator("strong").inner_text() == "says happy, sounds angry"
    assert entry.locator(".quote").inner_text().strip('“”"') == "I am joyful."
    entry.locator(".play").click()
    wait_for_sound(page, 0.35)
    assert shown(page, "#together-timeline .between") == "0:00.30 – 0:01.70"
    page.wait_for_selector("#disagreements li[aria-current=true]")


def test_the_text_plays_too(page):
    page.locator("#together-reading .sentence >> nth=1").locator(".play").click()
    wait_for_sound(page, 2.4)
    assert shown(page, "#together-timeline .between") == "0:02.30 – 0:03.70"


@pytest.mark.slow
def test_a_key_plays_the_sentence_at_the_playhead(page):
    page.evaluate(f"{AUDIO}.currentTime = 1.0")
    page.press("#together-timeline .plot", "s")
    wait_for_sound(page, 0.3)
    assert shown(page, "#together-timeline .between") == "0:00.30 – 0:01.70"
    assert "play the sentence at the playhead" in page.locator("#together-timeline .keys dd").all_text_contents()
    assert "play the sentence at the playhead" not in page.locator("#timeline .keys dd").all_text_contents()


@pytest.mark.slow
def test_the_pointer_shows_what_is_being_said(page):
    box = page.locator("#together-timeline .plot").bounding_box()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 120)
    assert shown(page, "#together-timeline .tip .quote").strip('“”"') == "I am joyful."
    assert re.fullmatch(r"Words: happy \d\d%", shown(page, "#together-timeline .tip .reads"))
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 120)
    assert page.locator("#together-timeline .tip .said").is_hidden()


# ---- files, and what is missing


@pytest.mark.slow
def test_the_files_are_written_again_with_the_weights_of_now(page):
    set_weight(page, 10)
    before = shown(page, "#together-downloads .folder")
    page.click("#rewrite")
    page.wait_for_function(
        "before => document.querySelector('#together-downloads .folder').textContent !== before", arg=before
    )
    page.wait_for_selector("#stale", state="hidden")
    with page.expect_download() as started:
        page.click("#together-downloads .whole")
    with ZipFile(started.value.path()) as archive:
        [name] = [each for each in archive.namelist() if each.endswith("result.json")]
        report = json.loads(archive.read(name))
    assert report["options"]["text_weight"] == 0.1
    set_weight(page, 55)
    page.wait_for_selector("#stale", state="visible")
    page.click("#rewrite")
    page.wait_for_selector("#stale", state="hidden")


@pytest.mark.slow
def test_the_maximum_asks_for_no_weight(page):
    page.click("#fusion input")
    page.get_by_role("option", name="Maximum").click()
    page.wait_for_selector(f"{WEIGHT}:disabled")
    page.wait_for_selector("#weight >> text=weighs both sides itself")
    page.click("#fusion input")
    page.get_by_role("option", name="Weights").click()
    page.wait_for_selector(f"{WEIGHT}:enabled")


@pytest.mark.slow
def test_words_alone_have_a_verdict_and_no_timeline(visit, studio):
    page = visit(studio[0])
    open_tab(page)
    page.fill("#said textarea", "We are lonely.")
    page.click("#together")
    page.wait_for_selector(DONE)
    assert shown(page, "#together-verdict .title") == "Sad"
    assert "This is the verdict of the words alone" in shown(page, "#together-verdict .warnings")
    assert page.locator("#together-reading .sentence").count() == 1
    for part in ("#together-timeline", "#voices", "#disagreements"):
        assert page.locator(f"{part} .card").is_hidden()
    set_weight_quietly(page)
    assert shown(page, "#together-verdict .title") == "Sad"


def set_weight_quietly(page):
    page.locator(WEIGHT).focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(300)


@pytest.mark.slow
def test_what_is_written_down_stands_in_the_box_until_another_recording_comes(visit, studio, sounds, monkeypatch):
    monkeypatch.setattr(models, "resolve_transcriber", lambda _models: models.Transcriber(sounds))
    page = visit(studio[0])
    open_tab(page)
    page.set_input_files("#upload-together input[type=file]", sounds / "tone.wav")
    page.wait_for_selector("#upload-together .file-preview")
    page.check("#transcribe input")
    page.click("#together")
    page.wait_for_selector("#said-note >> text=Written down by scribe")
    assert page.locator("#said textarea").input_value() == "I am joyful.\nI am lonely."
    assert page.locator("#disagreements li").count() == 1
    page.click("#upload-together button[aria-label=Clear]")
    page.set_input_files("#upload-together input[type=file]", sounds / "late.wav")
    page.wait_for_function("document.querySelector('#said textarea').value === ''")


@pytest.mark.slow
def test_a_weight_that_is_typed_or_set_back_counts_too(page):
    page.fill("#weight input[type=number]", "20")
    page.wait_for_selector("#voices .counted >> text=Voice 80%")
    page.fill("#weight input[type=number]", "150")
    page.wait_for_selector("#voices .counted >> text=Voice 0%")
    page.click("#weight button")
    page.wait_for_selector("#voices .counted >> text=Voice 45%")


@pytest.mark.slow
def test_nothing_can_be_written_down_without_the_weights_and_it_says_so(visit, studio):
    page = visit(studio[0])
    open_tab(page)
    assert page.locator("#transcribe input").is_disabled()
    assert "./run.sh models download sensevoice" in shown(page, "#transcribe")


@pytest.mark.slow
def test_it_speaks_chinese(visit, studio, sounds, script):
    page = visit(studio[0])
    page.context.add_cookies([{"name": "emoscope_language", "value": "zh", "url": studio[0]}])
    try:
        page.goto(studio[0])
        analyze(page, sounds, script)
        assert shown(page, "#disagreements strong") == "文字“开心”，语气“生气”"
        assert shown(page, "#voices .counted") == "语音 45%，文字 55%"
        words = page.locator("#tab-together").inner_text()
        left = set(re.findall(r"[A-Za-z]{3,}(?: [A-Za-z]+)+", words))
        assert {each for each in left if "sensevoice" not in each.lower()} <= {"I am joyful", "We are lonely"}
    finally:
        page.context.clear_cookies(name="emoscope_language")


def resting(page):
    """Where the page has scrolled to, when it does so no more."""
    before = None
    while before != (now := page.evaluate("scrollY")):
        before = now
        page.wait_for_timeout(300)
    return now


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_all_and_axe_finds_nothing_serious(visit, studio, sounds, script, scheme):
    from axe_playwright_python import sync_playwright as axe

    page = visit(studio[0], size=(390, 844), scheme=scheme)
    analyze(page, sounds, script)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    top = resting(page)
    set_weight(page, 30)
    page.wait_for_timeout(400)
    assert page.evaluate("scrollY") == top  # the page does not run away from the finger
    page.wait_for_function("document.getAnimations().every((one) => one.playState !== 'running')")
    parts = [["#voices"], ["#disagreements"], ["#together-timeline"], ["#together-verdict"], ["#mix"]]
    found = axe.Axe().run(page, context={"include": parts}).response["violations"]
    serious = [(each["id"], [node["target"] for node in each["nodes"]]) for each in found]
    assert [one for one, each in zip(serious, found, strict=True) if each["impact"] in ("serious", "critical")] == []
