"""The studio in Chinese: what a browser shows that asks for it, and the switch between the two languages."""

import re

import pytest

from emoscope.labels import EMOTIONS
from tests.browser.conftest import Visits, analyze, choose

# What may stand in Latin letters on a Chinese page: names, licences, formats, units, devices and keys.
KEPT = re.compile(
    r"""(?<![A-Za-z])(?:
    Emoscope(?:\ compact(?:\ text)?)? | Emotion2Vec\+ | Large | Base | Seed | FunASR(?:\ Model\ License)? | ModelScope
    | Hugging\ Face | SenseVoice\ Small | SRT | VTT | TXT
    | \./run\.sh\ (?:models\ download\ sensevoice|train-fusion) | English | MIT | CC[ -]BY-NC-SA
    | CREMA-D | RAVDESS | SAVEE | CASIA | BanglaSER | ASED | nEMO | AESDD | EmotionTTS | EmoGator
    | SHA | PCA | SNE
    | ZIP | CSV | JSON | PNG | SVG | WAV | MP3 | M4A | AAC | FLAC | OGG | Opus | WebM | MP4 | MOV | AMR | AIFF | MKV
    | NumPy | Praat | ELAN | Audacity | WebVTT | RTTM | logits | kHz | Hz | dB | ms | MB | kB | KB | GB
    | cpu | cuda | fp32 | bf16 | int8 | half-and-half | keywords | compact-speech
    | EMOSCOPE_[A-Z_]+ | outputs[\d_]* | (?:text|tone|late)\.wav | Jensen | Shannon
    | Ctrl | Shift | Alt | Home | End | PageUp | PageDown | Page\ Up | Page\ Down | Tab | Enter | Esc
    )(?![A-Za-z])""",
    re.VERBOSE,
)
SHOWN = """() => {
    const names = "script, style, code, [lang=en], .file-preview *, .files .name, .saved, .file";
    const told = ["aria-label", "title", "placeholder", "alt", "aria-valuetext"];
    const found = [document.title];
    for (const node of document.body.querySelectorAll("*")) {
        if (node.matches(names)) continue;
        found.push(...told.map((name) => node.getAttribute(name)));
        if (!node.checkVisibility() && node.localName !== "option") continue;
        const texts = [...node.childNodes].filter((child) => child.nodeType === Node.TEXT_NODE);
        found.push(...texts.map((text) => text.data.trim()));
    }
    return found.filter(Boolean);
}"""
TABS = ("speech", "text", "together", "live", "compare", "batch", "history", "about")


@pytest.fixture
def chinese(chromium):
    """Open pages in a browser that asks for Chinese, and know what went wrong in them."""
    context = chromium.browser.new_context(locale="zh-CN")
    visits = Visits(context)
    yield visits
    visits.close()
    context.close()


def english_in(page):
    """The words in Latin letters that the page shows, or tells a screen reader."""
    texts = {text: re.findall(r"[A-Za-z]{2,}", KEPT.sub("", text)) for text in page.evaluate(SHOWN)}
    return {text: found for text, found in texts.items() if found and not re.fullmatch(r"\S+\.\w+", text)}  # a file


def test_every_tab_is_in_chinese(chinese, known):
    page = chinese(known[0])
    page.wait_for_selector("#header [data-state=ready]")
    assert page.evaluate("[document.documentElement.lang, navigator.language]") == ["zh-CN", "zh-CN"]
    assert "声音里的情绪" in page.title()
    page.click("#more button")
    for tab in TABS:
        page.click(f"#tab-{tab}-button")
        page.wait_for_selector(f"#tab-{tab}", state="visible")
        page.wait_for_timeout(400)  # what the tab asks the server for
        assert english_in(page) == {}, tab
    page.click("#tab-speech-button")  # Gradio's own labels
    assert page.locator("#upload button").first.get_attribute("aria-label") == "点击上传，或把文件拖放到这里"
    assert page.locator("#smooth input[type=range]").get_attribute("aria-label") == "平滑（秒）：滑块"


def test_an_error_and_an_analysis_are_told_in_chinese(chinese, known, sounds):
    page = chinese(known[0])
    choose(page, sounds / "text.wav")
    page.click("#analyze")
    page.wait_for_selector(".toast-body >> text=text.wav 是文本文件")
    assert page.locator(".toast-title").inner_text() == "出错了"
    page.wait_for_selector("#analyze:enabled")
    assert english_in(page) == {}
    page.click("#upload .icon-button-wrapper button")
    analyze(page, sounds / "tone.wav", "frame")
    assert page.locator("#verdict h2").inner_text() == "难过 34%"
    rows = page.locator("#timeline tbody tr").all_inner_texts()
    assert [re.sub(r"[^\u4e00-\u9fff]", "", row) for row in rows] == ["生气", "难过"]
    bars = page.locator("#verdict .bars li").all_inner_texts()
    assert {row.split()[1] for row in bars} == {emotion.chinese for emotion in EMOTIONS}
    assert english_in(page) == {}


def test_the_switch_turns_the_whole_page_and_is_kept(chinese, known):
    page = chinese(known[0])
    switch = page.locator("#header .language")
    assert (switch.inner_text(), switch.get_attribute("aria-label")) == ("English", "Show in English")
    page.focus("#header .language")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    page.wait_for_selector("#analyze")
    assert page.evaluate("[document.documentElement.lang, navigator.language]") == ["en", "en"]
    assert page.locator("#analyze").inner_text() == "Analyze"
    assert page.locator("#tab-live-button").inner_text() == "Live"
    assert page.locator("#upload").inner_text().startswith("Drop File Here")  # Gradio's own words
    assert not re.search(r"[\u4e00-\u9fff]", page.inner_text("#tabs"))
    (cookie,) = page.context.cookies()
    assert (cookie["name"], cookie["value"], cookie["sameSite"]) == ("emoscope_language", "en", "Lax")
    assert cookie["expires"] - page.evaluate("Date.now() / 1000") == pytest.approx(365 * 86_400, rel=0.01)
    with page.expect_navigation():
        page.click("#header .language")
    page.wait_for_selector("#analyze")
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    assert page.locator("#analyze").inner_text() == "开始分析"


@pytest.mark.slow
def test_comparisons_and_batches_are_told_in_chinese(chinese, known, sounds):
    page = chinese(known[0])
    page.click("#tab-compare-button")
    for name, file in (("a", "tone.wav"), ("b", "late.wav")):
        page.set_input_files(f"#upload-{name} input[type=file]", sounds / file)
        page.wait_for_selector(f"#upload-{name} .file-preview")
    page.click("#compare")
    page.wait_for_selector("#verdict-b .answer")
    page.wait_for_selector("#difference >> text=距离")
    assert english_in(page) == {}
    page.click("#tab-batch-button")
    page.set_input_files("#batch-upload input[type=file]", [sounds / "tone.wav", sounds / "text.wav"])
    page.wait_for_selector("#batch-upload .file-preview")
    page.click("#batch")
    page.wait_for_selector("text=未能分析 1 个")
    assert english_in(page) == {}
