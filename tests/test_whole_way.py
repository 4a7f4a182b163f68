"""From a recording of every listed format to a verdict, a timeline and files, with the model that ships."""

import json

import numpy as np
import pytest

from emoscope import Analyzer, Options, Settings, export
from tests import sounds


@pytest.fixture(scope="module")
def analyzer(tmp_path_factory):
    return Analyzer(Settings(speech_model="compact", outputs=tmp_path_factory.mktemp("outputs")))


@pytest.mark.parametrize("kind", sounds.KINDS)
def test_a_recording_of_every_format_gives_a_verdict_and_a_timeline(analyzer, kind, tmp_path):
    file = tmp_path / kind
    file.write_bytes(sounds.make(kind, seconds=2.0))
    report = analyzer.analyze(file, Options(granularity="frame"))
    found = json.loads(json.dumps(report.to_dict()))
    assert found["emotion"] in found["scores"]
    assert sum(found["scores"].values()) == pytest.approx(1.0, abs=1e-6)
    assert 90 <= len(found["timeline"]["probabilities"]) <= 110
    assert found["timeline"]["segments"]


def test_the_verdict_is_the_softmax_of_the_mean_frame_logits_in_what_is_written(analyzer, tmp_path):
    (tmp_path / "voice.wav").write_bytes(sounds.make("s16.wav", seconds=3.0))
    report = analyzer.analyze(tmp_path / "voice.wav", Options(granularity="frame", embedding=True))
    folder = export.write(report, analyzer.settings.outputs)
    with np.load(folder / "frames.npz") as frames:
        means = frames["logits"].astype(np.float64).mean(axis=0)
        scores = np.exp(means - means.max()) / np.exp(means - means.max()).sum()
        assert len(np.load(folder / "embedding.npy")) == len(frames["logits"])
    result = json.loads((folder / "result.json").read_text("utf-8"))
    assert list(result["scores"].values()) == pytest.approx(scores.tolist(), abs=1e-6)


def test_both_granularities_give_the_same_scores(analyzer, tmp_path):
    (tmp_path / "voice.wav").write_bytes(sounds.make("s16.wav", seconds=3.0))
    utterance, frame = (
        analyzer.analyze(tmp_path / "voice.wav", Options(granularity=granularity)).verdict.scores
        for granularity in ("utterance", "frame")
    )
    assert utterance == frame
