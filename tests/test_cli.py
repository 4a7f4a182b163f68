"""The command line, run as a person runs it: a process with arguments, an exit status, stdout and stderr."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from emoscope.settings import ROOT

LABELS = {"angry", "disgusted", "fearful", "happy", "neutral", "other", "sad", "surprised", "unknown"}


def emoscope(*arguments, cwd, **environment):
    own = {"PYTHONPATH": str(ROOT), "COLUMNS": "160", "EMOSCOPE_OUTPUTS": str(cwd / "outputs")}
    return subprocess.run(
        [sys.executable, "-m", "emoscope.cli", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **own, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A folder with two good clips and a bad one."""
    folder = tmp_path_factory.mktemp("clips")
    time_axis = np.arange(3 * 16_000) / 16_000
    for name, pitch in (("low.wav", 110), ("high.wav", 330)):
        syllables = 0.5 + 0.5 * np.sin(2 * np.pi * 4 * time_axis)
        soundfile.write(folder / name, 0.3 * syllables * np.sign(np.sin(2 * np.pi * pitch * time_axis)), 16_000)
    (folder / "bad.wav").write_text("this is a text file")
    return folder


@pytest.fixture(scope="module")
def one(clips, tmp_path_factory):
    """One analysis of one file as JSON, with everything asked for."""
    out = tmp_path_factory.mktemp("out")
    options = ("--granularity", "frame", "--embedding", "--precision", "fp32", "--format", "json", "--out", out)
    return emoscope("analyze", "low.wav", *options, cwd=clips), out


def test_json_of_one_file_is_one_report_and_nothing_else(one):
    run, _ = one
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    report = json.loads(run.stdout)
    assert list(report)[:5] == ["emotion", "confidence", "scores", "granularity", "timestamp"]
    assert set(report["scores"]) == LABELS
    assert sum(report["scores"].values()) == pytest.approx(1.0, abs=1e-6)
    assert report["confidence"] == max(report["scores"].values()) == report["scores"][report["emotion"]]
    assert report["granularity"] == "frame"
    assert np.shape(report["timeline"]["probabilities"]) == (149, 9)
    assert (report["model"]["kind"], report["options"]["precision"]) == ("CompactSpeech", "fp32")


def test_the_run_folder_holds_what_was_asked_for(one):
    run, out = one
    (folder,) = out.iterdir()
    report = json.loads(run.stdout)
    assert report.pop("folder") == str(folder)
    assert json.loads((folder / "result.json").read_text("utf-8")) == report
    assert np.load(folder / "embedding.npy").shape[0] == 149
    assert soundfile.info(folder / "processed_audio.wav").samplerate == 16_000
    assert (folder / "timeline.csv").is_file()


def test_a_bad_file_is_one_line_and_the_others_are_done(clips, tmp_path):
    run = emoscope("analyze", "low.wav", "bad.wav", "high.wav", "--format", "json", "--out", tmp_path, cwd=clips)
    assert run.returncode == 1
    assert run.stderr.startswith("emoscope: bad.wav is a text file. Give a WAV, ")
    assert len(run.stderr.splitlines()) == 1
    low, bad, high = json.loads(run.stdout)
    assert [report["source"]["name"] for report in (low, high)] == ["low.wav", "high.wav"]
    assert bad == {"file": "bad.wav", "error": run.stderr.removeprefix("emoscope: ").strip()}
    assert len(list(tmp_path.iterdir())) == 2


def test_json_of_one_bad_file_is_one_object_with_its_error(clips):
    run = emoscope("analyze", clips / "bad.wav", "--format", "json", cwd=clips)
    assert run.returncode == 1
    assert run.stderr.startswith(f"emoscope: {clips / 'bad.wav'} is a text file.")  # the path, and once
    found = json.loads(run.stdout)
    assert set(found) == {"file", "error"}
    assert found["file"] == str(clips / "bad.wav")


def test_where_results_cannot_go_the_option_is_named(clips):
    run = emoscope("analyze", "low.wav", "--out", clips / "high.wav", cwd=clips)
    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr.endswith("is not a folder, but a file or inside of one. Set --out to a folder.\n")


def test_the_table_shows_every_file_and_names_the_model(clips, tmp_path):
    run = emoscope("analyze", "low.wav", "high.wav", "--out", tmp_path, cwd=clips)
    assert run.returncode == 0, run.stderr
    assert "low.wav" in run.stdout
    assert "high.wav" in run.stdout
    assert "compact" in run.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("analyze",),
        ("analyze", "low.wav", "--granularity", "word"),
        ("analyze", "low.wav", "--smooth", "99"),
        ("analyze", "low.wav", "--unheard-of"),
        ("analyze", "low.wav", "--precision", "fp8"),
        ("batch", "low.wav", "--precision", "fp8"),
        ("unheard-of",),
    ],
)
def test_bad_usage_is_status_2_and_prints_nothing_on_stdout(clips, arguments):
    run = emoscope(*arguments, cwd=clips)
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr


def test_a_meaningless_setting_is_status_2_and_one_sentence(clips):
    run = emoscope("analyze", "low.wav", cwd=clips, EMOSCOPE_THREADS="many")
    assert run.returncode == 2
    assert run.stderr.strip() == "emoscope: EMOSCOPE_THREADS is a number such as 0, not “many”."


@pytest.mark.parametrize("command", ["analyze", "batch"])
def test_what_the_machine_cannot_do_is_status_2_and_said_once(clips, tmp_path, command):
    arguments = ("low.wav", "high.wav", "--precision", "fp16", "--out", tmp_path / "out.csv")
    run = emoscope(command, *arguments, cwd=clips, EMOSCOPE_DEVICE="cpu")
    assert (run.returncode, run.stdout) == (2, "")
    (line,) = run.stderr.splitlines()
    assert "fp16 is for GPUs" in line


def test_an_unknown_model_fails_with_its_sentence(clips, tmp_path):
    run = emoscope("analyze", "low.wav", "--model", tmp_path / "none", "--out", tmp_path, cwd=clips)
    assert run.returncode == 1
    assert "no whole speech model" in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_help_does_not_wait_for_anything_heavy(clips):
    start = time.perf_counter()
    run = emoscope("--help", cwd=clips)
    assert run.returncode == 0
    assert "analyze" in run.stdout
    assert "“./run.sh” alone opens the studio, “./run.sh test” runs the tests." in run.stdout
    assert time.perf_counter() - start < 10  # a hang, not a speed: speeds are in benchmarks/


def test_models_are_listed_with_their_licence_and_authors(clips, tmp_path):
    run = emoscope("models", "list", cwd=clips, EMOSCOPE_MODELS=str(tmp_path), COLUMNS="80")
    assert run.returncode == 0
    words = " ".join(run.stdout.split())
    for word in ("compact", "base", "seed", "FunASR Model License 1.1", "Ziyang Ma", "iic/emotion2vec_plus_base"):
        assert word in words
    rows = [line.split() for line in run.stdout.splitlines()]
    assert ["large", "Emotion2Vec+", "Large", "absent", "0.0"] in rows  # one line for each, also in a narrow window
    assert all(len(line) <= 80 for line in run.stdout.splitlines()[:-1])  # the last one is a path, to be copied


def test_the_path_of_a_model_is_printed_alone(clips):
    run = emoscope("models", "path", "compact", cwd=clips)
    assert run.stdout.strip() == str(ROOT / "models" / "compact-speech")


@pytest.mark.parametrize("command", ["path", "verify", "download", "remove", "certify"])
def test_a_model_that_is_not_there_is_one_sentence(clips, tmp_path, command):
    run = emoscope("models", command, "large", cwd=clips, EMOSCOPE_MODELS=str(tmp_path), EMOSCOPE_OFFLINE="1")
    assert run.returncode == 1
    assert run.stdout == ""
    assert len(run.stderr.splitlines()) == 1
    assert run.stderr.startswith("emoscope: ")


def test_a_model_that_funasr_does_not_know_is_not_certified(clips):
    run = emoscope("models", "certify", "compact", cwd=clips)
    assert run.returncode == 1
    assert run.stdout == ""
    assert "no model.pt in" in run.stderr
