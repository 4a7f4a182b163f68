"""The drawing: what it shows, that any name can stand on it, that it stays small and can be made in threads."""

import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from PIL import Image

from emoscope import plots
from emoscope.labels import EMOTIONS, LABELS, emotion
from emoscope.settings import ROOT, Options
from tests import reports

KINDS = {
    "half and half": reports.half_and_half,
    "pause": reports.pause,
    "trimmed": lambda: reports.pause(offset=2.0, after=1.0),
    "one frame": reports.one_frame,
    "all silent": reports.all_silent,
    "minute": lambda: reports.changing(60, seed=3),
    "ten minutes": lambda: reports.changing(600, seed=4),
    "raw": lambda: reports.changing(6, options=Options(granularity="frame", smooth=0)),
    "utterance": lambda: reports.half_and_half(options=Options()),
    "with words": reports.together_report,
}


def texts(report):
    drawing = plots.figure(report)
    return [text.get_text() for text in drawing.findobj(lambda artist: hasattr(artist, "get_text")) if text.get_text()]


def boxes(axes):
    return [
        (to_hex(box.get_facecolor()), box.get_x(), box.get_x() + box.get_width())
        for box in axes.patches
        if isinstance(box, Rectangle)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_report_is_drawn(kind, tmp_path):
    plots.draw(KINDS[kind](), tmp_path / "timeline.png")
    with Image.open(tmp_path / "timeline.png") as picture:
        assert picture.size == (plots.WIDTH * plots.DPI, plots.HEIGHT * plots.DPI)
        pixels = np.asarray(picture.convert("RGB"))
    assert (pixels[[0, -1]] == 255).all()  # nothing runs over the edge
    assert (pixels[:, [0, -1]] == 255).all()
    assert (pixels < 255).any()


def test_the_title_says_the_verdict():
    found = texts(reports.pause())
    assert "Happy 39%" in found
    assert "leaning, then unknown 20%" in found
    assert plots.LEFT_TO_RIGHT + "clip.wav · 6.0 s · known-answers" in found
    assert {*LABELS, "39%", "silence", "0%", "50%", "100%"} <= set(found)


def test_a_silent_recording_has_no_verdict():
    found = texts(reports.all_silent())
    assert "Silence" in found
    assert not {"100%", "0%"} ^ {text for text in found if "%" in text} - {"50%"}
    assert not any("Unknown" in text for text in found)


def test_the_strip_shows_the_segments():
    _, strip, _ = plots.figure(reports.pause(offset=1.0)).axes
    found = boxes(strip)
    assert [colour for colour, _, _ in found] == [
        emotion("happy").colour, plots.FAINT, emotion("happy").colour, emotion("surprised").colour
    ]  # fmt: skip
    assert [start for _, start, _ in found] == [1.0, 3.0, 5.0, 6.0]
    assert found[-1][2] == pytest.approx(7.0, abs=0.02)


def test_sentences_have_a_strip_of_their_own_in_the_colours_of_their_words():
    drawing = plots.figure(reports.together_report())
    _, voice, stack, words = drawing.axes
    assert boxes(words) == [
        (emotion("happy").colour, 0.2, pytest.approx(2.8, abs=0.02)),
        (emotion("sad").colour, 3.2, pytest.approx(5.8, abs=0.02)),
    ]
    assert [text.get_text() for text in words.texts] == ["I am so happy for you!", "It is a sad day."]
    assert [axes.get_yticklabels()[0].get_text() for axes in (voice, words)] == ["voice", "words"]
    voice, words, stack = (axes.get_position() for axes in (voice, words, stack))
    assert voice.y0 > words.y1 > words.y0 > stack.y1  # one below the other


def test_the_title_says_both_together_and_each_alone():
    report = reports.together_report()
    found = texts(report)
    assert f"{report.verdict.emotion.capitalize()} {report.verdict.confidence:.0%}" in found
    assert any(text.endswith("; voice angry 34%, words happy 45%") for text in found)
    assert "voice and words" in found
    assert plots.LEFT_TO_RIGHT + "clip.wav · 6.0 s · known-answers + known-words" in found
    silent = reports.together_report(reports.all_silent(), reports.text_report(("Over.", "sad")))
    assert any(text.endswith("; words sad 89%") for text in texts(silent))


def test_a_sentence_is_cut_to_its_box_and_words_without_times_have_no_strip(caplog):
    said = reports.text_report(("$x$ “录音” " * 40, "happy"), ("No.", "sad"), times=((0.0, 3.0), (3.0, 3.2)))
    drawing = plots.figure(reports.together_report(said=said))
    [text] = drawing.axes[-1].texts  # the second is too short for words
    assert text.get_text().endswith("…")
    left, right = drawing.axes[-1].transData.transform([(0.0, 0.0), (3.0, 0.0)])[:, 0]
    assert left < text.get_window_extent().x0 < text.get_window_extent().x1 <= right
    assert len(plots.figure(reports.together_report(said=reports.text_report())).axes) == 3
    assert caplog.records == []


def test_silence_is_hatched_in_the_stack():
    *_, stack = plots.figure(reports.pause()).axes
    (veil,) = [box for box in stack.patches if isinstance(box, Rectangle)]
    assert veil.get_hatch()
    assert (veil.get_x(), veil.get_width()) == (2.0, 2.0)


def test_the_stack_has_the_nine_colours_and_adds_up():
    *_, stack = plots.figure(reports.half_and_half(noise=1.0)).axes
    colours = [to_hex(layer.get_facecolor()[0]) for layer in stack.collections]
    assert colours == [each.colour for each in reversed(EMOTIONS)]  # from the bottom
    top = stack.collections[-1].get_paths()[0].vertices[:, 1]
    assert top.max() == pytest.approx(1.0, abs=1e-5)


def test_all_axes_share_the_files_time():
    for report, end in ((reports.pause(), 6.0), (reports.pause(offset=2.0, after=1.0), 9.0)):
        assert {axes.get_xlim() for axes in plots.figure(report).axes} == {(0.0, end)}


@pytest.mark.parametrize(
    ("seconds", "first", "last", "unit"),
    [
        (2, "0", "2", "seconds, smoothed over 0.5 s"),
        (60, "0", "60", "seconds, smoothed over 0.5 s"),
        (300, "0:00", "5:00", "minutes, smoothed over 1 s"),
    ],
)
def test_the_clock(seconds, first, last, unit):
    *_, stack = plots.figure(reports.half_and_half(seconds)).axes
    labels = [label.get_text() for label in stack.get_xticklabels()]
    assert (labels[0], labels[-1], stack.get_xlabel()) == (first, last, unit)
    assert 3 <= len(labels) <= 13


@pytest.mark.parametrize(
    ("seconds", "duration", "text"),
    [(0.5, 6, "0.5"), (0.30000000000000004, 1, "0.3"), (65, 130, "1:05"), (5, 130, "0:05"), (3605, 7200, "1:00:05")],
)
def test_moments_are_written_as_people_read_them(seconds, duration, text):
    assert plots._clock(seconds, duration) == text


@pytest.mark.parametrize("name", [*reports.HOSTILE_NAMES.values(), "W" * 300, "录音" * 100], ids=[*reports.HOSTILE_NAMES, "wide", "long chinese"])  # fmt: skip  # noqa: E501
def test_any_name_is_drawn_without_a_warning_and_within_the_page(name, tmp_path, caplog):
    report = reports.one_frame(name=name)
    drawing = plots.figure(report)
    for text in drawing.texts:
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= drawing.bbox.width
    plots.draw(report, tmp_path / "timeline.svg")
    root = ElementTree.parse(tmp_path / "timeline.svg").getroot()
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))
    assert caplog.records == []


def test_a_dollar_is_a_dollar(tmp_path):
    name = reports.HOSTILE_NAMES["maths"]
    assert any(name in text for text in texts(reports.one_frame(name=name)))
    plots.draw(reports.one_frame(name=name), tmp_path / "timeline.png")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\nb\r\n\tc", "a b c"), ("a\x00b\x1b[31m", "ab[31m"), ("\ud800x", "x"), ("e\u0301", "é"), ("  ", ""),
        ("a\u202egpj.exe", "agpj.exe"), ("\u2066a\u2069", "a"), ("你好", "你好"), ("x\u2028y", "x y"),
    ],
)  # fmt: skip
def test_one_line(text, line):
    assert plots.one_line(text) == line


def test_what_no_font_can_draw_becomes_dots(monkeypatch):
    monkeypatch.setattr(plots, "FALLBACKS", ())
    assert plots.drawable("我的录音 1.wav") == ("… 1.wav", [plots.FONT])
    assert plots.drawable("clip.wav") == ("clip.wav", [plots.FONT])
    assert plots.drawable("我") == ("…", [plots.FONT])
    assert plots.drawable("👩‍👩‍👧x") == ("…x", [plots.FONT])


def test_long_names_keep_both_ends():
    assert plots._short("a" * 300 + ".wav", 30) == "a" * 20 + "…" + "a" * 6 + ".wav"
    assert plots._short("short.wav", 30) == "short.wav"
    assert plots._short("录" * 100 + ".wav", 30) == "录" * 10 + "…" + "录" * 3 + ".wav"


def test_an_hour_is_drawn_in_about_a_second_and_stays_small(tmp_path):
    report = reports.hour()
    plots.draw(reports.one_frame(), tmp_path / "first.png")  # matplotlib is imported, fonts are found
    for ending, most in (("png", 2e6), ("svg", 2e6)):
        start = time.process_time()
        plots.draw(report, tmp_path / f"timeline.{ending}")
        assert time.process_time() - start < 4  # seconds; it takes one
        assert (tmp_path / f"timeline.{ending}").stat().st_size < most
    assert "hours, smoothed over 12 s" in texts(report)


def test_drawings_in_threads_are_those_of_one_thread(tmp_path):
    kinds = [reports.half_and_half(1.0, name=f"{index} $x$ 录音.wav") for index in range(4)]
    for index, report in enumerate(kinds):
        plots.draw(report, tmp_path / f"{index}.png")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda index: plots.draw(kinds[index], tmp_path / f"{index}-thread.png"), range(4)))
    for index in range(4):
        assert (tmp_path / f"{index}.png").read_bytes() == (tmp_path / f"{index}-thread.png").read_bytes()


def test_drawing_changes_no_setting_of_matplotlib_and_needs_no_pyplot(tmp_path):
    before = dict(rcParams)
    plots.draw(reports.pause(), tmp_path / "timeline.svg")
    assert dict(rcParams) == before
    assert "Date" not in re.sub(r"\s", "", (tmp_path / "timeline.svg").read_text("utf-8"))
    code = (
        "import sys; from pathlib import Path; from emoscope import plots; assert 'matplotlib' not in sys.modules; "
        "from tests import reports; plots.draw(reports.one_frame(), Path(sys.argv[1])); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(tmp_path / "a.png")], cwd=ROOT, check=True)
