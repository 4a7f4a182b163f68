"""A recording in, a report out, with a model whose answers are known."""

import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace

import numpy as np
import pytest
import soundfile

from emoscope.analyzer import ALL_SILENT, Analyzer
from emoscope.errors import AudioError, Cancelled, ModelError, TooLargeError
from emoscope.settings import ROOT, Options, Settings
from emoscope.speech import checkpoint
from emoscope.timeline import SILENCE
from tests import standins
from tests.fakes import HalfAndHalf

RATE = 16_000


def tone(seconds, level=0.3):
    return (level * np.sin(2 * np.pi * 220 * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


@pytest.fixture
def clip(tmp_path):
    """Write samples to a WAV file and return it."""

    def write(samples, name="clip.wav"):
        soundfile.write(tmp_path / name, samples, RATE, subtype="FLOAT")
        return tmp_path / name

    return write


@pytest.fixture
def analyzer(tmp_path):
    return Analyzer(Settings(outputs=tmp_path / "outputs"), load=lambda _folder: HalfAndHalf())


def test_the_report_says_what_was_heard_by_whom_and_how(analyzer, clip):
    report = analyzer.analyze(clip(tone(4)), Options(granularity="frame"), name="my voice.wav")
    first, second = report.speech.timeline.segments(0.5)
    assert (first.label, second.label) == ("angry", "sad")
    assert first.end == pytest.approx(2.0, abs=0.03)
    assert report.verdict.emotion == "sad"  # the odd frame decides
    assert report.verdict.certainty == "close call"
    assert report.recording.source.name == "my voice.wav"
    assert report.model.name == "half-and-half"
    assert set(report.seconds) == {"decode", "model", "speech"}
    assert report.made_at.tzinfo is not None


def test_trimmed_times_stay_on_the_clock_of_the_file(analyzer, clip):
    file = clip(np.concatenate([np.zeros(3 * RATE, np.float32), tone(4), np.zeros(2 * RATE, np.float32)]))
    report = analyzer.analyze(file, Options(trim=True))
    segments = [segment for segment in report.speech.timeline.segments(0.5) if segment.label != SILENCE]
    assert segments[0].start == pytest.approx(3.0, abs=0.3)
    assert segments[-1].end == pytest.approx(7.0, abs=0.3)
    assert segments[0].end == pytest.approx(5.0, abs=0.2)
    assert report.recording.quality.duration == pytest.approx(9.0, abs=0.01)


def test_silence_in_the_middle_is_a_segment_of_its_own(analyzer, clip):
    report = analyzer.analyze(clip(np.concatenate([tone(2), np.zeros(2 * RATE, np.float32), tone(2)])), Options())
    silent = [segment for segment in report.speech.timeline.segments(0.5) if segment.label == SILENCE]
    assert len(silent) == 1
    assert silent[0].start == pytest.approx(2.0, abs=0.1)
    assert silent[0].end == pytest.approx(4.0, abs=0.1)


def test_a_silent_recording_is_answered_and_said_to_mean_nothing(analyzer, clip):
    report = analyzer.analyze(clip(np.zeros(2 * RATE, np.float32)), Options())
    assert report.silent
    assert ALL_SILENT in report.warnings
    assert {segment.label for segment in report.speech.timeline.segments()} == {SILENCE}


def test_features_are_kept_only_for_frames_with_embedding(analyzer, clip):
    file = clip(tone(1))
    assert analyzer.analyze(file, Options(granularity="frame")).speech.features is None
    assert analyzer.analyze(file, Options(embedding=True)).speech.features is None
    assert analyzer.analyze(file, Options(granularity="frame", embedding=True)).speech.features.shape == (49, 6)


def test_a_person_can_cancel_between_steps_and_the_next_analysis_runs(analyzer, clip):
    file = clip(tone(1))

    def stop(what, _done):
        if what == "Listening":
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        analyzer.analyze(file, Options(), progress=stop)
    assert analyzer.analyze(file, Options()).verdict.emotion == "sad"


def test_a_waiting_analysis_can_be_cancelled_while_another_one_runs(clip):
    listening, go_on = threading.Event(), threading.Event()

    class Slow(HalfAndHalf):
        def listen(self, wave, *, features=False, progress):
            listening.set()
            assert go_on.wait(10)
            return super().listen(wave, features=features, progress=progress)

    analyzer = Analyzer(Settings(), load=lambda _folder: Slow())
    file = clip(tone(1))
    first = threading.Thread(target=analyzer.analyze, args=(file, Options()))
    first.start()
    assert listening.wait(10)

    def stop(what, _done):
        if what.startswith("Waiting"):
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        analyzer.analyze(file, Options(), progress=stop)
    go_on.set()
    first.join(10)
    assert not first.is_alive()


def test_limits_come_from_the_settings(clip):
    analyzer = Analyzer(Settings(max_minutes=1 / 60), load=lambda _folder: HalfAndHalf())
    with pytest.raises(TooLargeError, match="EMOSCOPE_MAX_MINUTES"):
        analyzer.analyze(clip(tone(3)), Options())


def test_a_missing_file_and_a_missing_model_are_sentences(tmp_path, analyzer, clip):
    with pytest.raises(AudioError, match=r"nowhere\.wav"):
        analyzer.analyze(tmp_path / "nowhere.wav", Options())
    with pytest.raises(ModelError, match="no whole speech model in"):
        analyzer.analyze(clip(tone(1)), Options(model=str(tmp_path / "no-model")))


def test_the_model_loads_in_the_background_once_and_the_status_follows(clip):
    opened = []
    gate = threading.Event()

    def load(folder):
        assert gate.wait(10)
        opened.append(folder)
        return HalfAndHalf()

    analyzer = Analyzer(Settings(speech_model="compact"), load=load)
    assert analyzer.status.state == "loading"
    analyzer.start()
    gate.set()
    analyzer.analyze(clip(tone(1)), Options())
    wait_for(lambda: analyzer.status.state == "ready")
    assert len(opened) == 1
    assert analyzer.status.model.name == "half-and-half"
    assert "compact" in analyzer.status.sentence


def test_a_model_that_does_not_load_is_a_status_with_its_sentence():
    def load(_folder):
        raise ModelError("The weights are damaged. Download them again.")

    analyzer = Analyzer(Settings(speech_model="compact"), load=load)
    analyzer.start()
    wait_for(lambda: analyzer.status.state == "failed")
    assert analyzer.status.sentence == "The weights are damaged. Download them again."


def test_a_fault_while_loading_is_logged_and_does_not_leave_the_page_waiting(caplog):
    def load(_folder):
        raise ZeroDivisionError

    analyzer = Analyzer(Settings(speech_model="compact"), load=load)
    analyzer.start()
    wait_for(lambda: analyzer.status.state == "failed")
    assert "log" in analyzer.status.sentence
    assert "ZeroDivisionError" in caplog.text


def test_the_compact_model_is_named_in_the_warnings(clip):
    analyzer = Analyzer(Settings(speech_model="compact"), load=lambda _folder: replace(HalfAndHalf()))
    assert any("compact" in warning for warning in analyzer.analyze(clip(tone(1)), Options()).warnings)


# ---- the large model in the background


LARGE = "emotion2vec_plus_large"


def looks_complete(folder):
    folder.mkdir(parents=True)
    for name in ("config.yaml", "tokens.txt", "model.pt"):
        (folder / name).touch()


@dataclass(frozen=True)
class Named(HalfAndHalf):
    """Is called what its folder is called."""

    @classmethod
    def load(cls, folder):
        return cls(info=replace(HalfAndHalf().info, name=folder.name, note="its own note"))


@pytest.fixture
def store(tmp_path):
    """A models folder with a compact model only."""
    looks_complete(tmp_path / "models" / "compact-speech")
    return tmp_path / "models"


def test_the_compact_model_answers_until_the_large_one_is_there(store, clip):
    begun, arrive = threading.Event(), threading.Event()

    def fetch(progress):
        progress("Downloading model.pt from a hub (512 of 1,951 MB)", 0.25)
        looks_complete(store / LARGE)  # it lies in its place before it was compared with FunASR
        begun.set()
        assert arrive.wait(10)

    file, analyzer = clip(tone(1)), Analyzer(Settings(models=store), load=Named.load, fetch=fetch)
    analyzer.start()
    assert begun.wait(10)
    assert analyzer.status.state == "ready"
    assert analyzer.status.model.name == "compact-speech"
    assert (analyzer.status.done, analyzer.status.doing) == (0.25, "Downloading model.pt from a hub (512 of 1,951 MB)")
    for words in ("1.95 GB", "EMOSCOPE_OFFLINE=1", "EMOSCOPE_SPEECH_MODEL=compact"):
        assert words in analyzer.status.news
    assert analyzer.analyze(file, Options()).model.name == "compact-speech"
    arrive.set()
    wait_for(lambda: analyzer.status.done is None)
    assert analyzer.status.model.name == LARGE
    assert "answers from the next analysis on" in analyzer.status.news
    report = analyzer.analyze(file, Options())
    assert (report.model.name, report.model.note) == (LARGE, "its own note")


def test_no_network_is_one_calm_sentence_and_one_attempt(store, clip, caplog):
    attempts = []

    def fetch(_progress):
        attempts.append(1)
        raise ModelError("Emotion2Vec+ Large could not be downloaded: the hub could not be reached.")

    analyzer = Analyzer(Settings(models=store), load=Named.load, fetch=fetch)
    analyzer.start()
    wait_for(lambda: analyzer.status.news.endswith("could not be reached."))
    analyzer._background.join(10)
    assert (analyzer.status.state, analyzer.status.done) == ("ready", None)
    assert len(attempts) == 1
    assert caplog.text.count("could not be reached") == 1
    assert analyzer.analyze(clip(tone(1)), Options()).model.name == "compact-speech"
    looks_complete(store / LARGE)  # a person may get it by hand
    assert analyzer.analyze(clip(tone(1)), Options()).model.name == LARGE


def test_a_fault_of_the_download_is_logged_and_the_compact_model_stays(store, caplog):
    analyzer = Analyzer(Settings(models=store), load=Named.load, fetch=lambda _progress: 1 / 0)
    analyzer.start()
    wait_for(lambda: "the log of this process" in analyzer.status.news)
    assert "ZeroDivisionError" in caplog.text
    assert analyzer.status.model.name == "compact-speech"


@pytest.mark.parametrize(
    "changed", [{"offline": True}, {"speech_model": "compact"}, {"speech_model": "large"}, {}], ids=str
)
def test_nothing_is_fetched_unless_it_is_wanted_and_missing(store, changed):
    if not changed:
        looks_complete(store / LARGE)
        (store / LARGE / "certificate.json").touch()
    fetched = []
    analyzer = Analyzer(Settings(models=store, **changed), load=Named.load, fetch=fetched.append)
    analyzer.start()
    analyzer._background.join(10)
    assert analyzer.status.state == ("failed" if changed.get("speech_model") == "large" else "ready")
    assert fetched == []
    assert analyzer.status.news == ""


def test_an_analysis_alone_fetches_nothing(store, clip):
    """The command line never starts the background."""
    fetched = []
    analyzer = Analyzer(Settings(models=store), load=Named.load, fetch=fetched.append)
    assert analyzer.analyze(clip(tone(1)), Options()).model.name == "compact-speech"
    analyzer.stop()
    assert fetched == []


def test_stopping_ends_the_download(store):
    def fetch(progress):
        while True:
            progress("Downloading", 0.5)
            time.sleep(0.01)

    analyzer = Analyzer(Settings(models=store), load=Named.load, fetch=fetch)
    analyzer.start()
    wait_for(lambda: analyzer.status.doing == "Downloading")
    analyzer.stop()
    assert not analyzer._background.is_alive()
    assert (analyzer.status.news, analyzer.status.done) == ("", None)


# ---- a model that is there, but was never compared with FunASR's network


@dataclass(frozen=True)
class Compared(HalfAndHalf):
    """Says whether there was a certificate beside it when it was loaded."""

    @classmethod
    def load(cls, folder):
        note = "compared" if (folder / "certificate.json").exists() else "not compared"
        return cls(info=replace(HalfAndHalf().info, name=folder.name, note=note))


@pytest.mark.parametrize(("certified", "words"), [(True, "slim weights answer"), (False, "FunASR's answers")])
@pytest.mark.parametrize("changed", [{}, {"speech_model": "large", "offline": True}], ids=str)
def test_a_model_put_there_by_hand_answers_is_compared_and_answers_anew(store, clip, changed, certified, words):
    looks_complete(store / LARGE)
    begun, end = threading.Event(), threading.Event()

    def certify(name, progress):
        progress(f"Comparing {name}", 0.5)
        begun.set()
        assert end.wait(10)
        (store / LARGE / "certificate.json").touch()
        return certified

    file = clip(tone(1))
    analyzer = Analyzer(Settings(models=store, **changed), load=Compared.load, certify=certify)
    analyzer.start()
    assert begun.wait(10)
    assert (analyzer.status.state, analyzer.status.doing, analyzer.status.done) == ("ready", "Comparing large", 0.5)
    assert "is being compared with FunASR's own network" in analyzer.status.news
    assert analyzer.status.model.note == analyzer.analyze(file, Options()).model.note == "not compared"
    end.set()
    wait_for(lambda: analyzer.status.done is None)
    assert words in analyzer.status.news
    assert analyzer.status.model.note == analyzer.analyze(file, Options()).model.note == "compared"


@pytest.mark.parametrize(
    ("fault", "words"), [(ModelError("It stopped."), "It stopped."), (ZeroDivisionError(), "the log of this process")]
)
def test_a_comparison_that_fails_is_one_sentence_and_the_model_stays(store, clip, fault, words):
    looks_complete(store / LARGE)
    attempts = []

    def certify(name, _progress):
        attempts.append(name)
        raise fault

    analyzer = Analyzer(Settings(models=store), load=Compared.load, certify=certify)
    analyzer.start()
    analyzer._background.join(10)
    assert words in analyzer.status.news
    assert (analyzer.status.state, analyzer.status.done, attempts) == ("ready", None, ["large"])
    assert analyzer.analyze(clip(tone(1)), Options()).model.note == "not compared"


def test_models_of_other_folders_are_left_as_they_are(store, tmp_path):
    looks_complete(tmp_path / "mine")
    for name in ("compact", str(tmp_path / "mine")):
        compared = []
        analyzer = Analyzer(Settings(models=store, speech_model=name), load=Compared.load, certify=compared.append)
        analyzer.start()
        analyzer._background.join(10)
        assert (analyzer.status.state, analyzer.status.news, compared) == ("ready", "", [])


@pytest.mark.slow  # FunASR alone takes many seconds to import
def test_a_real_model_put_there_by_hand_is_certified(tmp_path, clip):
    conf, network = standins.small_oracle()
    standins.write_folder(tmp_path / "models" / LARGE, conf, network.state_dict())
    file, analyzer = clip(tone(1)), Analyzer(Settings(models=tmp_path / "models", offline=True, threads=1))
    analyzer.start()
    wait_for(lambda: analyzer.status.state == "ready", 30)
    before = analyzer.analyze(file, Options())
    assert before.model.note == checkpoint.UNCERTIFIED
    wait_for(lambda: "slim weights answer" in analyzer.status.news, 90)
    after = analyzer.analyze(file, Options())
    assert after.model.note == ""
    assert after.model.weights != before.model.weights
    assert after.verdict.scores == pytest.approx(before.verdict.scores, abs=1e-4)


START = """
import os, pathlib, sys
FORBIDDEN = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "subprocess.Popen",
             "os.posix_spawn", "os.fork")
import torch, numpy  # what they start while they are imported is theirs
sys.addaudithook(lambda event, _: os._exit(77) if event.startswith(FORBIDDEN) else None)
from emoscope.analyzer import Analyzer
from emoscope.settings import Settings
analyzer = Analyzer(Settings(models=pathlib.Path(sys.argv[1])))
analyzer.start()
analyzer._background.join(60)
print(analyzer.status.state, analyzer.status.model.name, repr(analyzer.status.news))
"""


def test_a_start_with_everything_present_makes_no_connection(tmp_path):
    conf = standins.model_conf(**standins.SMALL)
    standins.write_folder(tmp_path / LARGE, conf, None)
    checkpoint.save_slim(standins.our_network(conf), tmp_path / LARGE)  # with model.pt it would be compared first
    run = subprocess.run([sys.executable, "-c", START, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["ready", LARGE, "''"]


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
