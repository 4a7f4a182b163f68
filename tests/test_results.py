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
    "emotion": str, "confidence": float, "scores": dict, "granularity": str, "timestamp": str, "id": str, "mode": str,
    "runner_up": str, "margin": float, "certainty": str, "silent": bool, "duration": float, "source": dict,
    "quality": dict, "speech": dict, "timeline": dict, "model": dict, "text": dict, "fusion": dict, "options": dict,
    "seconds": dict, "warnings": list,
}  # fmt: skip
ABSENT = {  # what is null, because a report of this kind has none
    "speech": {"text", "fusion"},
    "text": {"duration", "source", "quality", "speech", "timeline", "model", "fusion"},
    "multimodal": set(),
}
WITHIN = {
    "source": {"name", "sha256", "bytes", "container", "codec", "sample_rate", "channels"},
    "quality": {"duration", "peak", "clipped", "snr", "silence", "warnings"},
    "model": {"name", "kind", "weights", "precision", "device", "licence", "note"},
    "options": {
        "granularity", "embedding", "smooth", "trim", "denoise", "normalise", "model", "precision", "text_model",
        "transcribe", "fusion", "text_weight",
    },
    "speech": {"emotion", "scores"},
    "timeline": {"hop", "start", "frames", "segments", "turning_points", "shares"},
    "text": {"text", "emotion", "scores", "own", "sentences", "transcript", "model"},
    "fusion": {"scores", "method", "weights", "note", "distance", "passages"},
}  # fmt: skip
SENTENCE = {"start", "end", "time", "emotion", "scores", "words"}
TRANSCRIPT = {"origin", "language", "confidence", "lines"}
PASSAGE = {"start", "end", "text", "time", "written", "spoken", "fused", "distance"}


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
    "text": reports.text_report,
    "subtitles": lambda **how: reports.text_report(times=reports.LATER, **how),
    "together": reports.together_report,
    "together, untimed": lambda **how: reports.together_report(said=reports.text_report(), **how),
    "together, silent": lambda **how: reports.together_report(reports.all_silent(), **how),
}


@pytest.mark.parametrize("granularity", ["utterance", "frame"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_report_follows_the_schema(kind, granularity):
    found = KINDS[kind](options=Options(granularity=granularity, fusion="weighted", text_weight=0.55)).to_dict()
    assert list(found)[:5] == TOP
    absent = ABSENT[found["mode"]]
    assert {key for key, value in found.items() if value is None} == absent
    assert {key: type(value) for key, value in found.items() if key not in absent} == {
        key: kind for key, kind in SCHEMA.items() if key not in absent
    }
    assert list(found) == list(SCHEMA)
    frames = {"labels", "probabilities", "silent"} if granularity == "frame" else set()
    for key, names in WITHIN.items():
        if key not in absent:
            assert set(found[key]) == names | (frames if key == "timeline" else set()), key
    assert set(found["scores"]) == set(LABELS)
    assert sum(found["scores"].values()) == pytest.approx(1.0, abs=1e-12)
    assert json.loads(json.dumps(found, allow_nan=False)) == found  # nothing but JSON's own types


@pytest.mark.parametrize("kind", KINDS)
def test_the_parts_of_a_report_follow_the_schema(kind):
    found = KINDS[kind](options=Options(fusion="weighted", text_weight=0.55)).to_dict()
    timeline, text, fusion = (found[key] or {} for key in ("timeline", "text", "fusion"))
    for segment in timeline.get("segments", []):
        assert set(segment) == {"label", "start", "end", "probability"}
    if timeline:
        assert set(timeline["shares"]) == set(found["speech"]["scores"]) == set(LABELS)
    if text:
        assert set(text["transcript"]) == TRANSCRIPT
        assert set(text["model"]) == WITHIN["model"]
        assert {key for line in text["transcript"]["lines"] for key in line} == {"text", "time", "emotion", "events"}
    for sentence in text.get("sentences", []):
        assert set(sentence) == SENTENCE
        assert set(sentence["scores"]) == set(LABELS)
        for word in sentence["words"]:
            assert set(word) == {"start", "end", "contributions"}
            assert set(word["contributions"]) == set(LABELS)
    for passage in fusion.get("passages", []):
        assert set(passage) == PASSAGE


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


def test_a_report_says_what_was_read():
    found = reports.text_report(times=reports.LATER).to_dict()
    assert (found["mode"], found["emotion"], found["silent"]) == ("text", "happy", False)
    text = found["text"]
    assert text["text"] == "I am so happy for you!\nIt is a sad day."
    first, second = text["sentences"]
    assert text["text"][second["start"] : second["end"]] == "It is a sad day."
    assert (first["emotion"], second["emotion"], second["time"]) == ("happy", "sad", [3.2, 5.8])
    word = second["words"][-1]
    assert (text["text"][word["start"] : word["end"]], word["contributions"]["sad"]) == ("day.", 0.5)
    assert text["transcript"]["lines"][0] == {
        "text": "I am so happy for you!", "time": [0.2, 2.8], "emotion": "", "events": [],
    }  # fmt: skip
    assert text["own"] == {"JOY": 0.75, "GRIEF": 0.25}
    assert text["scores"]["unknown"] == 0.0


def test_a_report_says_what_voice_and_words_say_together():
    found = reports.together_report().to_dict()
    voice, words, fusion = found["speech"], found["text"], found["fusion"]
    assert (found["mode"], voice["emotion"], words["emotion"]) == ("multimodal", "angry", "happy")
    assert found["scores"] == pytest.approx(fusion["scores"], abs=1e-6)
    assert (fusion["method"], fusion["weights"]) == ("weighted", {"speech": 0.45, "text": 0.55})
    first, second = fusion["passages"]
    assert first["text"] == "I am so happy for you!"
    assert max(first["written"], key=first["written"].get) == "happy"
    assert max(first["spoken"], key=first["spoken"].get) == "angry"
    assert first["distance"] > 0.8 > 0.1 > second["distance"]


def test_reports_without_a_side():
    text, speech = reports.text_report(), reports.one_frame()
    assert (text.name, speech.name) == ("I am so happy for you! It is a sad day.", "clip.wav")
    assert (text.model.name, speech.model.name) == ("known-words", "known-answers")
    assert [model.name for model in reports.together_report().models] == ["known-answers", "known-words"]
    with pytest.raises(ValueError, match="without a recording"):
        text.recording  # noqa: B018
    with pytest.raises(ValueError, match="a recording, a text, or both"):
        replace(text, read=None)
    with pytest.raises(ValueError, match="fused when there are both"):
        replace(text, heard=speech.heard)


def test_a_silent_report_is_marked():
    assert reports.all_silent().silent
    assert not reports.pause().silent
    assert reports.all_silent().to_dict()["silent"] is True


def test_the_verdict_does_not_depend_on_granularity_or_smoothing():
    report = reports.changing(20)
    for options in (Options(), Options(granularity="frame", smooth=0), Options(smooth=10.0)):
        assert replace(report, options=options).verdict == report.verdict
