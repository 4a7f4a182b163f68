"""Live sessions: nothing that is said is lost, everybody gets a turn, and what is settled stays."""

import base64
import resource
import threading
import time
import wave
from dataclasses import dataclass, field

import gradio as gr
import numpy as np
import pytest
import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient

from emoscope.analyzer import Analyzer
from emoscope.audio.stream import Recent, Resampler
from emoscope.errors import AudioError, InputError, ModelError
from emoscope.history import Keeper
from emoscope.labels import INDEX
from emoscope.live import (
    CONTEXT,
    CROWD,
    CROWDED,
    ENDED,
    KEPT,
    LONGEST,
    PATIENCE,
    SHORTEST,
    UNFORESEEN,
    Live,
    Session,
    longest,
)
from emoscope.results import ModelInfo, SpeechResult
from emoscope.settings import Options, Settings
from emoscope.speech.threads import stay_on_one_core
from emoscope.studio.desk import Desk
from emoscope.studio.rolling.routes import MOST, add_routes
from emoscope.studio.tabs.live import answer
from emoscope.timeline import HOP, RATE, Timeline, frame_count
from tests.browser.studio import patient_analyzer, settings_for, wait_for
from tests.fakes import INFO, SURE

PIECE = RATE // 4  # samples
LOUD, SOFT = 0.5, 0.1  # tones that Ear tells apart


def tone(seconds, level=LOUD, rate=RATE, hertz=220):
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@dataclass
class Ear:
    """Hears a loud tone angry and a soft one sad, frame by frame; a pass takes so many seconds."""

    takes: float = 0.0
    info: ModelInfo = INFO
    heard: list = field(default_factory=list)  # samples in each pass
    trouble: Exception | None = None

    def __call__(self, sound):
        self.heard.append(sound.samples)
        time.sleep(self.takes)
        if self.trouble:
            raise self.trouble
        frames = np.lib.stride_tricks.sliding_window_view(sound.samples, 400)[::HOP]
        loud = np.abs(frames).max(axis=1) > (LOUD + SOFT) / 2
        logits = np.zeros((len(frames), 9), dtype=np.float32)
        logits[loud, INDEX["angry"]] = SURE
        logits[~loud, INDEX["sad"]] = SURE
        return SpeechResult(Timeline(logits), embedding=np.zeros(4, dtype=np.float32))


@pytest.fixture
def begin():
    """Begin to listen with a model; ends by itself."""
    begun = []

    def make(hear, limit=3600.0):
        begun.append(Live(hear, limit=limit))
        return begun[-1]

    yield make
    for live in begun:
        live.close()


@pytest.fixture
def session(tmp_path):
    """A session that nobody listens to but the test."""
    made = Session(tmp_path / "live.wav", RATE, limit=3600)
    yield made
    made.discard()


def say(live, session, sound, piece=PIECE):
    """Feed sound in pieces, as a browser does, but as fast as it goes."""
    at = session.received
    for first in range(0, len(sound), piece):
        live.feed(session.token, sound[first : first + piece], at + first)


def read(file):
    with wave.open(str(file)) as recording:
        assert (recording.getframerate(), recording.getnchannels(), recording.getsampwidth()) == (RATE, 1, 2)
        return np.frombuffer(recording.readframes(recording.getnframes()), dtype="<i2") / 2**15


def listen(session, hear=None, pace=0.01):
    """Do what the listener does, once; return (first frame, frames) of the window."""
    start, sound = session.window(pace)
    session.take(start, (hear or Ear())(sound).timeline)
    return start, frame_count(len(sound.samples))


# Sound in pieces -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000, 96_000])
def test_pieces_are_resampled_as_one_sound(rate):
    sound = tone(2, rate=rate)
    resampler, whole = Resampler(rate), Resampler(rate).take(sound, last=True)
    sizes = np.random.default_rng(0).integers(1, 3000, 2000).tolist()
    pieces, at = [], 0
    for size in sizes:
        pieces.append(resampler.take(sound[at : at + size], last=at + size >= len(sound)))
        at += size
        if at >= len(sound):
            break
    joined = np.concatenate(pieces)
    assert abs(len(joined) - 2 * RATE) <= 1
    np.testing.assert_allclose(joined, whole, atol=1e-6)
    inside = slice(RATE // 4, -RATE // 4)
    assert np.abs(joined[inside] - tone(2)[: len(joined)][inside]).max() < 0.002  # no click anywhere


@pytest.mark.parametrize("rate", [0, 999, 10**9])
def test_an_impossible_rate_is_refused(rate):
    with pytest.raises(AudioError, match="sample rate"):
        Resampler(rate)


def test_the_newest_samples_can_be_had_back():
    recent, sound = Recent(1000), np.arange(20_000, dtype=np.float32)
    at = 0
    for size in np.random.default_rng(1).integers(0, 1500, 30):
        recent.add(sound[at : at + size])
        at = min(at + size, len(sound))
        assert recent.total == at
        np.testing.assert_array_equal(recent.since(recent.oldest), sound[max(0, at - 1000) : at])
    with pytest.raises(ValueError, match="not among"):
        recent.since(recent.oldest - 1)


# What is heard -------------------------------------------------------------------------------------------------------


def test_the_current_emotion_follows_the_sound(begin):
    live = begin(Ear())
    session = live.open(RATE)
    assert session.look().now == ""
    say(live, session, tone(3))
    wait_for(lambda: session.look().now == "angry")
    assert session.look().probability == pytest.approx(54.6 / 62.6, abs=0.01)
    say(live, session, tone(3, SOFT))
    wait_for(lambda: session.look().now == "sad")
    say(live, session, np.zeros(2 * RATE, dtype=np.float32))
    wait_for(lambda: session.look().now == "silence")
    seen = session.look()
    assert (seen.first, seen.seconds) == (0, 8)
    winners = seen.probabilities.argmax(axis=1)
    assert set(winners[: int(2.7 * 50)]) == {INDEX["angry"]}
    assert set(winners[int(3.3 * 50) : int(5.9 * 50)]) == {INDEX["sad"]}
    assert seen.silent[int(6.2 * 50) :].all() and not seen.silent[: int(5.8 * 50)].any()


def test_settled_frames_stay_and_the_newest_are_heard_again(session):
    session.feed(tone(4), 0)
    listen(session)
    first = session.look()
    assert first.settled == len(first.probabilities) - CONTEXT == frame_count(4 * RATE) - CONTEXT
    session.feed(tone(1, SOFT), 4 * RATE)
    session.take(0, Timeline(np.full((frame_count(5 * RATE), 9), 1.0, dtype=np.float32)))  # now all are as likely
    second = session.look()
    np.testing.assert_array_equal(second.probabilities[: first.settled], first.probabilities[: first.settled])
    open_ones = second.probabilities[first.settled : len(first.probabilities)]
    assert (open_ones < first.probabilities[first.settled :]).any(axis=1).all()  # each is between both answers
    np.testing.assert_allclose(open_ones.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(second.probabilities[len(first.probabilities) :], 1 / 9, atol=1e-6)
    later = session.look(first.settled)
    assert later.first == first.settled
    np.testing.assert_array_equal(later.probabilities, second.probabilities[first.settled :])
    assert len(session.look(10**6).probabilities) == 0


def test_a_guess_gives_way_to_passes_that_have_heard_more(session):
    """The frame has 100 frames after it in the first pass and 120 in the second: these are their weights."""
    session.feed(tone(4), 0)
    frames = frame_count(4 * RATE)
    angry, sad = (np.zeros((frames, 9), dtype=np.float32) for _ in range(2))
    angry[:, INDEX["angry"]] = sad[:, INDEX["sad"]] = 50
    session.take(0, Timeline(angry))
    session.take(0, Timeline(np.concatenate([sad, sad[:20]])))
    seen = session.look()
    frame = frames - 100
    assert seen.probabilities[frame, INDEX["angry"]] == pytest.approx(100 / 220)
    assert seen.probabilities[frame, INDEX["sad"]] == pytest.approx(120 / 220)
    assert seen.probabilities[-1, INDEX["sad"]] == pytest.approx(1)


def test_a_window_holds_the_context_of_what_is_not_settled_and_no_more_than_a_pass(session):
    for second in range(100):
        session.feed(tone(1), second * RATE)
        settled = session.look().settled
        start, frames = listen(session, pace=[1e-4, 0.005, 0.02][second % 3])
        assert start % 4 == 0 and start <= max(0, settled - CONTEXT) + 4
        assert frames <= LONGEST * 50
    _, frames = listen(session, pace=1e-4)
    assert frames == pytest.approx(LONGEST * 50, abs=4)
    _, frames = listen(session, pace=100.0)
    assert frames == pytest.approx(SHORTEST * 50, abs=4)
    session.feed(tone(20), 100 * RATE)
    _, frames = listen(session, pace=1.0)
    assert frames == pytest.approx(PATIENCE * 50, abs=4)


def test_what_a_slow_model_cannot_follow_is_left_out_of_the_view(session):
    session.feed(tone(4), 0)
    listen(session)
    session.feed(tone(16), 4 * RATE)
    start, _ = listen(session, pace=10.0)
    seen = session.look()
    assert start == pytest.approx(15 * 50, abs=4)
    sums = seen.probabilities.sum(axis=1)
    gap = slice(frame_count(4 * RATE), start)
    assert not sums[gap].any()
    np.testing.assert_allclose(np.delete(sums, np.r_[gap]), 1, atol=1e-5)
    assert len(read(session.stop())) == 20 * RATE


def test_memory_stays_the_same_however_long_somebody_speaks(session):
    for second in range(90):
        session.feed(tone(1), second * RATE)
        listen(session)
    seen = session.look()
    assert len(seen.probabilities) == KEPT
    assert seen.first == frame_count(90 * RATE) - KEPT
    assert session._recent._room.nbytes == 2 * 4 * LONGEST * RATE
    assert seen.seconds == 90


# Nothing is lost -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_a_slow_model_loses_nothing(begin, rate):
    ear = Ear(takes=0.4)
    live = begin(ear)
    session = live.open(rate)
    sound = tone(60, rate=rate) * np.linspace(0.2, 1, 60 * rate, dtype=np.float32)  # no second is like another
    began = time.monotonic()
    say(live, session, sound, rate // 4)
    assert time.monotonic() - began < 2  # nobody waited for the model
    recorded = read(session.stop())
    assert abs(len(recorded) - 60 * RATE) <= 1
    wanted = tone(60) * np.linspace(0.2, 1, 60 * RATE)
    inside = slice(1000, len(recorded) - 1000)
    assert np.abs(recorded[inside] - wanted[: len(recorded)][inside]).max() < 0.002
    assert 1 <= len(ear.heard) <= 6


def test_pieces_that_come_twice_or_too_early_change_nothing(begin):
    live = begin(Ear())
    session, sound = live.open(RATE), np.linspace(-0.9, 0.9, 4 * PIECE, dtype=np.float32)
    assert session.feed(sound[:PIECE], 0) == PIECE
    assert session.feed(sound[:PIECE], 0) == PIECE  # the answer got lost
    assert session.feed(sound[3 * PIECE :], 3 * PIECE) == PIECE  # a piece is missing
    assert session.feed(sound[: 3 * PIECE], 0) == 3 * PIECE  # half of it is known
    assert session.feed(sound[3 * PIECE :], 3 * PIECE) == 4 * PIECE
    np.testing.assert_allclose(read(session.stop()), sound, atol=2**-15)
    assert session.feed(tone(1), 4 * PIECE) == 4 * PIECE  # too late
    assert len(read(session.stop())) == 4 * PIECE


def test_the_limit_ends_a_recording_with_a_sentence_and_keeps_it(begin):
    live = begin(Ear(), limit=2.0)
    session = live.open(48_000)
    say(live, session, tone(1.9, rate=48_000))
    assert session.look().full == ""
    say(live, session, tone(2, rate=48_000))
    assert session.look().full == "The recording has reached the limit of 2 s, so it was stopped."
    assert session.received == 3.9 * 48_000  # the browser need not send it again
    assert len(read(session.stop())) == 2 * RATE


def test_a_full_disk_ends_a_recording_and_keeps_it(session):
    session.feed(tone(1), 0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        for second in range(1, 4):
            session.feed(tone(1), second * RATE)
        assert "no room" in session.look().full
        file = session.stop()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert RATE <= len(read(file)) <= 25_000


# Several at once, and the end ----------------------------------------------------------------------------------------


def test_everybody_gets_a_turn(begin):
    ear = Ear(takes=0.02)
    live = begin(ear)
    sessions = [live.open(RATE) for _ in range(3)]
    levels = dict(zip([0.9, 0.6, 0.3], sessions, strict=True))
    end = time.monotonic() + 1.2
    while time.monotonic() < end:
        for level, session in levels.items():
            say(live, session, tone(0.25, level))
        time.sleep(0.02)
    heard = [np.abs(part).max() for part in ear.heard]
    turns = [sum(abs(peak - level) < 0.01 for peak in heard) for level in levels]
    assert sum(turns) == len(heard) >= 9
    assert max(turns) - min(turns) <= 2
    assert len(live._sessions) == 3
    assert len({session.file for session in sessions}) == 3


def test_a_model_in_trouble_is_said_and_tried_again(begin, monkeypatch):
    monkeypatch.setattr("emoscope.live.REST", 0.05)
    ear = Ear(trouble=ModelError("The model is broken."))
    live = begin(ear)
    session = live.open(RATE)
    say(live, session, tone(1))
    wait_for(lambda: session.look().trouble == "The model is broken.")
    ear.trouble = ZeroDivisionError()
    say(live, session, tone(1))
    wait_for(lambda: session.look().trouble == UNFORESEEN)
    ear.trouble = None
    say(live, session, tone(1))
    wait_for(lambda: session.look().now == "angry")
    assert session.look().trouble == ""
    assert len(read(session.stop())) == 3 * RATE


def test_a_session_that_ends_leaves_nothing(begin):
    live = begin(Ear())
    session = live.open(RATE)
    say(live, session, tone(1))
    file = session.file
    assert file.is_file() and file.parent.stat().st_mode & 0o077 == 0
    live.end(session.token)
    live.end(session.token)
    assert session.ended.is_set() and not file.exists()
    for use in (lambda: live.find(session.token), lambda: live.feed(session.token, tone(1), RATE)):
        with pytest.raises(InputError, match=ENDED):
            use()
    other = live.open(RATE)
    live.close()
    assert other.ended.is_set() and not file.parent.exists()
    assert not any(thread.name == "live-listener" and thread.is_alive() for thread in threading.enumerate())


def test_a_session_without_a_visitor_ends(begin, monkeypatch):
    live = begin(Ear())
    session = live.open(RATE)
    monkeypatch.setattr("emoscope.live.IDLE", 0.01)
    time.sleep(0.05)
    live.open(RATE)
    assert session.ended.is_set()


def test_the_room_is_limited(begin):
    live = begin(Ear())
    for _ in range(CROWD):
        live.open(RATE)
    with pytest.raises(InputError, match=CROWDED):
        live.open(RATE)


def test_a_pass_does_not_wait_for_an_analysis(tmp_path):
    """An hour's file may be heard for minutes; who speaks now must not stand still for it."""
    gate, inside = threading.Event(), threading.Event()
    ear = Ear()

    @dataclass
    class Slow:
        info: ModelInfo = INFO

        def listen(self, wave, **_):
            if len(wave.samples) > 20 * RATE:
                inside.set()
                assert gate.wait(10)
            return ear(wave)

    settings = settings_for(tmp_path)
    analyzer = Analyzer(Settings(speech_model=settings.speech_model), load=lambda _folder: Slow())
    session = Session(tmp_path / "long.wav", RATE, limit=60)
    session.feed(tone(30), 0)
    thread = threading.Thread(target=analyzer.analyze, args=(session.stop(), Options()))
    thread.start()
    assert inside.wait(10)
    live = Live(analyzer.listen, limit=60)
    mine = live.open(RATE)
    say(live, mine, tone(1))
    wait_for(lambda: mine.look().now == "angry")
    assert thread.is_alive()
    gate.set()
    thread.join(10)
    live.close()


def test_one_thread_stays_on_one_core_and_the_others_do_not():
    found = {}

    def measure(name, use):
        def run():
            use()
            found[name] = torch.get_num_threads()

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()

    before = torch.get_num_threads()
    measure("usual", lambda: None)
    measure("alone", lambda: stay_on_one_core(True))
    measure("back", lambda: (stay_on_one_core(True), stay_on_one_core(False)))
    measure("new", lambda: None)
    assert found == {"usual": before, "alone": 1, "back": before, "new": before}
    assert torch.get_num_threads() == before


# The way of the sound ------------------------------------------------------------------------------------------------


@pytest.fixture
def browser(begin):
    """What a browser talks to: a client, and the sessions behind it."""
    live, app = begin(Ear(), limit=10), FastAPI()
    add_routes(app, live)
    with TestClient(app) as client:
        yield client, live


def pcm(sound):
    return np.rint(sound * 2**15).astype("<i2").tobytes()


def test_a_browser_sends_sound_and_is_told_what_was_heard(browser):
    client, live = browser
    token = client.post("/live?rate=16000").json()["token"]
    sound = tone(4)
    for first in range(0, len(sound), PIECE):
        answer = client.post(f"/live/{token}?first={first}&since=0", content=pcm(sound[first : first + PIECE])).json()
        assert answer["received"] == first + PIECE
    assert (answer["now"], answer["full"], answer["trouble"]) == ("angry", "", "")
    assert answer["heard"] == pytest.approx(4, abs=0.3)
    frames = np.frombuffer(base64.b64decode(answer["frames"]), dtype=np.uint8).reshape(-1, 10)
    assert len(frames) == round(answer["heard"] * 50)
    assert answer["settled"] == len(frames) - CONTEXT
    assert (frames[:, INDEX["angry"]] == 222).all() and not frames[:, 9].any()  # 255 * 54.6 / 62.6
    since = answer["settled"]
    later = client.post(f"/live/{token}?first={len(sound)}&since={since}", content=pcm(tone(9)))
    assert later.json()["first"] == since
    more = client.post(f"/live/{token}?first={13 * RATE}", content=b"").json()
    assert "limit of 10 s" in more["full"]
    np.testing.assert_allclose(read(live.find(token).stop())[: 4 * RATE], sound, atol=2**-15)
    assert client.post(f"/live/{token}/leave").status_code == 204
    gone = client.post(f"/live/{token}?first=0", content=b"")
    assert (gone.status_code, gone.json()["detail"]) == (410, ENDED)


def test_what_is_no_sound_is_refused(browser):
    client, live = browser
    token = client.post("/live?rate=16000").json()["token"]
    assert client.post(f"/live/{token}?first=0", content=b"odd").status_code == 400
    assert client.post(f"/live/{token}?first=0", content=bytes(MOST + 2)).status_code == 413
    assert client.post(f"/live/{token}?first=-1", content=b"").status_code == 422
    assert client.post("/live/nobody?first=0", content=b"").status_code == 410
    assert client.post("/live?rate=7").status_code == 503
    assert live.find(token).received == 0


def test_the_recorder_is_a_script(browser):
    answer = browser[0].get("/live/recorder.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "registerProcessor" in answer.text


# The report ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def desk(tmp_path, begin):
    settings = settings_for(tmp_path)
    analyzer, gate = patient_analyzer(settings)
    return Desk(analyzer, settings, begin(analyzer.listen), Keeper(settings)), gate


def test_a_stop_leaves_a_report_of_all_that_was_said(desk):
    desk, gate = desk
    gate.clear()  # the model is too slow for any view
    session = desk.live.open(48_000)
    say(desk.live, session, tone(5, rate=48_000), piece=12_000)
    gate.set()
    *moments, last = answer(desk, session.token, "en")
    assert all(0 <= moment["done"] <= 1 for moment in moments)
    assert last.verdict["file"].startswith("live-") and last.verdict["file"].endswith(".wav")
    assert last.timeline["seconds"] == pytest.approx(5, abs=1e-4)
    names = [file["name"] for file in last.downloads["files"]]
    assert {"result.json", "processed_audio.wav", "timeline.csv"} <= set(names)
    with pytest.raises(gr.Error, match="has ended"):
        list(answer(desk, session.token, "en"))
    assert not session.file.exists()


def test_a_report_that_fails_can_be_tried_again(desk):
    desk, _ = desk
    session = desk.live.open(RATE)
    say(desk.live, session, tone(2))
    outputs = desk.settings.outputs
    outputs.rmdir()
    outputs.write_text("in the way")
    with pytest.raises(gr.Error):
        list(answer(desk, session.token, "en"))
    outputs.unlink()
    outputs.mkdir()
    *_, last = answer(desk, session.token, "en")
    assert last.timeline["seconds"] == 2


def test_who_leaves_stops_the_analysis(desk):
    desk, gate = desk
    gate.clear()
    session = desk.live.open(RATE)
    say(desk.live, session, tone(2))
    news = answer(desk, session.token, "en")
    assert next(news)["what"]
    desk.live.end(session.token)
    *moments, last = news
    assert all(isinstance(each, dict) for each in moments)
    assert last is None
    gate.set()


@pytest.mark.parametrize(("minutes", "megabytes", "seconds"), [(120, 500, 7200), (1, 500, 60), (120, 1, 31.2)])
def test_the_limit_of_a_session_is_that_of_a_file(minutes, megabytes, seconds):
    assert longest(Settings(max_minutes=minutes, max_mb=megabytes)) == pytest.approx(seconds, abs=0.1)
