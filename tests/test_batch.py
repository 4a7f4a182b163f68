"""Many files: what is found, that rows are what one analysis says, and that no kill loses or doubles one."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas
import pytest
import soundfile

from emoscope import batch, cells
from emoscope.analyzer import Analyzer
from emoscope.batch import Job, Keep, decoder
from emoscope.batch.inputs import Item
from emoscope.errors import Cancelled, InputError, ModelError, OptionError, StorageError
from emoscope.labels import LABELS
from emoscope.settings import ROOT, Options, Settings
from tests.fakes import HalfAndHalf

RATE = 16_000


class Many(HalfAndHalf):
    """The model with known answers, for several clips at once."""

    def listen_many(self, waves):
        return [self.listen(wave, progress=lambda _what, _done: None) for wave in waves]


def sound(seconds, pitch=200.0):
    time_axis = np.arange(round(seconds * RATE)) / RATE
    syllables = 0.5 + 0.5 * np.sin(2 * np.pi * 4 * time_axis)
    return (0.3 * syllables * np.sign(np.sin(2 * np.pi * pitch * time_axis))).astype(np.float32)


def write_clips(folder, count, start=0):
    """Clips whose lengths all differ, so that a length names a clip."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(start, start + count):
        soundfile.write(folder / f"clip{number:03d}.wav", sound(0.2 + number / 500), RATE)
    return folder


@pytest.fixture
def clips(tmp_path):
    """Five good clips, and a text in the middle of them."""
    folder = write_clips(tmp_path / "clips", 5)
    (folder / "clip002b.wav").write_text("no sound")
    return folder


@pytest.fixture
def hear(tmp_path):
    """Run a batch with the fake model and return its rows, and what the model was given."""

    def run(inputs, name="rows.parquet", *, settings=None, tell=batch.quiet, **chosen):
        model = Many()
        out = tmp_path / "out" / name
        job = Job(out, **{"workers": 1, "together": 2, **chosen})
        analyzer = Analyzer(settings or Settings(), load=lambda _folder: model)
        items = batch.find([str(each) for each in inputs])
        batch.run(items, job, settings or Settings(), tell=tell, analyzer=analyzer)
        return READERS[out.suffix](out), model.heard

    return run


READERS = {
    ".parquet": pandas.read_parquet,
    ".csv": lambda file: pandas.read_csv(file, keep_default_na=False),
    ".jsonl": lambda file: pandas.read_json(file, lines=True),
}


def names(rows):
    return [Path(path).name for path in rows["path"]]


# What is found.


def test_files_folders_and_patterns_are_found_once_and_in_order(clips):
    (clips / "notes.txt").write_text("not a recording")
    (clips / ".hidden.wav").write_bytes(b"")
    (clips / "inner").mkdir()
    soundfile.write(clips / "inner" / "deep.flac", sound(0.3), RATE)
    found = [Path(item.path).name for item in batch.find([str(clips / "clip004.wav"), str(clips)])]
    assert found == ["clip004.wav", *(f"clip{name}.wav" for name in ("000", "001", "002", "002b", "003")), "deep.flac"]
    pattern = batch.find([str(clips / "**" / "*.flac"), str(clips / "inner" / "de?p.flac")])
    assert [Path(item.path).name for item in pattern] == ["deep.flac"]


@pytest.mark.parametrize("name", ["empty", "*.nothing"])
def test_where_there_is_no_recording_a_sentence_says_so(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no recording in"):
        batch.find([str(tmp_path / name)])


def test_a_file_that_is_not_there_is_a_row(hear, tmp_path):
    rows, _ = hear([tmp_path / "gone.wav"])
    assert "gone.wav does not exist" in rows["error"][0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.csv", "id,path\none,clip000.wav\ntwo,clip001.wav\n"),
        ("list.csv", "\ufeffUtt;Audio_Path\r\none;clip000.wav\r\ntwo;clip001.wav\r\n"),
        ("list.tsv", "file\tid\nclip000.wav\tone\nclip001.wav\ttwo\n"),
        ("list.jsonl", '{"id": "one", "audio_filepath": "clip000.wav"}\n\n{"id": "two", "wav": "clip001.wav"}\n'),
        ("wav.scp", "one clip000.wav\ntwo\tclip001.wav\n"),
    ],
)
def test_a_manifest_names_files_beside_itself(clips, name, text):
    (clips / name).write_text(text, "utf-8")
    first, second = batch.find([str(clips / name)])
    assert (first.id, first.path, first.file) == ("one", "clip000.wav", clips / "clip000.wav")
    assert (second.id, second.file) == ("two", clips / "clip001.wav")


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("list.csv", "id,speaker\n1,2\n", "needs a column “path”"),
        ("list.jsonl", "[1]\n", "line 1 is no JSON object"),
        ("list.jsonl", "{\n", "is no manifest"),
        ("wav.scp", "alone\n", "line 1 has no file"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_one_sentence(tmp_path, name, text, match):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=match):
        batch.find([str(tmp_path / name)])


def test_commands_and_archives_of_kaldi_are_rows_and_nothing_is_run(hear, tmp_path):
    (tmp_path / "wav.scp").write_text(f"a touch {tmp_path}/run |\nb feats.ark:123\n")
    rows, heard = hear([tmp_path / "wav.scp"])
    assert [("never run" in error, "archive" in error) for error in rows["error"]] == [(True, False), (False, True)]
    assert list(rows["id"]) == ["a", "b"]
    assert not (tmp_path / "run").exists()
    assert heard == []


def test_a_name_that_is_no_unicode_becomes_a_readable_row(hear, tmp_path):
    name = os.fsdecode(b"caf\xe9.wav")
    soundfile.write(str(tmp_path / "plain.wav"), sound(0.3), RATE)
    (tmp_path / "plain.wav").rename(tmp_path / name)
    rows, heard = hear([tmp_path / name], "rows.csv")
    assert names(rows) == ["caf\\xe9.wav"]
    assert len(heard) == 1


# What comes out.


@pytest.mark.parametrize("ending", READERS)
def test_every_file_has_one_row_in_order_and_a_bad_one_says_why(hear, clips, ending):
    rows, heard = hear([clips], f"rows{ending}")
    assert names(rows) == [f"clip{name}.wav" for name in ("000", "001", "002", "002b", "003", "004")]
    good, bad = rows[rows["error"] == ""], rows[rows["error"] != ""]
    assert list(rows.columns) == list(batch.COLUMNS)
    assert set(good["emotion"]) <= {"angry", "sad"}
    assert good[list(LABELS)].astype(float).sum(axis=1).tolist() == pytest.approx([1.0] * 5)
    assert (good["confidence"].astype(float) == good[list(LABELS)].astype(float).max(axis=1)).all()
    assert good["duration"].astype(float).tolist() == pytest.approx([0.2, 0.202, 0.204, 0.206, 0.208])
    assert set(good["model"]) == {"half-and-half"}
    assert "text file" in bad["error"].item()
    assert len(heard) == 5
    assert list((clips.parent / "out").iterdir()) == [clips.parent / "out" / f"rows{ending}"]  # no parts are left


def test_a_row_says_what_one_analysis_says(tmp_path):
    folder = write_clips(tmp_path / "clips", 6)
    soundfile.write(folder / "long.flac", np.tile(sound(8.1, 150), 4), 44_100 // 2)
    soundfile.write(folder / "windows.wav", sound(31, 150), RATE)
    settings, options = Settings(threads=1), Options(granularity="frame", smooth=0.2, trim=True)
    keep = Keep(embeddings="columns")
    tally = batch.run(batch.find([str(folder)]), Job(tmp_path / "rows.parquet", options, keep, workers=2), settings)
    rows = pandas.read_parquet(tally.out)
    assert (tally.done, tally.failed, len(rows)) == (8, 0, 8)
    analyzer = Analyzer(settings)
    for row in rows.itertuples():
        report = analyzer.analyze(Path(row.path), Options(granularity="frame", smooth=0.2, trim=True, embedding=True))
        assert row.emotion == report.verdict.emotion
        for label in LABELS:
            assert getattr(row, label) == pytest.approx(report.verdict.scores[label], abs=1e-4)
        assert row.margin == pytest.approx(report.verdict.margin, abs=1e-4)
        assert (row.certainty, row.silent) == (report.verdict.certainty, report.silent)
        assert (row.duration, row.peak) == (report.recording.quality.duration, report.recording.quality.peak)
        assert row.sha256 == report.recording.source.sha256
        assert (row.model, row.weights, row.precision) == (
            report.model.name, report.model.weights, report.model.precision,
        )  # fmt: skip
        assert list(row.warnings) == [note for note in report.warnings if note != report.model.note]
        timeline = report.speech.timeline
        assert np.stack(row.timeline) == pytest.approx(timeline.probabilities(0.2), abs=1e-4)
        assert row.timeline_start == timeline.start
        assert np.stack(row.embedding) == pytest.approx(report.speech.features, abs=1e-3)


@pytest.mark.parametrize(("ending", "granularity"), [(".parquet", "utterance"), (".csv", "frame")])
def test_arrays_become_npy_files_that_the_rows_name(hear, clips, tmp_path, ending, granularity):
    keep = Keep(embeddings="npy", timelines="npy")
    rows, _ = hear([clips], f"rows{ending}", keep=keep, options=Options(granularity=granularity))
    assert "embedding" not in rows.columns
    for row in rows[rows["error"] == ""].itertuples():
        embedding = np.load(tmp_path / "out" / row.embedding_file)
        timeline = np.load(tmp_path / "out" / row.timeline_file)
        frames = (round(float(row.duration) * RATE) - 400) // 320 + 1
        assert embedding.shape == ((6,) if granularity == "utterance" else (frames, 6))
        assert timeline.shape == (frames, 9)
        assert timeline.dtype == np.float32
    bad = rows[rows["error"] != ""]["embedding_file"].item()
    assert pandas.isna(bad) or bad == ""


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_arrays_in_text_files_are_json(hear, clips, ending):
    rows, _ = hear([clips / "clip000.wav"], f"rows{ending}", keep=Keep("columns", "columns"))
    embedding, timeline = rows["embedding"][0], rows["timeline"][0]
    if ending == ".csv":
        embedding, timeline = json.loads(embedding), json.loads(timeline)
    assert np.shape(embedding) == (6,)
    assert np.sum(timeline, axis=1) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "|cmd", "＝1", "'quoted", "'=1"]
)
def test_no_cell_becomes_a_formula_and_nothing_is_lost(text):
    assert cells.harmless(text).startswith("'")
    assert cells.plain(cells.harmless(text)) == text


@pytest.mark.parametrize("text", ["", "a.wav", "folder/=1.wav", "1", "Ärger.wav"])
def test_plain_texts_stay_as_they_are(text):
    assert cells.harmless(text) == text == cells.plain(text)


def test_a_file_named_like_a_formula_is_harmless_in_csv_and_done_only_once(hear, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    soundfile.write("=1+1.wav", sound(0.3), RATE)
    rows, heard = hear(["=1+1.wav"], "rows.csv")
    assert list(rows["path"]) == ["'=1+1.wav"]
    assert len(heard) == 1
    rows, heard = hear(["=1+1.wav"], "rows.csv", resume=True)
    assert heard == []
    assert len(rows) == 1


def test_one_that_cannot_be_heard_does_not_spoil_its_batch(clips, tmp_path):
    class Fussy(Many):
        def listen(self, wave, *, features=False, progress):
            if len(wave.samples) == round(0.204 * RATE):
                raise ModelError("This one is not to my taste.")
            if len(wave.samples) == round(0.206 * RATE):
                raise ZeroDivisionError("surprise")
            return super().listen(wave, features=features, progress=progress)

    analyzer = Analyzer(Settings(), load=lambda _folder: Fussy())
    job = Job(tmp_path / "rows.parquet", workers=1)
    tally = batch.run(batch.find([str(clips)]), job, Settings(), analyzer=analyzer)
    rows = pandas.read_parquet(job.out)
    assert tally.failed == 3
    assert rows["error"][2] == "This one is not to my taste."
    assert "nobody foresaw (ZeroDivisionError: surprise)" in rows["error"][4]
    assert list(rows["error"] == "") == [True, True, False, False, False, True]


# Decoding ahead.


@dataclass(frozen=True)
class Bomb(Item):
    """Ends the process that receives it, as a crash in FFmpeg would."""

    def __reduce__(self):
        return os._exit, (1,)


def test_a_crash_of_the_decoder_is_a_row_and_the_others_are_decoded(clips):
    good = batch.find([str(clips / f"clip{number:03d}.wav") for number in (0, 1, 3, 4)])
    items = [good[0], Bomb("bomb.wav", Path("bomb.wav")), *good[1:3], Bomb("b2.wav", Path("b2.wav")), good[3]]
    with decoder.Decoder(Settings(), Options(), 1) as pool:
        found = [(place[1].path, decoded) for place, decoded in pool.ahead(list(enumerate(items)))]
    assert [path for path, _ in found] == [item.path for item in items]
    assert [decoded.error for _, decoded in found] == ["", decoder.CRASHED, "", "", decoder.CRASHED, ""]
    assert all((decoded.recording is None) == bool(decoded.error) for _, decoded in found)


def test_decoding_waits_for_the_model_when_much_is_waiting(tmp_path, monkeypatch):
    monkeypatch.setattr(decoder, "HELD", 20_000)  # bytes: two clips of 0.2 s are more
    items = batch.find([str(write_clips(tmp_path / "clips", 12))])
    begun = []
    with decoder.Decoder(Settings(), Options(), 1) as pool:
        submit = pool.submit
        monkeypatch.setattr(pool, "submit", lambda item: begun.append(item) or submit(item))
        taken = 0
        for _ in pool.ahead(list(enumerate(items))):
            taken += 1
            time.sleep(0.1)
            assert len(begun) <= taken + 4  # two that wait, two on their way
    assert taken == len(begun) == 12


# Going on.


class Stop:
    """Stops a batch after a number of rows, as a person would."""

    def __init__(self, after):
        self.after = after

    def __call__(self, tally):
        if tally.done >= self.after:
            raise Cancelled("stopped")


@pytest.mark.parametrize("ending", READERS)
def test_a_stopped_run_goes_on_where_it_stopped(hear, clips, ending):
    with pytest.raises(Cancelled):
        hear([clips], f"rows{ending}", tell=Stop(3))
    parts = clips.parent / "out" / f"rows{ending}.parts"
    done = names(pandas.read_parquet(parts))  # what there is can be read at any time
    assert len(done) == 4
    (parts / "part-000000000009.parquet").write_bytes(b"PAR1 torn")  # a disk that lost power
    (parts / ".part-000000000004.parquet").write_bytes(b"half")
    rows, heard = hear([clips], f"rows{ending}", resume=True)
    assert len(heard) == 2
    assert names(rows) == [f"clip{name}.wav" for name in ("000", "001", "002", "002b", "003", "004")]
    again, heard = hear([clips], f"rows{ending}", resume=True)
    assert heard == []
    assert names(again) == names(rows)


@pytest.mark.parametrize("ending", READERS)
@pytest.mark.parametrize("stop", [3, 4, 6, None])
def test_what_failed_is_counted_over_all_runs(hear, clips, ending, stop):
    if stop is None:
        hear([clips], f"rows{ending}")
    else:
        with pytest.raises(Cancelled):
            hear([clips], f"rows{ending}", tell=Stop(stop))
    tallies = []
    hear([clips], f"rows{ending}", resume=True, tell=tallies.append)
    assert (tallies[-1].done, tallies[-1].failed) == (6, 1)
    hear([clips / "clip000.wav"], f"rows{ending}", resume=True, tell=tallies.append)
    assert (tallies[-1].done, tallies[-1].failed) == (1, 0)


@pytest.mark.parametrize("ending", READERS)
@pytest.mark.parametrize("finished", [True, False])
def test_new_files_are_added_to_what_there_is(hear, clips, ending, finished):
    if finished:
        hear([clips], f"rows{ending}")
    else:
        with pytest.raises(Cancelled):
            hear([clips], f"rows{ending}", tell=Stop(6))
    soundfile.write(clips / "a-new.wav", sound(0.5), RATE)
    rows, heard = hear([clips], f"rows{ending}", resume=True)
    assert heard == [RATE // 2]
    assert names(rows) == [*(f"clip{name}.wav" for name in ("000", "001", "002", "002b", "003", "004")), "a-new.wav"]
    assert list(rows.columns) == list(batch.COLUMNS)


def test_a_kill_between_joining_and_tidying_up_doubles_nothing(hear, clips, monkeypatch):
    monkeypatch.setattr("emoscope.batch.store.shutil.rmtree", lambda *_arguments, **_options: None)
    rows, _ = hear([clips])
    assert list((clips.parent / "out" / "rows.parquet.parts").glob("part-*"))
    monkeypatch.undo()
    again, heard = hear([clips], resume=True)
    assert heard == []
    assert names(again) == names(rows)
    assert not (clips.parent / "out" / "rows.parquet.parts").exists()


def test_the_numbers_after_a_stop_are_those_without_one(tmp_path):
    items = batch.find([str(write_clips(tmp_path / "clips", 7))])
    settings = Settings(threads=1)
    whole = batch.run(items, Job(tmp_path / "whole.parquet", workers=1, together=3), settings)
    job = Job(tmp_path / "stopped.parquet", workers=1, together=3)
    with pytest.raises(Cancelled):
        batch.run(items, job, settings, tell=Stop(3))
    batch.run(items, Job(job.out, workers=1, together=3, resume=True), settings)
    expected, found = pandas.read_parquet(whole.out), pandas.read_parquet(job.out)
    pandas.testing.assert_frame_equal(found.drop(columns="seconds"), expected.drop(columns="seconds"), check_exact=True)


def test_nothing_is_overwritten_or_mixed(hear, clips):
    with pytest.raises(Cancelled):
        hear([clips], tell=Stop(2))
    with pytest.raises(OptionError, match="Add --resume to go on"):
        hear([clips])
    with pytest.raises(OptionError, match="another smooth and timelines"):
        hear([clips], resume=True, options=Options(smooth=1.0), keep=Keep(timelines="columns"))
    hear([clips], resume=True)
    with pytest.raises(OptionError, match=r"exists\. Add --resume"):
        hear([clips])
    with pytest.raises(OptionError, match="other columns"):
        hear([clips], resume=True, keep=Keep(timelines="columns"))
    with pytest.raises(OptionError, match=r"Results end in \.parquet, \.csv, \.jsonl"):
        hear([clips], "rows.xlsx")


def test_another_model_does_not_go_on_with_a_run(hear, clips, tmp_path):
    with pytest.raises(Cancelled):
        hear([clips], tell=Stop(2))
    job = Job(tmp_path / "out" / "rows.parquet", resume=True, workers=1)
    with pytest.raises(ModelError, match="other weights"):
        batch.run(batch.find([str(clips)]), job, Settings(threads=1))


def test_a_second_process_does_not_write_the_same_results(hear, clips):
    from filelock import FileLock

    parts = clips.parent / "out" / "rows.parquet.parts"
    parts.mkdir(parents=True)
    with FileLock(parts / ".lock"), pytest.raises(StorageError, match="Another process is writing"):
        hear([clips], resume=True)
    assert parts.exists()


def test_where_nothing_can_be_written_a_sentence_says_so(hear, clips):
    (clips.parent / "out").write_text("a file stands where the folder should be")
    with pytest.raises(StorageError, match="cannot be written"):
        hear([clips])


SLOW = """
import sys, time
from pathlib import Path
from emoscope import batch
from emoscope.analyzer import Analyzer
from emoscope.settings import Settings
from tests.test_batch import Many

class Slow(Many):
    def listen_many(self, waves):
        time.sleep(0.05)
        with open(sys.argv[3], "a") as log:
            log.writelines(f"{len(wave.samples)}\\n" for wave in waves)
        return super().listen_many(waves)

if __name__ == "__main__":
    job = batch.Job(Path(sys.argv[2]), workers=1, together=2, resume=True)
    analyzer = Analyzer(Settings(), load=lambda _folder: Slow())
    batch.run(batch.find([sys.argv[1]]), job, Settings(), analyzer=analyzer)
"""


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_no_kill_loses_or_doubles_a_row(tmp_path, ending):
    count = 40
    folder = write_clips(tmp_path / "clips", count)
    script, out, log = tmp_path / "slow.py", tmp_path / f"rows{ending}", tmp_path / "heard"
    script.write_text(SLOW)
    command = [sys.executable, str(script), str(folder), str(out), str(log)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parts = tmp_path / f"{out.name}.parts"
    kept = 0
    for _ in range(2):
        run = subprocess.Popen(command, env=environment)
        wait_until(lambda: len(list(parts.glob("part-*"))) >= kept + 3, run)  # noqa: B023
        workers = children(run.pid)
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        wait_until(lambda: not any(map(alive, workers)))  # noqa: B023
        done = pandas.read_parquet(parts)  # what there is can be read
        assert done["path"].is_unique
        kept = len(list(parts.glob("part-*")))
        lengths_done = set((done["duration"] * RATE).round().astype(int))
        heard = len(log.read_text().split())
        assert heard - len(done) <= 4  # of this kill and the one before: a batch of two each
    assert not out.exists()
    before = len(log.read_text().split())
    subprocess.run(command, env=environment, check=True)
    rows = READERS[ending](out)
    assert names(rows) == [f"clip{number:03d}.wav" for number in range(count)]
    again = set(map(int, log.read_text().split()[before:]))
    assert not again & lengths_done  # what had a row was not heard again
    assert len(again) + len(lengths_done) == count
    assert not parts.exists()


def wait_until(condition, process=None):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        assert process is None or process.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# The command.


def emoscope(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", "emoscope.cli", "batch", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_command_prints_where_the_rows_are_and_goes_on(clips):
    run = emoscope("clips", "--out", "rows.jsonl", "--timelines", "npy", cwd=clips.parent)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "rows.jsonl\n"
    assert "6 of 6 recordings have a row (1 failed" in run.stderr
    rows = [json.loads(line) for line in (clips.parent / "rows.jsonl").read_text("utf-8").splitlines()]
    assert [row["path"] for row in rows][:2] == ["clips/clip000.wav", "clips/clip001.wav"]
    assert {row["model"] for row in rows} == {"compact-speech", None}
    again = emoscope("clips", "--out", "rows.jsonl", "--timelines", "npy", "--resume", cwd=clips.parent)
    assert again.returncode == 0, again.stderr
    assert "6 of 6 recordings have a row (1 failed" in again.stderr  # as before, though nothing was left to do


def test_a_run_in_which_nothing_could_be_heard_has_failed(tmp_path):
    for arguments in (("nosuch", "nor.wav"), ("nosuch", "nor.wav", "--resume")):
        run = emoscope(*arguments, "--out", "rows.parquet", cwd=tmp_path)
        assert (run.returncode, run.stdout) == (1, "rows.parquet\n")
        assert "2 of 2 recordings have a row (2 failed" in run.stderr
        assert run.stderr.endswith("Not one recording could be heard.\n")


def test_a_missing_option_is_bad_usage(clips):
    for arguments in (("clips", "--resume"), ("clips", "--out", "rows.txt"), ("clips", "--engine", "spark"), ()):
        run = emoscope(*arguments, cwd=clips.parent)
        assert run.returncode == 2, run.stderr
        assert run.stdout == ""


def test_batch_imports_nothing_heavy():
    heavy = ["torch", "ray", "pyarrow", "pandas", "gradio", "matplotlib"]
    code = f"import sys, emoscope.batch; print([name for name in {heavy!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]", run.stdout


@pytest.mark.slow  # FunASR alone takes many seconds to import
def test_the_comparison_with_funasr_runs(tmp_path):
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.batch", "--size", "small", "--clips", "4", "--rounds", "1"]
    command += ["--workers", "1", "2", "--actors", "1", "--precision", "fp32", "--json", str(file)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    figures = json.loads(file.read_text())
    assert figures["clips"] == 4
    names = ["FunASR, one by one", "batch, 1 decoding", "batch, 2 decoding", "Ray, 1 models"]
    assert list(figures["took"]) == names
    assert all(name in run.stdout for name in names)
    assert figures["largest_difference"] < 1e-3
