"""What must hold when things break: the queue, files that are being written, damaged models, and the real server.

The slow ones are short versions of the scripts in `tests/faults`; `docs/reliability.md` has what those have found.
"""

import os
import signal
import tempfile
import threading
import time

import numpy as np
import pytest

from emoscope import claims, export, live
from emoscope.analyzer import Analyzer, Status
from emoscope.errors import ExhaustedError, ModelError, StorageError
from emoscope.jobs import Jobs, Task
from emoscope.settings import Options, Settings
from tests import reports
from tests.api import Counting, make_analyzer, make_office, serving, write_tone
from tests.browser.studio import settings_for, wait_for
from tests.fakes import HalfAndHalf
from tests.faults import database, disk, kills, load, models, stops
from tests.faults.servers import serving as running


def same(report):
    return report


@pytest.fixture
def clip(tmp_path):
    return write_tone(tmp_path / "clip.wav", 2)


@pytest.fixture
def queue(tmp_path):
    settings = settings_for(tmp_path)
    analyzer, model = make_analyzer(settings)
    jobs = Jobs(analyzer, settings)
    yield jobs, model
    model.gate.set()
    jobs.close()


def hearing(clip):
    return Task(Options(), clip, "clip.wav")


def test_asked_to_stop_what_runs_may_end_and_what_waits_is_refused(queue, clip):
    jobs, model = queue
    model.gate.clear()
    running = jobs.submit(hearing(clip), same)
    wait_for(lambda: running.step.what == "Listening")
    waiting = jobs.submit(hearing(clip), same)
    jobs.stop()
    assert waiting.state == "failed"
    assert running.state == "running"
    model.gate.set()
    assert running.result().verdict.emotion
    assert not jobs.running


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 5 bytes")]
)
def test_too_little_memory_is_a_sentence_and_the_next_is_heard(queue, clip, error, monkeypatch):
    jobs, model = queue

    def starved(*_arguments, **_options):
        raise error

    with monkeypatch.context() as for_once:
        for_once.setattr(type(model), "listen", starved)
        with pytest.raises(ExhaustedError, match="too little memory"):
            jobs.submit(hearing(clip), same).result()
    assert jobs.submit(hearing(clip), same).result().verdict.emotion


def test_a_pass_that_is_too_much_for_the_memory_is_made_clip_by_clip(queue, clip, monkeypatch):
    jobs, model = queue

    def starved(_model, _waves):
        raise MemoryError

    monkeypatch.setattr(Counting, "listen_many", starved)
    model.gate.clear()
    first = jobs.submit(hearing(clip), same)
    wait_for(lambda: first.step.what == "Listening")
    together = [jobs.submit(hearing(clip), same) for _ in range(3)]
    model.gate.set()
    assert all(job.result().verdict.emotion for job in together)


def test_a_worker_that_dies_is_replaced_and_nobody_waits_for_it(queue, clip, monkeypatch):
    jobs, _ = queue
    died = []
    monkeypatch.setattr(threading, "excepthook", died.append)

    def die(_jobs):
        raise SystemExit("no memory to say why")

    with monkeypatch.context() as for_once:
        for_once.setattr(jobs, "_do", die)
        with pytest.raises(SystemExit):
            jobs.submit(hearing(clip), same).result()
        wait_for(lambda: not jobs._threads["speech"].is_alive())
    assert jobs.submit(hearing(clip), same).result().verdict.emotion


def test_a_failure_holds_none_of_the_sound_that_it_was_about(queue, clip, monkeypatch):
    jobs, model = queue

    def fail(_model, wave, **_options):
        assert wave is not None
        raise ModelError("It is damaged.")

    monkeypatch.setattr(type(model), "listen", fail)
    job = jobs.submit(hearing(clip), same, remember=True)
    error = job.outcome.exception(10)
    assert str(error) == "It is damaged."
    assert error.__traceback__ is None


def test_a_thread_that_is_still_writing_when_the_process_ends_publishes_nothing(tmp_path, monkeypatch):
    writing, go_on = threading.Event(), threading.Event()
    failed = []

    def pack(folder):
        writing.set()
        assert go_on.wait(10)
        return folder / "run.zip"

    def write():
        with pytest.raises(StorageError) as error:
            export.write(reports.make(("happy", 0.1), options=Options()), tmp_path)
        failed.append(error.value)

    monkeypatch.setattr(export, "_pack", pack)
    thread = threading.Thread(target=write)
    thread.start()
    assert writing.wait(10)
    claims.abandon()
    go_on.set()
    thread.join(10)
    assert failed
    assert list(tmp_path.iterdir()) == []


def test_an_array_that_a_full_disk_cuts_short_is_told_as_that(tmp_path, monkeypatch):
    """NumPy counts what was written, and tells no number of an error."""

    def save(*_arguments):
        raise OSError("1056 requested and 1024 written")

    monkeypatch.setattr(np, "save", save)
    with pytest.raises(StorageError, match="no space left"):
        export.write(reports.make(("happy", 0.1), options=Options(embedding=True)), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [models.flip, models.cut, models.remove])
def test_a_damaged_speech_model_is_a_sentence(tmp_path, damage):
    from emoscope.speech.checkpoint import load as open_model

    folder = models.store(tmp_path) / models.SPEECH
    assert open_model(folder).info.kind == "CompactSpeech"
    damage(folder / models.WEIGHTS)
    with pytest.raises(ModelError, match="Fetch the model again"):
        open_model(folder)


@pytest.mark.parametrize("damage", [models.flip, models.cut, models.remove])
def test_a_damaged_text_model_is_a_sentence(tmp_path, damage):
    from emoscope.text.load import load as open_model

    folder = models.store(tmp_path) / models.READER
    damage(folder / models.WEIGHTS)
    with pytest.raises(ModelError, match="cannot be opened"):
        open_model(folder)


def test_where_the_large_model_cannot_be_opened_the_compact_one_answers_and_says_so(tmp_path):
    large = tmp_path / "models" / "emotion2vec_plus_large"
    large.mkdir(parents=True)
    for name in ("config.yaml", "tokens.txt", "model.pt"):
        (large / name).touch()

    def open_model(folder):
        if folder == large:
            raise ModelError(f"{folder / 'model.pt'} is damaged. Fetch the model again.")
        return HalfAndHalf()

    analyzer = Analyzer(Settings(models=tmp_path / "models", outputs=tmp_path, offline=True), load=open_model)
    analyzer.start()
    wait_for(lambda: analyzer.status.state != "loading")
    assert analyzer.status.state == "ready"
    assert "model.pt is damaged" in analyzer.status.sentence
    report = analyzer.analyze(write_tone(tmp_path / "clip.wav", 1), Options())
    assert any("model.pt is damaged" in warning for warning in report.warnings)
    analyzer.stop()


def test_an_upload_is_refused_when_the_process_is_being_stopped(tmp_path):
    office, _ = make_office(tmp_path)
    sent, stopped = threading.Event(), threading.Event()

    def body():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + bytes(2_000_000)
        sent.set()
        assert stopped.wait(10)
        time.sleep(1)
        yield b"\r\n--b--\r\n"

    def stop():
        assert sent.wait(10)
        wait_for(lambda: list(office.uploads.glob("*/file")))
        office.jobs.stop()
        stopped.set()

    with serving(office) as client:
        stopper = threading.Thread(target=stop)
        stopper.start()
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = client.post("/api/v1/speech", content=body(), headers=headers)
        stopper.join()
        assert answer.status_code == 503
        assert answer.json()["type"].endswith("#stopping")
        assert answer.headers["retry-after"]
        wait_for(lambda: not list(office.uploads.iterdir()))
        refused = client.post("/api/v1/text", json={"text": "too late"})
        assert refused.status_code == 503


def test_a_model_that_cannot_be_opened_is_told_in_the_header_of_the_studio():
    from emoscope.studio import present

    failed = Status("failed", "/models/mine/model.safetensors is damaged. Fetch the model again.")
    assert present.status(failed, "en")["name"] == failed.sentence
    assert present.status(failed, "zh")["name"] == "/models/mine/model.safetensors 已损坏。请重新获取模型。"


def test_live_recordings_of_a_killed_process_go_at_the_next_start(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mine, left = claims.temporary(live.RECORDINGS), claims.temporary(live.RECORDINGS)
    left.mkdir()
    (left / "voice.wav").write_bytes(b"RIFF")
    with claims.new_folder(mine):
        live.sweep()
        assert list(tmp_path.iterdir()) == [mine]


# The real server


@pytest.mark.slow
@pytest.mark.parametrize("situation", stops.SITUATIONS)
def test_a_server_that_is_asked_to_stop_ends_in_time(tmp_path, situation):
    seconds, status = stops.stop_in(situation, tmp_path)
    assert seconds <= stops.MOST
    assert status == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(tmp_path, number):
    seconds, status = stops.stop_twice(tmp_path, number)
    assert seconds < 2
    assert status == 128 + number


@pytest.mark.slow
def test_whoever_is_killed_in_the_middle_of_many_runs_leaves_nothing_half(tmp_path):
    found = list(kills.rounds(tmp_path, 2))
    assert sum(each.uploads for each in found)


@pytest.mark.slow
@pytest.mark.postgres
def test_the_database_server_goes_and_comes_back_under_the_server(tmp_path):
    ((_, sentence),) = database.stopped_server(tmp_path)
    assert "does not answer" in sentence


@pytest.mark.slow
def test_the_database_file_is_lost_locked_and_damaged_under_the_server(tmp_path):
    assert [name for name, _ in database.sqlite(tmp_path)] == [fault.__name__ for fault in database.SQLITE]


@pytest.mark.slow
@pytest.mark.parametrize("fault", [models.damaged_speech, models.damaged_text])
def test_a_server_with_a_damaged_model_says_so_everywhere(tmp_path, fault):
    assert fault(tmp_path, models.flip)


@pytest.mark.slow
def test_a_model_that_is_overwritten_while_it_answers_goes_on_as_it_was(tmp_path):
    before, after = models.replaced(tmp_path)
    assert before == after


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
@pytest.mark.parametrize("fault", [disk.results_without_room, disk.uploads_without_room])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, fault):
    assert fault(tmp_path)


@pytest.mark.slow
def test_a_small_crowd_is_answered_and_every_run_is_whole(tmp_path):
    with running(tmp_path) as server:
        crowd, _ = load.run(server, clients=12, seconds=10, gradio=1)
        load.check(server, crowd)
        assert crowd.runs
