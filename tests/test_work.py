"""Work that a page watches: its moments, its end, and how long it will still take."""

import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emoscope.analyzer import Analyzer
from emoscope.errors import Cancelled, InputError
from emoscope.settings import Options, Settings
from emoscope.studio.pace import STEPS, Pace
from emoscope.studio.work import Moment, Work
from tests.fakes import HalfAndHalf

ROOT = Path(__file__).resolve().parent.parent


def test_work_tells_where_it_stands_and_returns_its_result():
    seen = threading.Event()

    def task(tell):
        tell("Counting", 0.0)
        tell("Counting", 0.5)
        assert seen.wait(10)
        return 42

    work, told = Work(task), []
    for moment in work:
        told.append((moment.what, moment.done))
        seen.set()
    assert told == [("Counting", 0.5)]  # the newest alone: nobody needs what is over
    assert work.result() == 42


def test_an_error_of_the_work_is_raised_where_it_is_waited_for():
    def task(_tell):
        raise InputError("no such thing")

    work = Work(task)
    assert list(work) == []
    with pytest.raises(InputError, match="no such thing"):
        work.result()


def test_work_that_nobody_follows_any_more_is_cancelled():
    left = threading.Event()

    def task(tell):
        tell("Counting", 0.0)
        assert left.wait(10)
        tell("Counting", 0.1)

    work = Work(task)
    moments = iter(work)
    next(moments)
    moments.close()
    left.set()
    with pytest.raises(Cancelled):
        work.result()


def follow(pace, moments):
    """Let a pace follow (what, done, at), and return what it tells after each."""
    told = []
    for what, done, at in moments:
        pace.follow(Moment(what, done, at))
        told.append((pace.done, pace.left))
    return told


def test_a_steady_pace_is_told_as_the_seconds_that_are_left():
    told = follow(Pace(), [("Listening", step / 20, float(step)) for step in range(21)])
    assert told[0][1] is None  # nothing is known yet
    for step, (_done, left) in list(enumerate(told))[1:]:
        assert left == pytest.approx(20 - step, abs=1e-6)


def test_the_time_left_does_not_jump_with_every_little_change():
    """Each step takes 0.9 or 1.1 s: what is told falls by what has passed, and nothing else."""
    at, moments = 0.0, []
    for step in range(40):
        moments.append(("Listening", step / 40, at))
        at += 0.9 if step % 2 else 1.1
    told = [(at, left) for (_, _, at), (_, left) in zip(moments, follow(Pace(), moments), strict=True)][5:-8]
    ends = {round(at + left, 3) for at, left in told}
    assert len(ends) == 1


def test_a_machine_that_gets_slower_is_noticed():
    quick = [("Listening", step / 100, step * 1.0) for step in range(30)]
    slow = [("Listening", 0.29 + step / 100, 29 + step * 4.0) for step in range(1, 30)]
    assert follow(Pace(), quick + slow)[-1][1] == pytest.approx(4 * 42, rel=0.25)


def test_a_slow_beginning_is_no_measure():
    begun = [("Listening", 0.0, 0.0), ("Listening", 0.02, 30.0)]
    then = [("Listening", 0.02 + step / 50, 30 + step * 1.0) for step in range(1, 11)]
    assert follow(Pace(), begun + then)[-1][1] == pytest.approx(39, rel=0.25)


def test_the_bar_never_falls_and_a_step_of_another_name_leaves_it():
    done = [done for done, _ in follow(Pace(), [
        ("Reading the recording", 1.0, 0.0), ("Listening", 0.5, 1.0), ("Listening", 0.4, 2.0), ("Dreaming", 0.0, 3.0),
        ("Writing the files", 0.0, 4.0), ("Writing the files", 1.0, 4.1),
    ])]  # fmt: skip
    assert done == sorted(done)
    assert done[2] == done[3] == done[1]
    assert done[-1] == 1.0


def test_the_steps_of_the_bar_are_those_that_an_analysis_says(tmp_path):
    clip = tmp_path / "clip.wav"
    soundfile.write(clip, np.random.default_rng(1).normal(0, 0.1, 32_000), 16_000)
    said = set()
    analyzer = Analyzer(Settings(outputs=tmp_path), load=lambda _folder: HalfAndHalf())
    analyzer.analyze(clip, Options(denoise=True, normalise=True), progress=lambda what, _done: said.add(what))
    assert said <= set(STEPS)
    places = ("analyzer.py", "readers.py", "text/read.py")
    source = "".join((ROOT / "emoscope" / place).read_text("utf-8") for place in places)
    waiting = set(STEPS) - said - {"Writing the files"}  # the studio's own
    assert all(f'"{step}"' in source for step in waiting)
