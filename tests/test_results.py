"""The values that travel: waveforms refuse nonsense, verdicts have words, reports have one JSON schema."""

import json
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from emoscope.labels import INDEX, LABELS
from emoscope.results import CLEAR, CLOSE_CALL, LIKELY, Verdict, Waveform
from emoscope.settings import Options
from emoscope.timeline import SILENCE
from tests import reports

TOP = ["emotion", "confidence", "scores", "granularity", "timestamp"]
SCHEMA = {  # the one schema of command line, REST, history and result.json: what is in it may not vanish
    "emotion": str, "confidence": float, "scores": dict, "granularity": str, "timestamp": str, "id": str,
    "runner_up": str, "margin": float, "certainty": str, "silent": bool, "duration": float, "source": dict,
    "quality": dict, "timeline": dict, "model": dict, "options": dict, "seconds": dict, "warnings": list,
}  # fmt: skip
WITHIN = {
    "source": {"name", "sha256", "bytes", "container", "codec", "sample_rate", "channels"},
    "quality": {"duration", "peak", "clipped", "snr", "silence", "warnings"},
    "model": {"name", "kind", "weights", "precision", "device", "licence", "note"},
    "options": {"granularity", "embedding", "smooth", "trim", "denoise", "normalise", "model", "precision"},
    "timeline": {"hop", "start", "frames", "segments", "turning_points", "shares"},
}


# ---- waveforms


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(399), np.zeros(0), np.zeros((2, 400)), np.zeros((400, 1)), np.full(400, np.nan), np.full(400, np.inf),
        np.full(400, 1e300),
    ],
    ids=["too short", "empty", "stereo", "column", "nan", "inf", "beyond float32"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
def test_a_waveform_refuses(samples):
    with pytest.raises(ValueError, match="waveform"):
        Waveform(samples)


def test_a_waveform_is_float32_and_knows_its_length():
    wave = Waveform(np.arange(800)[::2].astype(np.int16))
    assert wave.samples.dtype == np.float32
    assert wave.samples.flags.c_contiguous
    assert wave.seconds == 0.025


# ---- verdicts


def test_a_verdict_reads_nine_scores():
    scores = np.array([0.05, 0.05, 0.05, 0.52, 0.05, 0.05, 0.15, 0.05, 0.03], dtype=np.float32)
    verdict = Verdict.from_scores(scores)
    assert (verdict.emotion, verdict.runner_up, verdict.certainty) == ("happy", "sad", "likely")
    assert verdict.confidence == verdict.scores["happy"] == pytest.approx(0.52, abs=1e-6)
    assert verdict.margin == pytest.approx(0.37, abs=1e-6)
    assert list(verdict.scores) == list(LABELS)


@pytest.mark.parametrize("seed", range(20))
def test_scores_sum_to_one_in_double_precision(seed):
    scores = np.random.default_rng(seed).dirichlet(np.full(9, 0.3)).astype(np.float32)
    assert sum(Verdict.from_scores(scores).scores.values()) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("margin", "word"),
    [
        (0.0, "close call"), (CLOSE_CALL - 1e-6, "close call"), (CLOSE_CALL + 1e-6, "likely"),
        (CLEAR - 1e-6, "likely"), (CLEAR + 1e-6, "clear"), (1.0, "clear"),
    ],
)  # fmt: skip
def test_certainty_at_its_borders(margin, word):
    scores = np.zeros(9)
    scores[[2, 4]] = (1 + margin) / 2, (1 - margin) / 2
    verdict = Verdict.from_scores(scores)
    assert verdict.certainty == word
    assert verdict.margin == pytest.approx(margin, abs=1e-12)


@pytest.mark.parametrize(
    ("confidence", "word"), [(LIKELY + 1e-6, "likely"), (LIKELY - 1e-6, "leaning"), (0.3, "leaning")]
)
def test_less_than_half_of_the_probability_is_only_leant_to(confidence, word):
    scores = np.full(9, (1 - 1.6 * confidence) / 7)
    scores[[6, 2]] = confidence, 0.6 * confidence
    assert Verdict.from_scores(scores).certainty == word


def test_a_tie_goes_to_the_first_class():
    verdict = Verdict.from_scores(np.full(9, 1 / 9))
    assert (verdict.emotion, verdict.runner_up, verdict.margin) == ("angry", "disgusted", 0.0)


# ---- reports

KINDS = {
    "half and half": reports.half_and_half,
    "pause": reports.pause,
    "one frame": reports.one_frame,
    "all silent": reports.all_silent,
    "trimmed": lambda **how: reports.pause(offset=1.5, after=0.5, **how),
}


@pytest.mark.parametrize("granularity", ["utterance", "frame"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_report_follows_the_schema(kind, granularity):
    found = KINDS[kind](options=Options(granularity=granularity)).to_dict()
    assert list(found)[:5] == TOP
    assert {key: type(value) for key, value in found.items()} == SCHEMA
    frames = {"labels", "probabilities", "silent"} if granularity == "frame" else set()
    for key, names in WITHIN.items():
        assert set(found[key]) == names | (frames if key == "timeline" else set())
    for segment in found["timeline"]["segments"]:
        assert set(segment) == {"label", "start", "end", "probability"}
    assert set(found["timeline"]["shares"]) == set(found["scores"]) == set(LABELS)
    assert sum(found["scores"].values()) == pytest.approx(1.0, abs=1e-12)
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("name", reports.HOSTILE_NAMES.values(), ids=reports.HOSTILE_NAMES)
def test_any_file_name_survives_json(name):
    found = reports.one_frame(name=name).to_dict()
    assert json.loads(json.dumps(found, allow_nan=False))["source"]["name"] == name


def test_a_report_says_what_was_heard():
    found = reports.pause(options=Options(granularity="frame", smooth=0)).to_dict()
    assert (found["emotion"], found["granularity"]) == ("happy", "frame")
    assert found["timestamp"] == "2026-03-01T14:05:09+02:00"
    assert datetime.fromisoformat(found["timestamp"]).tzinfo is not None
    assert found["seconds"] == {"decode": 0.0123, "speech": 0.5}
    timeline = found["timeline"]
    assert [segment["label"] for segment in timeline["segments"]] == ["happy", SILENCE, "happy", "surprised"]
    assert timeline["turning_points"] == [{"time": 5.0, "before": "happy", "after": "surprised"}]
    assert np.shape(timeline["probabilities"]) == (timeline["frames"], 9) == (299, 9)
    assert timeline["probabilities"][0][INDEX["happy"]] == 0.8722
    assert timeline["silent"][99:101] == [False, True]


def test_times_in_a_trimmed_report_are_the_files():
    timeline = reports.half_and_half(4.0, offset=1.5, after=0.5).to_dict()["timeline"]
    assert timeline["start"] == 1.5
    assert [(segment["start"], segment["end"]) for segment in timeline["segments"]] == [(1.5, 3.5), (3.5, 5.5)]


def test_a_silent_report_is_marked():
    assert reports.all_silent().silent
    assert not reports.pause().silent
    assert reports.all_silent().to_dict()["silent"] is True


def test_the_verdict_does_not_depend_on_granularity_or_smoothing():
    report = reports.changing(20)
    for options in (Options(), Options(granularity="frame", smooth=0), Options(smooth=10.0)):
        assert replace(report, options=options).verdict == report.verdict
