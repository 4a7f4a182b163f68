"""What the Compare and Batch tabs do, as plain functions, with a model whose answers are known."""

import csv
import io
import json
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import ZipFile

import gradio as gr
import numpy as np
import pytest
import soundfile

from emoscope import batch as batches_of_files
from emoscope.analyzer import Analyzer
from emoscope.compare import Difference
from emoscope.history import Keeper
from emoscope.labels import LABELS
from emoscope.studio import batches, difference
from emoscope.studio.desk import Desk
from emoscope.studio.handlers import Visit
from emoscope.studio.tabs import batch, compare
from tests.browser.studio import settings_for, wait_for
from tests.fakes import HalfAndHalf

RATE = 16_000
HELD = 2 * RATE  # samples; what is at least as long waits at the gate


@dataclass(frozen=True)
class Held(HalfAndHalf):
    """Hears what is long only while its gate is open."""

    gate: threading.Event = field(default_factory=threading.Event)

    def listen(self, wave, *, features=False, progress):
        while len(wave.samples) >= HELD and not self.gate.wait(0.02):
            progress("Listening", 0.5)
        return super().listen(wave, features=features, progress=progress)


def tone(seconds):
    return (0.3 * np.sin(2 * np.pi * 220 * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    soundfile.write(folder / "one.wav", tone(1.0), RATE)
    soundfile.write(folder / "four.wav", tone(4.0), RATE)
    soundfile.write(folder / "late.wav", np.concatenate([np.zeros(3 * RATE), tone(4.0)]), RATE)
    soundfile.write(folder / "=1+1.wav", tone(1.5), RATE)
    (folder / "text.wav").write_text("this is no sound")
    return folder


@pytest.fixture
def gate():
    opened = threading.Event()
    opened.set()
    return opened


@pytest.fixture
def desk(tmp_path, monkeypatch, gate):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "shelf"))
    settings = settings_for(tmp_path)
    analyzer = Analyzer(settings, load=lambda _folder: Held(gate=gate))
    return Desk(analyzer, settings, live=None, keeper=Keeper(settings))  # neither tab listens live


def content(reference):
    return Path(reference["path"]).read_bytes()


# ---- Compare


def sides(*files):
    return [{"source": "upload", "upload": file and str(file), "recording": None} for file in files]


def compared(desk, *files, language="en"):
    *news, found = compare.hear(desk, sides(*files), Visit(), language)
    assert all(0 <= now["done"] <= 1 for now in news)
    return found


def test_two_recordings_become_two_verdicts_two_timelines_and_a_difference(desk, sounds):
    """The halves make the scores equal; 3 s of silence take 3 of its 3.5 angry seconds from the second recording."""
    found = compared(desk, sounds / "four.wav", sounds / "late.wav")
    assert [verdict["file"] for verdict in found.verdicts] == ["A · four.wav", "B · late.wav"]
    assert [timeline["seconds"] for timeline in found.timelines] == [4.0, 7.0]
    scores, shares = found.difference["scores"], found.difference["shares"]
    assert scores["sentence"] == "A and B differ by less than a point in every emotion."
    assert scores["distance"] == pytest.approx(0, abs=0.01)
    assert scores["meaning"] == "practically the same"
    assert re.fullmatch(r"B is 3[78] points sadder; A is 3[78] points angrier\.", shares["sentence"])
    assert (shares["rows"][0]["name"], shares["rows"][-1]["name"]) == ("sad", "angry")
    assert shares["rows"][0]["points"] == pytest.approx(37.5, abs=1.5)
    assert shares["meaning"] == "clearly different"
    assert len(list(desk.settings.outputs.glob("outputs_*"))) == 2


def test_the_comparison_is_a_table_without_formulas(desk, sounds):
    found = compared(desk, sounds / "=1+1.wav", sounds / "late.wav")
    rows = list(csv.DictReader(io.StringIO(content(found.difference["csv"]).decode())))
    assert list(rows[0]) == list(difference.COLUMNS)
    assert [(row["measure"], row["emotion"]) for row in rows] == [
        (measure, label) for measure in ("scores", "shares") for label in LABELS
    ]
    assert {row["file_a"] for row in rows} == {"'=1+1.wav"}
    sad = next(row for row in rows if (row["measure"], row["emotion"]) == ("shares", "sad"))
    assert float(sad["points"]) == pytest.approx(100 * (float(sad["b"]) - float(sad["a"])))
    assert float(sad["b"]) == pytest.approx(0.875, abs=0.02)


@pytest.mark.parametrize(("language", "words"), [("en", "Recording B is missing"), ("zh", "还缺少录音 B")])
def test_a_missing_recording_is_named(desk, sounds, language, words):
    with pytest.raises(gr.Error, match=words):
        compared(desk, sounds / "four.wav", None, language=language)


def test_a_comparison_that_is_stopped_says_nothing_more(desk, sounds, gate):
    gate.clear()
    visit = Visit()
    news = compare.hear(desk, sides(sounds / "four.wav", sounds / "late.wav"), visit, "en")
    assert next(news)["what"].startswith("A: ")
    visit.move_on()
    assert not any(isinstance(now, compare.Compared) for now in news)
    assert not list(desk.settings.outputs.glob("outputs_*"))


def spread(**parts):
    return {**dict.fromkeys(LABELS, 0.0), **parts}


@pytest.mark.parametrize(
    ("first", "second", "english", "chinese"),
    [
        (
            spread(angry=0.5, sad=0.5),
            spread(angry=0.27, sad=0.72, happy=0.01),
            "B is 22 points sadder; A is 23 points angrier.",
            "B 的“难过”比 A 高 22 个百分点，A 的“生气”比 B 高 23 个百分点。",
        ),
        (
            spread(angry=0.5, sad=0.5),
            spread(angry=0.51, sad=0.49),
            "B is 1 point angrier; A is 1 point sadder.",
            "B 的“生气”比 A 高 1 个百分点，A 的“难过”比 B 高 1 个百分点。",
        ),
        (
            spread(**dict.fromkeys(LABELS[:8], 0.125)),
            spread(**dict.fromkeys(LABELS[:8], 0.125 - 0.002), unknown=0.016),
            "B is 2 points more “unknown”.",
            "B 的“未知”比 A 高 2 个百分点。",
        ),
        (
            spread(**dict.fromkeys(LABELS[:8], 0.123), unknown=0.016),
            spread(**dict.fromkeys(LABELS[:8], 0.125)),
            "A is 2 points more “unknown”.",
            "A 的“未知”比 B 高 2 个百分点。",
        ),
    ],
)
def test_the_main_difference_is_a_sentence(first, second, english, chinese):
    found = Difference(first, second)
    assert difference.sentence(found, "en") == english
    assert difference.sentence(found, "zh") == chinese


# ---- Batch


def heard(desk, files, shift=None, language="en"):
    """Everything that a page is shown of a batch, and whose it is."""
    shift = shift or batch.Shift()
    return list(batch.hear(desk, [str(file) for file in files], shift, language)), shift


def test_a_batch_is_a_row_for_every_file_and_a_bad_one_has_its_sentence(desk, sounds):
    told, _ = heard(desk, [sounds / "one.wav", sounds / "text.wav", sounds / "late.wav"])
    assert [row["state"] for row in told[-1].table["rows"]] == ["done", "failed", "done"]
    good, bad, _late = told[-1].table["rows"]
    assert (good["file"], good["emotion"], good["length"]) == ("one.wav", "sad", "1 s")
    assert good["scores"][LABELS.index("sad")] == pytest.approx(1000 * good["confidence"], abs=0.5)
    assert "text.wav is" in bad["note"]
    assert told[-1].table["summary"] == "2 heard · 1 not heard · 8 s of sound · by half-and-half"
    assert told[-1].progress is None


def test_rows_come_one_after_the_other(desk, sounds, gate, monkeypatch):
    monkeypatch.setattr(batches, "TOGETHER", 1)
    gate.clear()
    shift = batch.Shift()
    news = batch.hear(desk, [str(sounds / "one.wav"), str(sounds / "four.wav")], shift, "en")
    standing = next(now for now in news if now.table["rows"][0]["state"] == "done")
    assert standing.table["rows"][1]["state"] in ("waiting", "listening")
    assert standing.progress["what"] == "1 of 2 heard"
    assert 0 < standing.progress["done"] < 1
    gate.set()
    *_, last = news
    assert [row["state"] for row in last.table["rows"]] == ["done", "done"]


def test_the_table_is_what_the_command_line_writes(desk, sounds, tmp_path):
    files = [sounds / "one.wav", sounds / "text.wav", sounds / "=1+1.wav"]
    told, _ = heard(desk, files)
    items = batches_of_files.find(map(str, files))
    out = batches_of_files.run(
        items, batches_of_files.Job(tmp_path / "rows.csv", workers=1), desk.settings, analyzer=desk.analyzer
    ).out
    page, line = (
        list(csv.DictReader(io.StringIO(text)))
        for text in (content(told[-1].table["csv"]).decode(), out.read_text("utf-8"))
    )
    assert [row["path"] for row in page] == ["one.wav", "text.wav", "'=1+1.wav"]
    for ours, theirs in zip(page, line, strict=True):
        assert list(ours) == list(batches_of_files.COLUMNS)
        assert ours | {"path": "", "seconds": ""} == theirs | {"path": "", "seconds": ""}


def test_the_zip_holds_the_table_and_every_report(desk, sounds):
    told, _ = heard(desk, [sounds / "one.wav", sounds / "text.wav", sounds / "four.wav"])
    [folder] = desk.settings.outputs.glob("batch_*")
    assert {file.name for file in folder.iterdir()} == {"batch.csv", f"{folder.name}.zip"}
    with ZipFile(io.BytesIO(content(told[-1].table["zip"]))) as pack:
        assert pack.testzip() is None
        assert set(pack.namelist()) == {
            "batch.csv", "001 one/result.json", "001 one/timeline.csv", "003 four/result.json", "003 four/timeline.csv",
        }  # fmt: skip
        assert pack.read("batch.csv") == content(told[-1].table["csv"])
        assert json.loads(pack.read("003 four/result.json"))["source"]["name"] == "four.wav"
        assert len(pack.read("003 four/timeline.csv").splitlines()) == 1 + 199


def test_a_stop_keeps_what_is_done(desk, sounds, gate, monkeypatch):
    monkeypatch.setattr(batches, "TOGETHER", 1)
    gate.clear()
    shift = batch.Shift()
    files = [sounds / "one.wav", sounds / "four.wav", sounds / "=1+1.wav"]
    news = batch.hear(desk, [str(file) for file in files], shift, "en")
    next(now for now in news if now.table["rows"][0]["state"] == "done")
    shift.move_on()
    *_, last = news
    assert [row["state"] for row in last.table["rows"]] == ["done", "left", "left"]
    assert last.table["summary"] == "1 heard · 2 left out, because it was stopped · 1 s of sound · by half-and-half"
    rows = list(csv.DictReader(io.StringIO(content(last.table["csv"]).decode())))
    assert [row["path"] for row in rows] == ["one.wav"]


def test_a_batch_whose_page_is_closed_ends_and_keeps_what_is_done(desk, sounds, gate, monkeypatch):
    monkeypatch.setattr(batches, "TOGETHER", 1)
    gate.clear()
    news = batch.hear(desk, [str(sounds / "one.wav"), str(sounds / "four.wav")], batch.Shift(), "en")
    next(now for now in news if now.table["rows"][0]["state"] == "done")
    news.close()
    wait_for(lambda: list(desk.settings.outputs.glob("batch_*")))
    assert not list(desk.settings.outputs.glob(".batch_*"))


def test_a_stop_before_the_first_row_leaves_nothing(desk, sounds, gate):
    gate.clear()
    shift = batch.Shift()
    news = batch.hear(desk, [str(sounds / "four.wav")], shift, "en")
    next(news)
    shift.move_on()
    *_, last = news
    assert (last.table["csv"], last.table["zip"]) == (None, None)
    assert not list(desk.settings.outputs.iterdir())


def test_a_batch_that_was_stopped_while_it_waited_for_others_does_not_begin(desk, sounds):
    shift = batch.Shift()
    shift.move_on()  # it was asked for in the turn before
    assert heard(desk, [sounds / "one.wav"], shift)[0] == []
    assert shift.batch is None


def test_a_row_opens_as_its_whole_report(desk, sounds):
    _, shift = heard(desk, [sounds / "one.wav", sounds / "late.wav"])
    verdict, timeline = batch.open_report(shift.batch, 1, "en")
    assert verdict["file"] == "late.wav"
    assert timeline["seconds"] == 7.0
    assert soundfile.info(timeline["audio"]["path"]).frames == 7 * RATE
    assert shift.batch.report(1).recording.wave.seconds == 7.0


@pytest.mark.parametrize("index", [-1, 1, 2, "0", None, [0]])
def test_only_a_row_that_was_heard_opens(desk, sounds, index):
    _, shift = heard(desk, [sounds / "one.wav", sounds / "text.wav"])
    with pytest.raises(gr.Error, match="no longer here"):
        batch.open_report(shift.batch, index, "en")


def test_who_has_no_batch_opens_nothing():
    with pytest.raises(gr.Error, match="已不在这里"):
        batch.open_report(None, 0, "zh")


def test_no_files_and_too_many_files_are_sentences(desk, sounds):
    with pytest.raises(gr.Error, match="no recordings yet"):
        heard(desk, [])
    with pytest.raises(gr.Error, match="201 files, and the page takes 200"):
        heard(desk, [sounds / "one.wav"] * 201)


def test_a_note_and_an_error_are_in_the_language_of_the_page(desk, sounds):
    told, _ = heard(desk, [sounds / "text.wav"], language="zh")
    [row] = told[-1].table["rows"]
    assert "text.wav" in row["note"]
    assert "is" not in row["note"].split()
    assert told[-1].table["summary"] == "已分析 0 个 · 未能分析 1 个"
