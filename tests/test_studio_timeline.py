"""What the timeline is given: bytes that say what the report says, the 2 s that decided, a sound to play."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emoscope.labels import INDEX, LABELS
from emoscope.results import Waveform
from emoscope.settings import Options
from emoscope.studio import timeline
from emoscope.timeline import NAMES, Timeline
from tests import reports
from tests.browser.studio import patient_analyzer, settings_for

RATE = 16_000


@pytest.fixture
def report(tmp_path):
    """Four seconds: angry until 1.98 s, then sad."""
    soundfile.write(tmp_path / "tone.wav", 0.3 * np.sin(np.arange(4 * RATE) / 10), RATE)
    return patient_analyzer(settings_for(tmp_path))[0].analyze(tmp_path / "tone.wav", Options(granularity="frame"))


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    from emoscope.studio.shelf import Shelf

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    return Shelf()


def heard(report, **changed):
    """The report with another timeline."""
    return reports.altered(report, speech=replace(report.speech, timeline=Timeline(**changed)))


def content(reference):
    return Path(reference["path"]).read_bytes()


def unpacked(packed):
    """Nine probabilities per frame, as the browser reads them, (T, 9)."""
    squares = packed[:9].astype(float) ** 2
    return (squares / squares.sum(axis=0)).T


def test_frames_are_packed_as_roots_that_keep_small_probabilities():
    logits = np.random.default_rng(0).normal(0, 3, (2000, 9)).astype(np.float32)
    silent = np.arange(2000) < 10
    packed = timeline.pack_frames(Timeline(logits, silent=silent))
    assert packed.shape == (10, 2000)
    assert packed.dtype == np.uint8
    assert (packed[9] == np.where(silent, 255, 0)).all()
    wanted = Timeline(logits).probabilities(0)
    assert np.abs(unpacked(packed) - wanted).max() < 0.004
    sure = np.zeros((1, 9), np.float32)
    sure[0, :2] = 14, 3
    rest = timeline.pack_frames(Timeline(sure))[1:9, 0]
    assert rest[0] > 0 == rest[1]  # one in 60,000 is told from none


def test_the_waveform_is_packed_by_its_bounds():
    samples = np.zeros(1000, np.float32)
    samples[330], samples[650] = 0.5, -0.25
    assert timeline.pack_wave(samples, 320).tolist() == [[0, 0], [0, 127], [-64, 0], [0, 0]]
    assert (timeline.pack_wave(np.zeros(400, np.float32), 16) == 0).all()


def test_the_segments_are_those_of_the_downloads(report):
    listed = json.loads(timeline.pack_segments(report.speech.timeline, 0.5))
    wanted = report.to_dict()["timeline"]["segments"]
    assert [NAMES[winner] for winner, *_ in listed] == [each["label"] for each in wanted]
    for one, other in zip(listed, wanted, strict=True):
        assert one[1:] == pytest.approx([other["start"], other["end"], other["probability"]], abs=5e-5)


@pytest.mark.parametrize(
    ("contributions", "window"),
    [
        ([1.0] * 30, (0, 30)),  # under 2 s: the whole
        ([0.0] * 150 + [1.0] * 100 + [0.0] * 50, (150, 250)),
        ([-1.0] * 200 + [0.1] * 150, (200, 300)),  # of equals the earlier
        ([5.0] + [0.0] * 120 + [0.06] * 100, (121, 221)),  # 6 in 2 s are more than 5 in one frame
        ([-3.0] * 300, (0, 100)),
    ],
)
def test_the_decisive_two_seconds(contributions, window):
    assert timeline.find_decisive(np.array(contributions)) == window


def test_the_evidence_is_the_odds_of_the_first_over_the_second(report, shelf):
    logits = np.zeros((300, 9), np.float32)
    logits[:, INDEX["sad"]] = 1
    logits[100:200, INDEX["sad"]] = 4
    logits[:50, INDEX["angry"]] = 2
    found = timeline.view(heard(report, logits=logits, start=1.5), shelf)["evidence"]
    assert (found["label"], found["against"]) == ("sad", "angry")
    assert (found["start"], found["end"]) == pytest.approx((3.5, 5.5))
    assert found["share"] == pytest.approx(400 / (400 + 50 + 100))
    curve = np.frombuffer(content(found["curve"]), np.int8)
    assert curve[[0, 60, 150, 250]].tolist() == [-32, 32, 127, 32]


def test_a_model_that_knows_one_emotion_has_evidence_without_odds(report, shelf):
    logits = np.full((150, 9), -np.inf, np.float32)
    logits[:, 3] = 1
    found = timeline.view(heard(report, logits=logits), shelf)["evidence"]
    assert (found["label"], found["against"]) == (LABELS[3], None)


def test_silence_has_no_evidence(report, shelf):
    logits = report.speech.timeline.logits
    silent = heard(report, logits=logits, silent=np.ones(len(logits), bool))
    assert timeline.view(silent, shelf)["evidence"] is None


def test_a_short_sound_is_played_from_a_wav(report, shelf):
    shown = timeline.view(report, shelf)
    played, rate = soundfile.read(shown["audio"]["path"], dtype="float32")
    assert rate == 16_000
    assert np.abs(played - report.recording.wave.samples).max() < 2**-15
    assert not shown["audio_comes"]
    assert len(content(shown["frames"])) == 10 * 199
    assert len(content(shown["wave"])) == 2 * 4000
    assert (shown["start"], shown["seconds"], shown["wave_hop"]) == (0.0, 4.0, 0.001)


def test_a_long_sound_is_compressed_behind_an_empty_file(report, shelf, tmp_path):
    long = Waveform(np.tile(report.recording.wave.samples, 31))
    shown = timeline.view(reports.altered(report, recording=replace(report.recording, wave=long)), shelf)
    assert shown["audio_comes"]
    file = Path(shown["audio"]["path"])
    end = time.monotonic() + 30
    while not file.stat().st_size:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert soundfile.info(tmp_path / "tone.wav").frames * 31 * 2 > 5 * file.stat().st_size > 0
    assert [each.name for each in shelf.folder.iterdir() if "unfinished" in each.name] == []
