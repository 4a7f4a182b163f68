"""`text`, and `analyze` with words: what is printed, what is left, and how it ends; in this process, with fakes."""

import csv
import io
import json
import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import soundfile

from emoscope import analyzer
from emoscope.cli import app
from emoscope.cli.lines import TOGETHER
from emoscope.labels import LABELS
from emoscope.readers import Readers
from emoscope.settings import ROOT
from emoscope.text.split import LONGEST
from tests.fakes import HalfAndHalf, Keywords, Scribe

MIXED = "I am joyful. You are awful. I am lonely. It rains."
SRT = "1\n00:00:00,000 --> 00:00:01,000\nI am joyful.\n\n2\n00:00:01,000 --> 00:00:02,000\nI am lonely.\n"


class Terminal:
    """A terminal in an empty folder: `terminal("text", "Hello.")` runs a command and returns its exit status."""

    def __init__(self, monkeypatch, capfd, folder):
        self.monkeypatch, self.capfd, self.folder = monkeypatch, capfd, folder
        self.reader, self.scribe = Keywords(), Scribe()
        monkeypatch.chdir(folder)
        monkeypatch.setenv("EMOSCOPE_OUTPUTS", str(folder / "outputs"))
        monkeypatch.setenv("COLUMNS", "160")
        monkeypatch.setattr(analyzer, "Analyzer", partial(self.analyzer, analyzer.Analyzer))

    def analyzer(self, kind, settings):
        readers = Readers(settings, load_text=lambda _folder: self.reader, load_recogniser=lambda: self.scribe)
        return kind(settings, load=lambda _folder: HalfAndHalf(), readers=readers)

    def __call__(self, *arguments, stdin=b"", terminal=False):
        raw = io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin)), "utf-8")
        raw.isatty = lambda: terminal
        self.monkeypatch.setattr(sys, "stdin", raw)
        with pytest.raises(SystemExit) as end:
            app(list(map(str, arguments)), prog_name="emoscope")
        self.out, self.err = self.capfd.readouterr()
        return end.value.code

    @property
    def runs(self):
        """The folders of results."""
        return sorted((self.folder / "outputs").glob("outputs_*"))


@pytest.fixture
def terminal(monkeypatch, capfd, tmp_path):
    return Terminal(monkeypatch, capfd, tmp_path)


@pytest.fixture
def clip(tmp_path):
    """Write two seconds of a tone."""

    def write(name="clip.wav"):
        soundfile.write(tmp_path / name, 0.3 * np.sin(np.arange(2 * 16_000) / 12), 16_000)
        return name

    return write


# ---- one text


def test_the_table_shows_the_verdict_the_sentences_and_their_words(terminal):
    assert terminal("text", MIXED) == 0
    lines = terminal.out.splitlines()
    assert lines[0].startswith("😠 angry 23%, close call; then happy 23%")
    rows = [line.split("  ") for line in lines if "." in line and "%" in line][:4]
    assert [[cell.strip() for cell in row if cell.strip()] for row in rows] == [
        ["I am joyful.", "😊 happy 89%", "joyful +75"], ["You are awful.", "😠 angry 89%", "awful +75"],
        ["I am lonely.", "😢 sad 89%", "lonely +75"], ["It rains.", "😐 neutral 89%"],
    ]  # fmt: skip
    assert f"Results: {terminal.runs[0]}" in terminal.out
    assert "Model: keywords." in terminal.out
    assert terminal.err == ""


def test_json_is_the_report_and_nothing_else(terminal):
    assert terminal("text", MIXED, "--format", "json", "--embedding") == 0
    found = json.loads(terminal.out)
    (folder,) = terminal.runs
    assert found.pop("folder") == str(folder)
    assert found == json.loads((folder / "result.json").read_text("utf-8"))
    assert (found["mode"], found["text"]["text"]) == ("text", MIXED)
    assert {file.name for file in folder.iterdir()} == {
        "result.json", "sentences.csv", "text_embedding.npy", f"{folder.name}.zip",
    }  # fmt: skip
    assert terminal.err == ""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le with mark", "utf-16-be with mark"])
@pytest.mark.parametrize("source", ["file", "stdin"])
def test_files_and_standard_input_in_their_encodings(terminal, encoding, source):
    said = "I am joyful. 我很高兴 😊\r\nYou are awful.\n"
    name, _, mark = encoding.partition(" with ")
    data = (("\ufeff" if mark else "") + said).encode(name)
    (terminal.folder / "said.txt").write_bytes(data)
    given = ["--file", "said.txt"] if source == "file" else []
    assert terminal("text", *given, "--format", "json", stdin=data) == 0, terminal.err
    assert json.loads(terminal.out)["text"]["text"] == "I am joyful. 我很高兴 😊\nYou are awful."
    assert terminal.err == ""


@pytest.mark.parametrize(
    "data", ["Ärger".encode("latin-1"), "我很高兴".encode("gb18030"), "Hello.".encode("utf-16-le"), b"\x7fELF\0\0"]
)
def test_other_encodings_are_refused_in_a_sentence(terminal, data):
    (terminal.folder / "said.txt").write_bytes(data)
    for arguments in (["--file", "said.txt"], ["--file", "said.txt", "--each-line", "--format", "json"]):
        assert terminal("text", *arguments) == 1
        assert terminal.out == ""
        (line,) = terminal.err.splitlines()
        assert line.startswith("emoscope: said.txt is no text in UTF-8, nor in UTF-16 with a byte order mark.")
    assert terminal.runs == []


def test_subtitles_keep_their_times(terminal):
    (terminal.folder / "said.srt").write_text(SRT)
    assert terminal("text", "--file", "said.srt") == 0, terminal.err
    assert "0:01.0–0:02.0   I am lonely." in terminal.out
    assert (terminal.runs[0] / "transcript.vtt").is_file()
    assert terminal("text", "--file", "said.srt", "--each-line", "--format", "csv") == 0, terminal.err
    assert [row["text"] for row in csv.DictReader(io.StringIO(terminal.out))] == ["I am joyful.", "I am lonely."]


def test_a_person_at_a_terminal_is_told_how_to_end(terminal):
    assert terminal("text", stdin=b"I am joyful.\n", terminal=True) == 0
    assert "Ctrl-D" in terminal.err
    assert "happy" in terminal.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["text", ""], "There is no text to read."),
        (["text", "a" * (LONGEST + 1)], "the limit is 200,000."),
        (["text", "--file", "none.txt"], "none.txt cannot be read: No such file or directory."),
        (["text", "--file", "."], ". cannot be read: Is a directory."),
        (["text"], "There is no text to read."),
        (["text", "Hello.", "--text-model", "none"], "There is no whole text model in none"),
        (["text", "Hello.", "--out", "taken"], "Set --out to a folder."),
    ],
)
def test_what_cannot_be_read_is_status_1_and_one_sentence(terminal, arguments, sentence):
    (terminal.folder / "taken").write_text("mine")
    assert terminal(*arguments) == 1
    assert terminal.out == ""
    (line,) = terminal.err.splitlines()
    assert line.startswith("emoscope: ")
    assert sentence in line
    assert terminal.runs == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["text", "Hello.", "--file", "a.txt"], "Give a text or --file, not both."),
        (["text", "Hello.", "--format", "csv"], "csv goes with --each-line"),
        (["text", "Hello.", "--each-line", "--out", "there"], "--each-line writes no folder"),
        (["text", "Hello.", "--each-line", "--embedding"], "--each-line writes no folder"),
        (["analyze", "a.wav", "b.wav", "--text", "Hello."], "--text is what is said in one FILE."),
        (["analyze", "a.wav", "b.wav", "--transcript", "a.srt"], "--transcript is a folder"),
        (["analyze", "a.wav", "--text", "Hello.", "--transcript", "a.srt"], "Give --text alone"),
        (["analyze", "a.wav", "--text", "Hello.", "--transcribe"], "Give --text alone"),
        (["analyze", "a.wav", "b.wav", "--fusion", "mean"], "Fusion is weighted, product, maximum, adaptive, not"),
        (["analyze", "a.wav", "--text-weight", "2"], "The weight of the text goes from 0 to 1"),
        (["analyze", "a.wav", "--text-weight", "nan"], "The weight of the text goes from 0 to 1"),
    ],
)
def test_bad_usage_is_status_2_and_said_once(terminal, arguments, sentence):
    assert terminal(*arguments) == 2
    assert terminal.out == ""
    (line,) = terminal.err.splitlines()
    assert sentence in line
    assert terminal.runs == []


# ---- every line a text


LINES = "I am joyful.\n\n  \n=You are awful.\n\u200b\nI am lonely. I am lonely.\n"


def test_every_line_is_a_row_of_csv(terminal):
    assert terminal("text", "--each-line", "--format", "csv", stdin=LINES.encode()) == 1
    rows = list(csv.DictReader(io.StringIO(terminal.out), strict=True))
    assert list(rows[0]) == ["line", "text", "emotion", "confidence", *LABELS, "error"]
    assert [(row["line"], row["text"], row["emotion"]) for row in rows] == [
        ("1", "I am joyful.", "happy"), ("4", "'=You are awful.", "angry"), ("5", "\u200b", ""),
        ("6", "I am lonely. I am lonely.", "sad"),
    ]  # fmt: skip
    assert [float(rows[0][label]) for label in LABELS].index(float(rows[0]["confidence"])) == LABELS.index("happy")
    assert rows[2]["error"].startswith("There is no text to read.")
    assert terminal.err.startswith("emoscope: line 5: There is no text to read.")
    assert terminal.runs == []


def test_every_line_is_a_line_of_json(terminal):
    assert terminal("text", "--each-line", "--format", "json", stdin=LINES.encode()) == 1
    first, second, failed, last = map(json.loads, terminal.out.splitlines())
    assert [each["line"] for each in (first, second, failed, last)] == [1, 4, 5, 6]
    assert (first["mode"], first["emotion"], second["emotion"]) == ("text", "happy", "angry")
    assert set(failed) == {"line", "text", "error"}
    assert len(last["text"]["sentences"]) == 2


def test_every_line_is_a_row_of_the_table(terminal):
    assert terminal("text", "I am joyful.\nYou are [b]awful.", "--each-line") == 0
    rows = [" ".join(line.split()) for line in terminal.out.splitlines()]
    assert any(row.startswith("1 I am joyful. 😊 happy 89%, clear") for row in rows)
    assert any(row.startswith("2 You are [b]awful. 😠 angry 89%, clear") for row in rows)
    assert any(row.startswith("Model: keywords. This is the compact demonstration model") for row in rows)


def test_lines_are_read_in_batches(terminal):
    lines = [f"Number {number}." for number in range(TOGETHER + 3)]
    assert terminal("text", "--each-line", "--format", "csv", stdin="\n".join(lines).encode()) == 0
    assert terminal.reader.read_texts == [lines[:TOGETHER], lines[TOGETHER:]]
    assert len(terminal.out.splitlines()) == len(lines) + 1


def test_no_lines_at_all(terminal):
    assert terminal("text", "--each-line", "--format", "json") == 0
    assert (terminal.out, terminal.err) == ("", "")


# ---- recordings and their words


def test_voice_and_words_stand_beside_each_other(terminal, clip):
    assert terminal("analyze", clip(), "--text", "I am lonely.") == 0, terminal.err
    (header,) = (line.split() for line in terminal.out.splitlines() if line.lstrip().startswith("File"))
    assert header == ["File", "Seconds", "Voice", "Words", "Together", "Confidence"]
    (row,) = (line for line in terminal.out.splitlines() if line.lstrip().startswith("clip.wav  "))
    assert row.split()[:8] == ["clip.wav", "2.00", "😢", "sad", "35%", "😢", "sad", "89%"]
    assert "Model: half-and-half." in terminal.out
    assert "Model: keywords." in terminal.out


def test_without_words_the_table_has_no_column_for_them(terminal, clip):
    assert terminal("analyze", clip()) == 0
    (header,) = (line.split() for line in terminal.out.splitlines() if line.lstrip().startswith("File"))
    assert header == ["File", "Seconds", "Emotion", "Confidence", "Runner-up"]


def test_subtitles_show_where_words_and_voice_disagree(terminal, clip):
    (terminal.folder / "clip.srt").write_text(SRT)
    assert terminal("analyze", clip(), "--transcript", "clip.srt") == 0, terminal.err
    assert "clip.wav, 0:00.0–0:01.0: says happy, sounds angry: “I am joyful.”" in terminal.out
    assert "I am lonely." not in terminal.out
    (folder,) = terminal.runs
    assert {"sentences.csv", "transcript.vtt", "processed_audio.wav"} <= {file.name for file in folder.iterdir()}


def test_json_of_both_follows_the_options(terminal, clip):
    chosen = ("--fusion", "product", "--text-weight", "0.25", "--format", "json")
    assert terminal("analyze", clip(), "--text", "I am lonely.", *chosen) == 0
    found = json.loads(terminal.out)
    assert (found["mode"], found["fusion"]["method"]) == ("multimodal", "product")
    assert found["fusion"]["weights"] == {"speech": 0.75, "text": 0.25}
    assert (found["options"]["fusion"], found["options"]["text_weight"]) == ("product", 0.25)


def test_a_folder_of_transcripts_serves_several_recordings(terminal, clip):
    (terminal.folder / "said").mkdir()
    (terminal.folder / "said" / "one.srt").write_text(SRT)
    (terminal.folder / "said" / "two.txt").write_text("I am joyful.")
    files = [clip(f"{name}.wav") for name in ("one", "two", "three")]
    assert terminal("analyze", *files, "--transcript", "said", "--format", "json") == 1
    one, two, three = json.loads(terminal.out)
    assert (len(one["fusion"]["passages"]), two["text"]["text"]) == (2, "I am joyful.")
    assert three == {"file": "three.wav", "error": terminal.err.removeprefix("emoscope: ").strip()}
    assert "three.srt, .vtt or .txt is not in said" in three["error"]
    assert terminal("analyze", *files, "--transcript", "said", "--transcribe", "--format", "json") == 0
    assert [each["text"]["transcript"]["origin"] for each in json.loads(terminal.out)] == ["file", "file", "scribe"]


def test_what_is_said_is_written_down_when_asked(terminal, clip):
    assert terminal("analyze", clip(), "--transcribe", "--format", "json") == 0
    found = json.loads(terminal.out)
    assert found["text"]["text"] == "I am joyful.\nI am lonely."
    assert len(terminal.scribe.heard) == 1


def test_a_recording_that_cannot_be_heard_leaves_its_words(terminal):
    (terminal.folder / "bad.wav").write_text("this is a text file")
    assert terminal("analyze", "bad.wav", "--text", "I am lonely.") == 0
    (row,) = (line for line in terminal.out.splitlines() if line.split()[:1] == ["bad.wav"])
    assert row.split() == ["bad.wav", "😢", "sad", "89%", "😢", "sad", "89%,", "clear"]
    words = " ".join(terminal.out.split())
    assert "bad.wav: The verdict is that of the words alone, because the recording could not be heard:" in words


def test_a_transcript_that_cannot_be_read_fails_that_file(terminal, clip):
    assert terminal("analyze", clip(), "--transcript", "none.srt") == 1
    assert "none.srt" in terminal.err
    assert terminal.runs == []


# ---- as a process


def emoscope(*arguments, cwd, stdin=b""):
    return subprocess.run(
        [sys.executable, "-m", "emoscope.cli", *arguments], cwd=cwd, input=stdin, capture_output=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT), "EMOSCOPE_THREADS": "1", "EMOSCOPE_OUTPUTS": str(cwd / "outputs")},
    )  # fmt: skip


def test_half_a_letter_in_a_name_is_an_escape_in_json(tmp_path):
    run = emoscope("analyze", "half \udce4.wav", "--format", "json", cwd=tmp_path)
    assert run.returncode == 1
    assert json.loads(run.stdout)["file"] == "half \udce4.wav"


@pytest.mark.slow  # torch and transformers take seconds to import
def test_a_pipe_of_bytes_into_the_model_that_ships(tmp_path):
    run = emoscope("text", "--each-line", "--format", "json", cwd=tmp_path, stdin="I am happy.\n我很难过。\n".encode())
    assert run.returncode == 0, run.stderr
    first, second = map(json.loads, run.stdout.splitlines())
    assert first["text"]["model"]["name"] == "compact-text"
    assert sum(first["scores"].values()) == pytest.approx(1.0)
    assert second["text"]["text"] == "我很难过。"
    assert list(tmp_path.iterdir()) == []
