"""What the Text tab does, as plain functions, with a model whose answers are known; and the page's endpoint `text`."""

import json
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from emoscope.analyzer import Analyzer
from emoscope.history import Keeper
from emoscope.labels import EMOTIONS, INDEX, LABELS
from emoscope.readers import Readers
from emoscope.studio import present, reading, theme
from emoscope.studio.desk import Desk
from emoscope.studio.examples import TEXTS
from emoscope.studio.handlers import Visit
from emoscope.studio.tabs import text
from emoscope.text.split import LONGEST, clean, sentences
from tests import reports
from tests.browser.studio import serving, settings_for
from tests.fakes import HalfAndHalf, Keywords

STYLE = Path(reading.__file__).with_name("reading.css").read_text("utf-8")


@dataclass(frozen=True)
class Patient(Keywords):
    """Reads only while its gate is open."""

    gate: threading.Event = field(default_factory=threading.Event)

    def read(self, text, *, explain=True, progress):
        while not self.gate.wait(0.02):
            progress("Reading", 0.5)
        return super().read(text, explain=explain, progress=progress)


@pytest.fixture
def gate():
    opened = threading.Event()
    opened.set()
    return opened


@pytest.fixture
def desk(tmp_path, monkeypatch, gate):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "shelf"))
    settings = settings_for(tmp_path)
    readers = Readers(settings, load_text=lambda _folder: Patient(gate=gate))
    return Desk(Analyzer(settings, readers=readers), settings, live=None, keeper=Keeper(settings))


def chosen(words, model="auto", visit=None):
    return {"text": words, "text_model": model, "embedding": False, "visit": visit or Visit()}


def test_a_text_becomes_its_verdict_its_sentences_and_its_files(desk):
    *news, answer, writing, written = text.read(desk, chosen("I am joyful. I am lonely. So joyful."), "en")
    assert all(0 <= now["done"] <= 1 for now in [*news, writing])
    assert (answer.verdict["title"], answer.verdict["file"]) == ("Happy", "I am joyful. I am lonely. So joyful.")
    assert answer.verdict["facts"][:2] == ["36 characters", "3 sentences"]
    assert answer.verdict["model"] == "Read by keywords, fp32 on cpu."
    shown = json.loads(Path(answer.reading["file"]["path"]).read_text("utf-8"))
    best = [LABELS[np.argmax(each["scores"])] for each in shown["sentences"]]
    assert best == ["happy", "sad", "happy"]
    assert writing["what"] == "Writing the files"
    assert [each["name"] for each in written.downloads["files"]] == ["result.json", "sentences.csv"]


def test_spans_are_characters_and_contributions_rows_of_nine(desk):
    words = "😀👩‍👧 so lonely. “开心” joyful."
    shown = reading.pack(desk.analyzer.read(words, text.Options()))
    first, second = shown["sentences"]
    assert shown["text"][first["start"] : first["end"]] == "😀👩‍👧 so lonely."
    *_, lonely = first["words"]
    assert shown["text"][lonely["start"] : lonely["end"]] == "lonely"
    assert lonely["contributions"] == [0.75 if name == "sad" else 0.0 for name in INDEX]
    assert (second["time"], second["spoken"], second["distance"], second["apart"]) == (None, None, None, False)


def test_words_that_were_said_have_their_time_and_how_they_sound():
    """Angry for three seconds and sad for three, where the words read happy and then sad."""
    happy, sad = reading.pack(reports.together_report())["sentences"]
    assert (happy["time"], sad["time"]) == reports.LATER
    assert int(np.argmax(happy["spoken"])) == INDEX["angry"]
    assert happy["distance"] > 0.5 > sad["distance"]
    assert (happy["apart"], sad["apart"]) == (True, False)


def test_a_report_without_a_text_has_no_reading():
    with pytest.raises(ValueError, match="no text"):
        reading.pack(reports.half_and_half())


@pytest.mark.parametrize(
    ("language", "facts", "model"),
    [
        ("en", ["39 characters", "2 sentences"], "Read by known-words, fp32 on cpu."),
        ("zh", ["39 个字符", "2 句"], "文本模型：known-words（fp32，cpu）。"),
    ],
)
def test_the_verdict_of_a_text_in_words(language, facts, model):
    shown = present.verdict(reports.text_report(), language)
    assert shown["facts"][:2] == facts
    assert shown["model"] == model
    assert not shown["silent"]


def test_the_verdict_of_both_names_both_models():
    shown = present.verdict(reports.together_report(), "en")
    assert shown["model"] == "Heard by known-answers, fp32 on cpu. Read by known-words, fp32 on cpu."
    assert shown["note"] == "A model for tests answered. A text model for tests answered."
    assert "A text model for tests answered." not in shown["warnings"]
    assert shown["facts"][0] == "6 s"
    assert "2 sentences" in shown["facts"]


@pytest.mark.parametrize(
    ("words", "language", "sentence"),
    [
        ("", "en", "There is no text to read. Type or paste a sentence."),
        (None, "en", "no text to read"),
        (" \n\t\0", "zh", "没有可以分析的文字"),
        ("x" * (LONGEST + 1), "en", "200,001 characters; the limit is 200,000"),
        ("x" * (LONGEST + 1), "zh", "有 200,001 个字符，上限是 200,000"),
    ],
)
def test_what_cannot_be_read_gets_its_sentence(desk, words, language, sentence):
    with pytest.raises(gr.Error, match=sentence):
        list(text.read(desk, chosen(words), language))
    assert not list(desk.settings.outputs.iterdir())


@pytest.mark.parametrize("model", ["/etc", "nothing", "half-and-half", "compact-speech"])
def test_a_visitor_cannot_name_another_model_or_a_folder(desk, model):
    with pytest.raises(gr.Error, match="no model"):
        list(text.read(desk, chosen("I am joyful.", model), "en"))


def test_a_text_model_on_disk_can_be_chosen(desk):
    *_, written = text.read(desk, chosen("I am joyful.", "compact-text"), "en")
    [result] = desk.settings.outputs.glob("*/result.json")
    assert json.loads(result.read_text("utf-8"))["options"]["text_model"] == "compact-text"
    assert written.downloads


def test_half_a_character_does_not_break_the_answer(desk):
    *_, answer, _, _ = text.read(desk, chosen("I am joyful \ud83d."), "en")
    assert answer.verdict["file"] == "I am joyful \ufffd."
    assert json.loads(Path(answer.reading["file"]["path"]).read_text("utf-8"))["text"] == "I am joyful \ufffd."


def test_a_reading_that_is_stopped_says_nothing_more(desk, gate):
    gate.clear()
    visit = Visit()
    news = text.read(desk, chosen("I am joyful.", visit=visit), "en")
    assert next(news)["what"] in ("Loading the model", "Reading")
    visit.move_on()
    assert not any(isinstance(now, text.Answered) for now in news)
    assert not list(desk.settings.outputs.iterdir())


def test_the_examples_are_what_their_titles_promise():
    assert list(TEXTS) == ["english", "mixed", "paragraph", "chinese", "spanish"]
    assert [len(sentences(clean(words))) for words in TEXTS.values()] == [1, 1, 9, 2, 3]
    assert re.search(r"[\u4e00-\u9fff]", TEXTS["chinese"])
    assert "ñ" in TEXTS["spanish"] or "¡" in TEXTS["spanish"]


def luminance(colour):
    wide = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return float(wide @ [0.2126, 0.7152, 0.0722])


def rgb(colour):
    return np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])


@pytest.mark.parametrize(
    ("place", "ink", "paper", "accent"),
    [(0, "#1c1e20", "#ffffff", theme.ACCENT.c600), (1, "#e9eaeb", theme.GREY.c900, theme.ACCENT.c400)],
    ids=["light", "dark"],
)
def test_tinted_words_keep_their_contrast(place, ink, paper, accent):
    """The full tint over the sentence being said, which has a ground of its own; WCAG AA asks for 4.5 to 1."""
    tint = int(re.findall(r"--tint: (\d+)%", theme.STYLE)[place]) / 100
    share = int(re.search(r"\[aria-current=true\] { background: .*?\(--color-accent\) (\d+)%", STYLE)[1]) / 100
    ground = share * rgb(accent) + (1 - share) * rgb(paper)
    for emotion in EMOTIONS:
        under, over = sorted([luminance(tint * rgb(emotion.colour) + (1 - tint) * ground), luminance(rgb(ink))])
        assert (over + 0.05) / (under + 0.05) >= 4.5, emotion.name


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    settings = settings_for(tmp_path_factory.mktemp("home"))
    readers = Readers(settings, load_text=lambda _folder: Keywords())
    with serving(Analyzer(settings, load=lambda _folder: HalfAndHalf(), readers=readers), settings) as address:
        yield Client(address, verbose=False)


def test_programs_get_the_report_of_a_text_and_the_zip(client):
    report, whole = client.predict("I am joyful. I am lonely. I am lonely.", api_name="/text")
    assert (report["mode"], report["emotion"]) == ("text", "sad")
    assert [each["emotion"] for each in report["text"]["sentences"]] == ["happy", "sad", "sad"]
    assert Path(whole).suffix == ".zip"
    asked = client.view_api(return_format="dict")["named_endpoints"]["/text"]["parameters"]
    assert [each["parameter_name"] for each in asked] == ["text", "text_model", "embedding"]


def test_programs_are_told_in_a_sentence_what_is_wrong(client):
    with pytest.raises(AppError, match="There is no text to read"):
        client.predict("", api_name="/text")
