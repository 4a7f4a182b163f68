"""The Text tab in a browser: a text is read, and its sentences and words are looked at; and a text that is heard."""

import json
import threading
from dataclasses import dataclass, field

import pytest

from emoscope.analyzer import Analyzer
from emoscope.labels import EMOTIONS
from emoscope.readers import Readers
from emoscope.studio import reading
from tests import reports
from tests.browser.conftest import Visits
from tests.browser.studio import serving, settings_for
from tests.browser.test_chinese import english_in
from tests.browser.test_journeys import serious
from tests.fakes import HalfAndHalf, Keywords

READY = "document.querySelector('#reading [data-ready]')?.dataset.ready ?? ''"  # counts the texts shown
OURS = ["#text-controls", "#text-verdict", "#reading", "#text-downloads"]


@dataclass(frozen=True)
class Patient(Keywords):
    """Reads only while its gate is open."""

    gate: threading.Event = field(default_factory=threading.Event)

    def read(self, text, *, explain=True, progress):
        while not self.gate.wait(0.05):
            progress("Reading", 0.5)
        return super().read(text, explain=explain, progress=progress)


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """A studio that reads by keywords: its address, and its reader's gate."""
    settings = settings_for(tmp_path_factory.mktemp("texts"))
    reader = Patient()
    reader.gate.set()
    readers = Readers(settings, load_text=lambda _folder: reader)
    with serving(Analyzer(settings, load=lambda _folder: HalfAndHalf(), readers=readers), settings) as address:
        yield address, reader.gate


def come(visit, address, **how):
    page = visit(address, **how)
    page.click("#tab-text-button")
    page.wait_for_selector("#read:enabled")
    return page


def read(page, words, press=lambda page: page.click("#read")):
    page.fill("#text textarea", words)
    before = page.evaluate(READY)
    press(page)
    page.wait_for_function(f"before => ({READY}) !== before", arg=before)
    page.wait_for_selector("#read:enabled")


def tags(page):
    return [" ".join(each.split()) for each in page.locator("#reading .tags").all_inner_texts()]


def tinted(page, kind="for"):
    return page.locator(f"#reading .word.{kind}").all_inner_texts()


def test_a_text_is_read_sentence_by_sentence_and_is_only_text(visit, studio):
    page = come(visit, studio[0])
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    read(page, "😀 <img src=x onerror=alert(1)> so joyful ${6*7}. 👩‍👧 Now I am lonely. {{value}} أنا")
    assert page.locator("#text-verdict .title").inner_text() in ("Happy", "Sad", "Neutral")
    assert tags(page) == ["😊 happy 89%", "😢 sad 89%", "😐 neutral 89%"]
    assert tinted(page) == ["joyful", "lonely"]  # emoji before them take two places in a string of the browser
    assert page.locator("#reading .text").first.inner_text() == "😀 <img src=x onerror=alert(1)> so joyful ${6*7}."
    assert page.locator("#reading img, #text-verdict img").count() == 0
    assert page.locator("#counter .count").inner_text() == "83 of 200,000"
    assert {"result.json", "sentences.csv"} == set(page.locator("#text-downloads .name").all_inner_texts())


def test_keys_go_through_sentences_and_words(visit, studio):
    page = come(visit, studio[0])
    read(page, "I am joyful. I am lonely. ولكن lonely جدا.", lambda page: page.press("#text textarea", "Control+Enter"))
    page.locator("#reading .tags").first.focus()
    page.keyboard.press("ArrowDown")
    assert page.locator("#reading .sentence.selected .text").inner_text() == "I am lonely."
    assert page.locator("#reading .selected .bars li").count() == len(EMOTIONS)
    assert page.locator("#reading .selected .most").inner_text().split()[1:] == ["sad", "88.6%"]
    assert page.locator("#reading .said").inner_text() == "Speak for sad: lonely +75.0"
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.textContent") == "lonely"
    assert "+75.0 points" in page.locator("#reading .tip").inner_text()
    page.keyboard.press("ArrowDown")
    assert page.locator("#reading .tip").is_hidden()
    page.keyboard.press("ArrowLeft")  # onward, where the text runs from the right
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.textContent") == "lonely"
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    assert page.locator("#reading .selected").count() == 0
    assert page.evaluate("document.activeElement.ariaExpanded") == "false"


@pytest.mark.slow
def test_one_emotion_can_be_looked_at_in_all_sentences(visit, studio):
    page = come(visit, studio[0])
    read(page, "I am joyful. I am lonely. And joyful.")
    assert [each.split() for each in page.locator("#reading .hues button").all_inner_texts()] == [
        ["Each", "sentence's", "own"], ["😊", "happy", "2"], ["😢", "sad", "1"],
    ]  # fmt: skip
    page.click("#reading .hues button >> text=sad")
    assert tinted(page) == ["lonely"]
    assert tags(page) == ["😢 sad 2% 😊 happy 89%", "😢 sad 89%", "😢 sad 2% 😊 happy 89%"]
    page.click("#reading .hues button >> text=own")
    assert tinted(page) == ["joyful", "lonely", "joyful"]


def test_what_is_heard_is_marked_and_can_be_played(visit, studio, monkeypatch):
    """The part alone: a report of a recording and its words, in place of the one of the text that is read."""
    shown = reading.pack(reports.together_report())
    monkeypatch.setattr(reading, "pack", lambda _report: shown)
    page = come(visit, studio[0])
    read(page, "I am joyful.")
    assert tags(page) == ["words 😊 happy 89% voice 😠 angry 87% ≠ they differ", "words 😢 sad 89% voice 😢 sad 87%"]
    page.evaluate("window.asked = []")
    page.evaluate("document.addEventListener('emoscope:play', ({detail}) => window.asked.push(detail))")
    page.get_by_role("button", name="Play from 0:03").click()
    page.locator("#reading .text").first.click(position={"x": 40, "y": 10})
    assert page.evaluate("window.asked") == [{"start": start, "end": end} for start, end in reversed(reports.LATER)]
    current = page.locator("#reading [aria-current=true] .text")
    for time, text in ((0.2, ["I am so happy for you!"]), (3.0, []), (5.7, ["It is a sad day."]), (5.8, [])):
        page.evaluate("time => document.dispatchEvent(new CustomEvent('emoscope:time', {detail: {time}}))", time)
        assert current.all_inner_texts() == text
    assert "Distance between words and voice: 0.8" in page.locator("#reading .said").inner_text()


@pytest.mark.slow
def test_an_example_is_one_click(visit, studio):
    page = come(visit, studio[0])
    page.click("#text-mixed")
    page.wait_for_selector("#reading .sentence")
    assert page.input_value("#text textarea").startswith("I'm so proud of you")
    page.wait_for_selector("#read:enabled")


@pytest.mark.slow
def test_nothing_to_read_is_told_in_a_sentence(visit, studio):
    page = come(visit, studio[0])
    page.click("#read")
    page.wait_for_selector(".toast-body >> text=There is no text to read")
    page.wait_for_selector("#read:enabled")
    page.eval_on_selector(
        "#text textarea", "(box) => { box.value = 'x'.repeat(200001); box.dispatchEvent(new Event('input')); }"
    )
    page.wait_for_selector("#counter .over >> text=over the limit of 200,000 characters")


@pytest.mark.slow
def test_stop_ends_a_reading(visit, studio):
    page, gate = come(visit, studio[0]), studio[1]
    gate.clear()
    try:
        page.fill("#text textarea", "I am joyful.")
        page.click("#read")
        page.wait_for_selector("#text-progress .what >> text=Reading")
        page.click("#text-stop")
        page.wait_for_selector("#read:enabled")
        assert page.locator("#text-progress .card").is_hidden()
    finally:
        gate.set()
    page.wait_for_timeout(500)
    assert page.locator("#reading .card").is_hidden()


@pytest.mark.slow
def test_a_long_text_stays_fluid(visit, studio, monkeypatch):
    """Three thousand sentences: no task holds even a busy machine for seconds, and the last of them is a key away."""
    shown = reading.pack(reports.text_report(*[(f"Sentence {number} is sad.", "sad") for number in range(3000)]))
    for sentence in shown["sentences"][75:]:
        sentence["words"] = []  # a text model weighs 300 words
    monkeypatch.setattr(reading, "pack", lambda _report: shown)
    page = come(visit, studio[0])
    page.evaluate(
        "() => { window.tasks = []; new PerformanceObserver((list) => window.tasks.push(...list.getEntries()"
        ".map((one) => one.duration))).observe({ type: 'longtask' }); }"
    )
    read(page, "I am joyful.")
    page.wait_for_timeout(500)
    page.locator("#reading .tags").first.focus()
    page.keyboard.press("End")
    page.wait_for_timeout(500)
    assert page.evaluate("document.activeElement.closest('.sentence').innerText").startswith("Sentence 2999")
    assert max(page.evaluate("window.tasks"), default=0) < 5000


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_all_without_scrolling_sideways(visit, studio, monkeypatch, scheme):
    page = come(visit, studio[0], size=(390, 844), scheme=scheme)
    read(page, "I am joyful and this is quite a long sentence without an end in sight. " + "lonely" * 30 + ".")
    page.locator("#reading .tags").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    shown = reading.pack(reports.together_report())
    monkeypatch.setattr(reading, "pack", lambda _report: shown)
    read(page, "I am joyful.")
    page.locator("#reading .tags").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(visit, studio, monkeypatch, scheme):
    page = come(visit, studio[0], scheme=scheme)
    read(page, "I am joyful. I am lonely.")
    page.locator("#reading .tags").first.click()
    assert serious(page, OURS) == []
    shown = reading.pack(reports.together_report())
    monkeypatch.setattr(reading, "pack", lambda _report: shown)
    read(page, "I am joyful.")
    page.locator("#reading .tags").first.click()
    page.evaluate("document.dispatchEvent(new CustomEvent('emoscope:time', {detail: {time: 1}}))")
    assert serious(page, OURS) == []


@pytest.mark.slow
def test_all_of_it_is_in_chinese(chromium, studio, monkeypatch):
    context = chromium.browser.new_context(locale="zh-CN")
    visits = Visits(context)
    page = come(visits, studio[0])
    read(page, "我 joyful。")
    page.locator("#reading .tags").first.click()
    assert page.locator("#text-verdict h2").inner_text() == "开心 89%"
    shown = json.loads(json.dumps(reading.pack(reports.together_report())).replace("I am so happy", "我很高兴"))
    monkeypatch.setattr(reading, "pack", lambda _report: shown)
    read(page, "我 joyful。")
    page.locator("#reading .tags").first.click()
    page.evaluate("for (const text of document.querySelectorAll('#reading :is(.text, .word, bdi)')) text.lang = 'en'")
    found = {text: words for text, words in english_in(page).items() if "joyful" not in text}
    assert found == {}
    visits.close()
    context.close()
