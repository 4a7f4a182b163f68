"""`train-fusion` from a manifest to a choice of fusion: real files, decoder and analyzer, models with known answers."""

import csv
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import soundfile
from threadpoolctl import threadpool_limits
from typer.testing import CliRunner

from emoscope import heads, pairs
from emoscope.analyzer import Analyzer
from emoscope.cli import app
from emoscope.errors import Cancelled, InputError, ModelError, OptionError, StorageError
from emoscope.labels import INDEX, parse_foreign
from emoscope.readers import Readers
from emoscope.results import ModelInfo, Sentence, SpeechResult, TextResult
from emoscope.settings import ROOT, Options, Settings
from emoscope.text.split import clean
from emoscope.timeline import Timeline, frame_count, softmax
from emoscope.transcript import Transcript

EAR = ModelInfo("ear", "Fake", "e" * 64, "fp32", "cpu")
EYE = ModelInfo("eye", "Fake", "f" * 64, "fp32", "cpu")
LABEL = {("low", "down"): "sad", ("low", "up"): "neutral", ("high", "down"): "anger", ("high", "up"): "joy"}
PITCH = {"low": 200, "high": 800}  # Hz


def leaning(label):
    logits = np.zeros(9, np.float32)
    logits[INDEX[label]] = 2
    return logits


@dataclass(frozen=True)
class Ear:
    """Hears how high a tone is, and nothing else: high is happy, low is sad."""

    info: ModelInfo = EAR

    def listen(self, wave, *, features, progress):
        assert not features
        progress("Listening", 0.5)
        crossings = np.abs(np.diff(np.sign(wave.samples))).mean()
        logits = np.tile(leaning("happy" if crossings > 0.1 else "sad"), (frame_count(len(wave.samples)), 1))
        return SpeechResult(Timeline(logits), embedding=np.array([crossings, wave.samples.std(), 1], np.float32))


@dataclass(frozen=True)
class Eye:
    """Reads whether it goes up: up is happy, anything else is angry."""

    info: ModelInfo = EYE
    explained: list = field(default_factory=list)  # for each text, whether its words were to be explained

    def read(self, text, *, explain, progress):
        progress("Reading", 0.5)
        self.explained.append(explain)
        clean(text)
        scores = softmax(leaning("happy" if "up" in text else "angry"))
        says = np.ones(9, np.bool_)
        embedding = np.array(["up" in text, len(text)], np.float32)
        return TextResult(text, scores, {}, (Sentence(0, len(text), scores),), embedding, says)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    """A folder with 40 short recordings, and the rows of a manifest: the label needs the tone and the words."""
    folder = tmp_path_factory.mktemp("tones")
    random, seconds = np.random.default_rng(0), np.arange(1600) / 16_000
    rows = []
    for number in range(40):
        pitch, word = ("low", "high")[number % 2], ("down", "up")[number // 2 % 2]
        name = f"{number}.wav"
        soundfile.write(folder / name, random.uniform(0.1, 0.5) * np.sin(2 * np.pi * PITCH[pitch] * seconds), 16_000)
        text = f"It goes {word}{'.' * int(random.integers(1, 9))}"
        rows.append({"path": name, "text": text, "label": LABEL[pitch, word], "speaker": f"s{number // 4}"})
    return folder, rows


def manifest(folder, rows, name="pairs.csv"):
    with (folder / name).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
    return folder / name


def analyzer(models, ear=None, eye=None):
    settings = Settings(models=models, speech_model="compact", text_model="compact", offline=True)
    ear, eye = ear or Ear(), eye or Eye()
    return Analyzer(settings, load=lambda _folder: ear, readers=Readers(settings, load_text=lambda _folder: eye))


@pytest.fixture(scope="module", params=["early", "gated"])
def trained(request, tones, tmp_path_factory):
    models = tmp_path_factory.mktemp("models")
    folder, rows = tones
    told, eye = [], Eye()
    result = pairs.train(
        manifest(folder, rows), analyzer(models, eye=eye), Options(), kind=request.param, name="mine", models=models,
        progress=lambda what, done: told.append((what, done)),
    )  # fmt: skip
    assert eye.explained == [False] * 40  # a pass for each word is a waste where nobody looks at it
    return models, result, told


def test_a_manifest_becomes_a_head_that_needs_both_sides(trained):
    models, result, _ = trained
    assert result.skipped == []
    assert result.folder == models / "fusion-mine"
    assert result.head.labels == ("angry", "happy", "neutral", "sad")
    figures = json.loads((result.folder / "head.json").read_text("utf-8"))["figures"]
    assert figures == result.head.figures
    held_out = figures["held_out"]
    assert list(held_out) == [
        "head", "speech embedding alone", "text embedding alone", "speech model", "text model", "late fusion",
        "majority",
    ]  # fmt: skip
    assert held_out["head"] == {"accuracy": 1.0, "uar": 1.0, "macro_f1": 1.0}
    assert held_out["speech embedding alone"]["accuracy"] <= 0.75  # half of it is chance
    assert held_out["text embedding alone"]["accuracy"] <= 0.75
    for who in ("speech model", "text model", "late fusion"):  # happy, and one more, of four that are equally frequent
        assert held_out[who]["accuracy"] == 0.5, who
    assert held_out["majority"]["accuracy"] == 0.25
    assert figures["pairs"] == {"train": 24, "dev": 8, "test": 8}
    assert figures["division"] == "other speakers"


def test_the_head_is_a_choice_of_fusion(trained, tones):
    models, result, _ = trained
    folder, rows = tones
    assert heads.names(models) == ("mine",)
    for row in rows[:4]:
        report = analyzer(models).analyze(
            folder / row["path"], Options(fusion="mine"), transcript=Transcript.typed(row["text"])
        )
        assert report.scores.argmax() == parse_foreign(row["label"])
        fused = report.together.fused
        assert fused.method == "mine"
        assert fused.weights == result.head.weights(report.speech.embedding, report.read.text.embedding)


def test_the_head_refuses_other_models(trained, tones):
    models, _, _ = trained
    folder, rows = tones
    other = analyzer(models, ear=Ear(replace(EAR, weights="0" * 64)))
    with pytest.raises(ModelError, match=r"“mine” belongs to ear \(eeeeeeee\) and eye \(ffffffff\), not to ear \(0000"):
        other.analyze(folder / "0.wav", Options(fusion="mine"), transcript=Transcript.typed(rows[0]["text"]))


def test_progress_goes_from_pair_to_pair_to_training(trained):
    _, _, told = trained
    whats = [what for what, _ in told]
    assert any(what.startswith("Pair 1 of 40: ") for what in whats)
    assert any(what.startswith("Pair 40 of 40: ") for what in whats)
    assert whats[-1] == "Comparing"
    assert all(0 <= done <= 1 for _, done in told)


def test_it_can_be_stopped_and_leaves_nothing(tones, tmp_path):
    folder, rows = tones

    def progress(what, _done):
        if what.startswith("Pair 7"):
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        run(manifest(folder, rows), tmp_path, progress=progress)
    assert list(tmp_path.iterdir()) == []


def run(file, models, **how):
    how = {"kind": "early", "name": "mine", **how}
    return pairs.train(file, analyzer(models), Options(), models=models, **how)


def test_rows_that_cannot_be_used_are_named_and_skipped(tones, tmp_path):
    folder, rows = tones
    (folder / "broken.wav").write_text("this is a text file")
    soundfile.write(folder / "silent.wav", np.zeros(16_000), 16_000)
    good = {"text": "It goes up.", "label": "joy", "speaker": "s0"}
    bad = [
        {**good, "path": "missing.wav"},
        {**good, "path": "broken.wav"},
        {**good, "path": "silent.wav"},
        {**good, "path": "1.wav", "text": ""},
        {**good, "path": "2.wav", "text": "\u200b"},
        {**good, "path": "3.wav", "label": ""},
        {**good, "path": ""},
        {**good, "path": "4.wav", "split": "holdout"},
    ]
    result = run(manifest(folder, [*bad, *rows]), tmp_path)
    found = {skipped.row: skipped.sentence for skipped in result.skipped}
    assert set(found) == {"missing.wav", "broken.wav", "silent.wav", "1.wav", "2.wav", "3.wav", "row 7", "4.wav"}
    assert found["silent.wav"] == "It is silent from beginning to end."
    assert found["1.wav"] == "The row has neither a text nor a transcript."
    assert found["3.wav"] == "The row has no label."
    assert found["row 7"] == "The row names no recording."
    assert found["4.wav"] == "The split is train, dev or test, not “holdout”."
    assert "text file" in found["broken.wav"]
    assert sum(result.head.figures["pairs"].values()) == 40


def test_without_one_good_pair_the_first_reason_is_given(tones, tmp_path):
    folder, rows = tones
    nowhere = [{**row, "path": f"nowhere/{row['path']}"} for row in rows]
    with pytest.raises(InputError, match=r"^Not one pair could be used\. The first is nowhere/0\.wav: "):
        run(manifest(folder, nowhere), tmp_path)


def test_a_transcript_may_lie_in_a_file_of_subtitles(tones):
    folder, rows = tones
    (folder / "said.srt").write_text("1\n00:00:00,000 --> 00:00:00,100\nIt goes up.\n", "utf-8")
    file = manifest(folder, [{"path": "0.wav", "transcript": "said.srt", "label": "joy"}, *rows])
    found, skipped = pairs.read(file)
    assert skipped == []
    assert (found[0].transcript.text, found[0].transcript.timed) == ("It goes up.", True)
    assert (found[1].transcript.text, found[1].transcript.timed) == (rows[0]["text"], False)


def test_jsonl_and_other_names_of_columns_are_understood(tmp_path):
    file = tmp_path / "pairs.jsonl"
    row = {"audio": "a.wav", "text": "Hm.", "emotion": "难过", "speaker_id": 7, "Split": "VALID"}
    file.write_text(json.dumps(row), "utf-8")
    ([pair], skipped) = pairs.read(file)
    assert skipped == []
    assert (pair.item.path, pair.label, pair.speaker, pair.split) == ("a.wav", INDEX["sad"], "7", "dev")


def test_unknown_labels_are_all_listed(tones, tmp_path):
    folder, rows = tones
    file = manifest(folder, [{**rows[0], "label": "wistful"}, {**rows[1], "label": "bored stiff"}, *rows])
    with pytest.raises(InputError, match=r"no known emotions: “bored stiff”, “wistful”\. Call them angry, disgusted, "):
        run(file, tmp_path)


@pytest.mark.parametrize("column", ["path", "text", "label"])
def test_a_column_that_is_missing_is_named(tones, tmp_path, column):
    folder, rows = tones
    file = manifest(folder, [{key: value for key, value in row.items() if key != column} for row in rows])
    with pytest.raises(InputError, match=f"needs a column “{column}”"):
        run(file, tmp_path)


def test_what_is_no_manifest_is_refused(tones, tmp_path):
    folder, _ = tones
    with pytest.raises(InputError, match=r"There is no file .*nothing\.csv"):
        run(folder / "nothing.csv", tmp_path)
    with pytest.raises(InputError, match=r"0\.wav is no manifest"):
        run(folder / "0.wav", tmp_path)


def test_too_few_pairs_are_refused_before_a_model_runs(tones, tmp_path):
    folder, rows = tones
    ear = Ear(replace(EAR, name="must not be loaded"))
    answers = analyzer(tmp_path, ear=ear)
    answers._given = None  # whoever loads a model meets the real loader, in a folder without models
    with pytest.raises(InputError, match="12 pairs are too few"):
        pairs.train(
            manifest(folder, rows[:12]), answers, Options(model=str(tmp_path)), kind="early", name="mine",
            models=tmp_path,
        )  # fmt: skip


@pytest.mark.parametrize("name", ["", "Mine", "weighted", "adaptive", "auto", "../up", "a b", "x" * 41, "-x"])
def test_a_name_is_a_folders_and_nothing_elses(name, tmp_path):
    with pytest.raises(OptionError, match="cannot be the name of a trained fusion"):
        pairs.check("early", name, tmp_path)


def test_a_name_that_is_taken_is_refused_at_once(trained):
    models, _, _ = trained
    with pytest.raises(StorageError, match=r"is there already\. Choose another --name, or remove it"):
        pairs.check("gated", "mine", models)
    pairs.check("gated", "another", models)
    with pytest.raises(OptionError, match="is early or gated, not “late”"):
        pairs.check("late", "another", models)


ONE_CORE = {"EMOSCOPE_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # others may be at work


def command(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "emoscope.cli", "train-fusion", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "160", "EMOSCOPE_OFFLINE": "1", **ONE_CORE},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_command_shows_figures_and_what_was_skipped(tones, tmp_path, monkeypatch):
    folder, rows = tones
    file = manifest(folder, [{**rows[0], "path": "missing.wav"}, *rows], "shown.csv")
    monkeypatch.setattr("emoscope.analyzer.Analyzer", lambda _settings: analyzer(tmp_path))
    monkeypatch.setenv("COLUMNS", "160")
    done = CliRunner().invoke(app, ["train-fusion", str(file), "--name", "shown", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.stderr
    assert done.stderr.startswith("emoscope: missing.wav was skipped: ")
    assert done.stdout.splitlines()[-1] == str(tmp_path / "fusion-shown")
    shown = {line.strip()[:24].strip(): re.findall(r"[\d.]+%", line) for line in done.stdout.splitlines()}
    assert shown["shown (early)"] == ["100.0%"] * 3
    assert shown["late fusion"][:2] == ["50.0%", "50.0%"]
    assert shown["majority"] == ["25.0%", "25.0%", "10.0%"]
    assert "Pairs: train 24, dev 8, test 8. Held out: other speakers." in done.stdout
    assert "Labels: angry, happy, neutral, sad. Models: ear (eeeeeeee), eye (ffffffff)." in done.stdout


@pytest.mark.slow  # two real models, in a process of their own
def test_the_command_trains_on_the_shipped_models(tones, tmp_path):
    folder, rows = tones
    file = manifest(folder, [{**rows[0], "path": "missing.wav"}, *rows], "own.csv")
    done = command("own.csv", "--name", "own", "--out", tmp_path, "--model", "compact", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert file.parent == folder
    assert done.stdout.splitlines()[-1] == str(tmp_path / "fusion-own")
    assert done.stderr.startswith("emoscope: missing.wav was skipped: ")
    for words in ("own (early)", "late fusion", "majority", "Accuracy", "UAR", "Macro-F1", "Held out: other speakers."):
        assert words in done.stdout, words
    head = heads.load(tmp_path / "fusion-own")
    assert head.speech.name == "compact-speech"
    assert head.text.weights
    again = command("own.csv", "--name", "own", "--out", tmp_path, cwd=folder)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.startswith(f"emoscope: {tmp_path / 'fusion-own'} is there already.")


@pytest.mark.parametrize("arguments", [(), ("pairs.csv", "--kind", "late"), ("pairs.csv", "--name", "weighted")])
def test_bad_usage_of_the_command(arguments, tones):
    file = manifest(*tones)
    done = CliRunner().invoke(
        app, ["train-fusion", *(str(file) if each == "pairs.csv" else each for each in arguments)]
    )
    assert (done.exit_code, done.stdout) == (2, "")
