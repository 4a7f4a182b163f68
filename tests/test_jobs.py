"""The queue in front of the analyzer: order, room, passes of several clips, cancelling, and what goes wrong."""

import gc
import threading
import weakref

import pytest

from emoscope.errors import AudioError, BusyError, Cancelled, ModelError, OptionError, StoppingError
from emoscope.jobs import Jobs, Task
from emoscope.jobs.queue import REMEMBERED, TOGETHER, UNFINISHED
from emoscope.settings import Options, Settings
from emoscope.transcript import Transcript
from tests.api import Counting, make_analyzer, write_tone
from tests.browser.studio import settings_for, wait_for


def same(report):
    return report


@pytest.fixture
def settings(tmp_path):
    return settings_for(tmp_path, queue=20)


@pytest.fixture
def queue(settings):
    analyzer, model = make_analyzer(settings)
    jobs = Jobs(analyzer, settings)
    yield jobs, model
    model.gate.set()
    jobs.close()


@pytest.fixture
def clip(tmp_path):
    return write_tone(tmp_path / "clip.wav", 2)


def hearing(clip, **options):
    return Task(Options(**options), clip, "clip.wav")


def reading(text):
    return Task(Options(), transcript=Transcript.typed(text))


def held(jobs, model, clip):
    """Submit a recording that is being heard until the gate opens; the next ones wait."""
    model.gate.clear()
    job = jobs.submit(hearing(clip), same)
    wait_for(lambda: job.step.what == "Listening")
    return job


def over(*submitted):
    """Wait until jobs are over."""
    wait_for(lambda: all(job.outcome.done() for job in submitted))


def test_a_job_is_the_analysis_and_has_its_id(queue, clip):
    jobs, _ = queue
    job = jobs.submit(hearing(clip, granularity="frame"), same)
    report = job.result()
    assert (report.id, report.verdict.emotion, job.state) == (job.id, "sad", "done")
    assert report.options.granularity == "frame"
    assert report.name == "clip.wav"


def test_what_follows_a_report_decides_what_a_job_gives(queue, clip):
    jobs, _ = queue
    assert jobs.submit(hearing(clip), lambda report: report.name.upper()).result() == "CLIP.WAV"


def test_short_clips_that_wait_together_are_heard_in_one_pass(queue, clip, tmp_path):
    jobs, model = queue
    clips = [write_tone(tmp_path / f"{seconds}.wav", seconds) for seconds in (1, 2, 3)]
    first = held(jobs, model, clip)
    waiting = [jobs.submit(hearing(each), same) for each in clips]
    assert [job.state for job in (first, *waiting)] == ["running", *["waiting"] * 3]
    assert (jobs.waiting, jobs.running) == (3, 1)
    model.gate.set()
    over(first, *waiting)
    assert model.passes == [3]
    alone, _ = make_analyzer(jobs._settings)
    for job, each in zip(waiting, clips, strict=True):
        expected = alone.analyze(each, Options(), name="clip.wav").to_dict()
        found = job.result().to_dict()
        assert {"decode", "speech"} <= found["seconds"].keys()
        for name in ("id", "timestamp", "seconds"):
            del expected[name], found[name]
        assert found == expected


def test_a_pass_holds_equal_options_only_and_nothing_long(queue, clip, tmp_path):
    jobs, model = queue
    long = write_tone(tmp_path / "long.wav", 12)
    first = held(jobs, model, clip)
    plan = [hearing(clip), hearing(long), hearing(clip), hearing(clip, smooth=1.0), hearing(clip, smooth=1.0)]
    waiting = [jobs.submit(task, same) for task in plan]
    model.gate.set()
    over(first, *waiting)
    assert model.passes == [2, 2]
    assert [job.result().recording.wave.seconds for job in waiting] == [2, 12, 2, 2, 2]


def test_words_are_never_heard_in_a_pass_with_others(queue, clip):
    jobs, model = queue
    first = held(jobs, model, clip)
    words = Transcript.typed("I am joyful.")
    tasks = [Task(Options(), clip, None, words), Task(Options(transcribe=True), clip), hearing(clip)]
    waiting = [jobs.submit(task, same) for task in tasks]
    model.gate.set()
    over(first, *waiting)
    assert model.passes == []
    assert [job.result().mode for job in waiting] == ["multimodal", "multimodal", "speech"]


def test_a_pass_has_its_limit(settings, clip):
    analyzer, model = make_analyzer(settings)
    jobs = Jobs(analyzer, settings)
    first = held(jobs, model, clip)
    waiting = [jobs.submit(hearing(clip), same) for _ in range(TOGETHER + 2)]
    model.gate.set()
    over(first, *waiting)
    assert model.passes == [TOGETHER, 2]
    jobs.close()


def test_a_broken_clip_in_a_pass_fails_alone(queue, clip, tmp_path):
    jobs, model = queue
    broken = tmp_path / "broken.wav"
    broken.write_text("this is no sound")
    first = held(jobs, model, clip)
    waiting = [jobs.submit(hearing(each), same) for each in (clip, broken, clip)]
    model.gate.set()
    over(first, *waiting)
    assert [job.state for job in waiting] == ["done", "failed", "done"]
    with pytest.raises(AudioError, match="text file"):
        waiting[1].result()


def test_a_pass_that_fails_as_a_whole_is_made_clip_by_clip(settings, clip):
    class Short(Counting):
        def listen_many(self, _waves):
            raise ModelError("The memory is short.")

    analyzer, model = make_analyzer(settings, Short())
    jobs = Jobs(analyzer, settings)
    first = held(jobs, model, clip)
    waiting = [jobs.submit(hearing(clip), same) for _ in range(2)]
    model.gate.set()
    over(first, *waiting)
    assert [job.result().verdict.emotion for job in waiting] == ["sad", "sad"]
    jobs.close()


def test_a_sentence_does_not_wait_for_a_recording(queue, clip):
    jobs, model = queue
    first = held(jobs, model, clip)
    assert jobs.submit(reading("I am joyful."), same).result().verdict.emotion == "happy"
    assert first.state == "running"


def test_a_full_queue_says_when_to_come_again(queue, clip):
    jobs, model = queue
    held(jobs, model, clip)
    waiting = [jobs.submit(hearing(clip), same) for _ in range(20)]
    with pytest.raises(BusyError, match=r"^20 analyses are waiting already. Try again in 5 s") as refused:
        jobs.submit(hearing(clip), same)
    assert refused.value.seconds == 5  # nothing was measured until now
    with pytest.raises(BusyError):
        jobs.check_room()
    waiting[7].cancel()
    jobs.check_room()
    assert jobs.waiting == 19


def test_the_advice_follows_the_pace(queue, clip):
    jobs, model = queue
    jobs._paces["speech"].extend([30.0, 50.5])
    held(jobs, model, clip)
    for _ in range(20):
        jobs.submit(hearing(clip), same)
    with pytest.raises(BusyError, match="in 41 s"):
        jobs.check_room()


def test_a_job_that_waits_is_cancelled_at_once(queue, clip):
    jobs, model = queue
    held(jobs, model, clip)
    job = jobs.submit(hearing(clip), same)
    job.cancel()
    assert job.state == "cancelled"
    assert jobs.waiting == 0
    with pytest.raises(Cancelled):
        job.result()


def test_a_job_that_runs_is_cancelled_at_its_next_word(queue, clip):
    jobs, model = queue
    job = held(jobs, model, clip)
    job.cancel()
    over(job)
    assert job.state == "cancelled"
    assert not model.gate.is_set()  # nobody had to wait for the end of it
    model.gate.set()
    assert jobs.submit(hearing(clip), same).result().verdict.emotion == "sad"


def test_one_of_a_pass_is_cancelled_and_the_others_are_not(queue, clip):
    jobs, model = queue
    first = held(jobs, model, clip)
    waiting = [jobs.submit(hearing(clip), same) for _ in range(3)]
    first.cancel()
    wait_for(lambda: waiting[0].state == "running")
    waiting[1].cancel()
    model.gate.set()
    over(*waiting)
    assert [job.state for job in waiting] == ["done", "cancelled", "done"]


def test_a_job_is_known_until_it_is_over_and_longer_if_somebody_comes_back(queue, clip):
    jobs, _ = queue
    passing, staying = jobs.submit(hearing(clip), same), jobs.submit(hearing(clip), same, remember=True)
    over(passing, staying)
    wait_for(lambda: jobs.find(passing.id) is None)
    assert jobs.find(staying.id) is staying
    for _ in range(REMEMBERED):
        over(jobs.submit(reading("I am joyful."), same, remember=True))
    assert jobs.find(staying.id) is None


def test_what_nobody_foresaw_is_logged_under_the_id_and_the_next_is_heard(queue, clip, caplog):
    jobs, _ = queue
    job = jobs.submit(hearing(clip), lambda _report: 1 / 0)
    over(job)
    assert job.state == "failed"
    assert job.id in caplog.text
    assert jobs.submit(hearing(clip), same).result()


def test_reports_do_not_pile_up_while_files_are_written(queue, clip):
    jobs, _ = queue
    gate = threading.Event()

    def write(report):
        assert gate.wait(20)
        return report

    waiting = [jobs.submit(hearing(clip, smooth=place / 10), write) for place in range(UNFINISHED + 4)]
    wait_for(lambda: len(jobs._finishing) == UNFINISHED)
    assert jobs.waiting >= 2
    gate.set()
    over(*waiting)


def test_a_door_that_waits_is_told_how_far_it_is_and_can_leave(queue, clip):
    jobs, model = queue
    told = []
    assert jobs.analyze(clip, Options(), name="mine.wav", progress=lambda *step: told.append(step)).name == "mine.wav"
    assert jobs.read("I am lonely.", Options()).verdict.emotion == "sad"
    assert told
    model.gate.clear()

    def leave(what, _done):
        if what == "Listening":
            raise Cancelled("gone")

    with pytest.raises(Cancelled, match="gone"):
        jobs.analyze(clip, Options(), progress=leave)
    wait_for(lambda: jobs.running == 0)


def test_nothing_of_a_job_is_held_when_it_is_over(queue, clip):
    jobs, _ = queue
    wave = weakref.ref(jobs.analyze(clip, Options()).recording.wave)

    def gone():
        gc.collect()
        return wave() is None

    wait_for(gone)


def test_errors_reach_the_door(queue, clip):
    jobs, _ = queue
    with pytest.raises(OptionError, match="Fusion is"):
        jobs.analyze(clip, Options(fusion="magic"))


def test_nothing_begins_after_the_end(queue, clip):
    jobs, model = queue
    running, waiting = held(jobs, model, clip), jobs.submit(hearing(clip), same)
    jobs.close()
    for job in (running, waiting):  # at once, though the model has not said a word
        with pytest.raises(StoppingError, match="being stopped"):
            job.result()
    with pytest.raises(BusyError, match="being stopped"):
        jobs.submit(hearing(clip), same)


def test_a_task_is_about_something():
    with pytest.raises(ValueError, match="a recording, a text, or both"):
        Task(Options())


def test_a_queue_has_room_for_somebody():
    with pytest.raises(OptionError, match="EMOSCOPE_QUEUE"):
        Settings(queue=0)
