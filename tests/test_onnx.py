"""One ONNX graph of a network: what ONNX Runtime makes of it is what the model hears."""

import os
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

from emoscope.errors import ModelError, OptionError, StorageError
from emoscope.labels import LABELS
from emoscope.results import Waveform, quiet
from emoscope.settings import ROOT
from emoscope.speech import checkpoint, graph
from tests import standins

SHUFFLED = (8, 7, 6, 5, 4, 3, 2, None, 0)  # a network whose outputs are in another order, and that cannot say one label


# As the published ones, but with two convolutions in place of seven and two blocks in all: the exporter takes seconds
# for every ten operations. The sizes with all of them are in the slow tests.
BRIEF = {"feature_encoder_spec": "[(16, 10, 5)] + [(16, 79, 64)]", "conv_pos_depth": 2}


def network(**changed):
    return standins.our_network(standins.model_conf(**{**standins.SMALL, "depth": 1, "prenet": 1}, **changed))


@pytest.fixture(scope="module")
def model():
    return replace(standins.speech_model(network(**BRIEF)), columns=SHUFFLED)


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """The graph on disk, exported once: it takes seconds."""
    with standins.one_thread():
        return graph.export(model, tmp_path_factory.mktemp("onnx") / "new" / "small.onnx", threads=1)


@pytest.fixture(scope="module")
def session(exported):
    return onnxruntime.InferenceSession(str(exported.file), providers=["CPUExecutionProvider"])


def expected(model, clip):
    heard = model.listen(Waveform(clip), features=True, progress=quiet)
    return heard.features, np.delete(heard.timeline.logits, 7, axis=1)


LENGTHS = pytest.mark.parametrize(
    "seconds",
    [(0.025,), (0.0449,), (0.5,), (1.0, 1.0), (2.03, 0.4, 3.1), (12.0,)],
    ids=lambda seconds: " and ".join(map(str, seconds)),
)


@LENGTHS
def test_any_length_and_any_batch_give_what_the_model_hears(model, session, seconds):
    clips = [standins.clip(length, seed=index) for index, length in enumerate(seconds)]
    for clip, (features, logits) in zip(clips, graph.run(session, clips), strict=True):
        own_features, own_logits = expected(model, clip)
        np.testing.assert_allclose(features, own_features, atol=1e-4)
        np.testing.assert_allclose(logits, own_logits, atol=1e-4)


@LENGTHS
def test_the_straight_line_is_the_network_of_the_published_shape(seconds):
    whole = standins.speech_model(standins.our_network(standins.model_conf(**standins.SMALL)))
    straight = graph.Graph(whole.network, list(range(9)))
    clips = [torch.from_numpy(standins.clip(length, seed=index)) for index, length in enumerate(seconds)]
    with torch.inference_mode():
        waves = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)
        answers = straight(waves, torch.tensor([len(clip) for clip in clips]))
    for index, clip in enumerate(clips):
        heard = whole.listen(Waveform(clip.numpy()), features=True, progress=quiet)
        for found, own in zip(answers, (heard.features, heard.timeline.logits), strict=True):
            np.testing.assert_allclose(found[index, : len(own)], own, atol=1e-4)


def test_every_clip_is_normalised_by_its_own_samples(model, session):
    clip = standins.clip(1.0)
    quiet_one, loud_one = 0.01 * clip + 0.3, 3 * clip - 0.2
    for (features, _), own in zip(graph.run(session, [quiet_one, loud_one]), (quiet_one, loud_one), strict=True):
        np.testing.assert_allclose(features, expected(model, own)[0], atol=1e-3)


def test_the_file_says_how_to_use_it(exported, session, model):
    about = session.get_modelmeta().custom_metadata_map
    assert about["labels"].split(",") == list(exported.labels) == [label for label in LABELS if label != LABELS[7]]
    assert (about["sample_rate"], about["hop"], about["window"]) == ("16000", "320", "400")
    assert (about["model"], about["weights"], about["licence"]) == (model.info.name, model.info.weights, "")
    shapes = [(each.name, each.shape, each.type) for each in (*session.get_inputs(), *session.get_outputs())]
    assert shapes == [
        ("waves", ["batch", "samples"], "tensor(float)"),
        ("lengths", ["batch"], "tensor(int64)"),
        ("features", ["batch", "frames", 64], "tensor(float)"),
        ("logits", ["batch", "frames", 8], "tensor(float)"),
    ]


def test_the_example_of_the_document_runs(exported, tmp_path, monkeypatch, capsys):
    (tmp_path / "model.onnx").write_bytes(exported.file.read_bytes())
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "onnx.md").read_text("utf-8"), re.DOTALL)[1]
    exec(compile(code, "onnx.md", "exec"), {})
    label, score = capsys.readouterr().out.split()
    assert label in exported.labels
    assert 1 / 8 < float(score) <= 1


def test_what_it_cost_in_accuracy_is_told_and_nothing_else_is_left(exported):
    assert 0 < exported.difference < 1e-4
    assert [file.name for file in exported.file.parent.iterdir()] == ["small.onnx"]


def test_a_graph_that_differs_is_not_kept(model, tmp_path, exported, monkeypatch):
    """The graph of one network is held to another, whose last layer is a little different."""
    other = network(**BRIEF)
    with torch.no_grad():
        other.proj.bias[3] += 0.0011
    monkeypatch.setattr(graph, "_write", lambda _model, _labels, file: file.write_bytes(exported.file.read_bytes()))
    with pytest.raises(ModelError, match=r"1\.1e-03 apart, over 1e-03\. It was not kept"):
        graph.export(replace(model, network=other), tmp_path / "out.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_stays(model, tmp_path):
    (tmp_path / "mine.onnx").write_text("mine")
    with pytest.raises(OptionError, match="exists"):
        graph.export(model, tmp_path / "mine.onnx")
    assert (tmp_path / "mine.onnx").read_text() == "mine"


def test_where_nothing_can_be_written_a_sentence_says_so(model, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written to"):
        graph.export(model, tmp_path / "file" / "out.onnx")


def test_the_compact_model_is_refused_with_its_reason(tmp_path):
    compact = checkpoint.load(ROOT / "models" / "compact-speech")
    with pytest.raises(ModelError, match="compact-speech cannot be exported: ONNX Runtime rounds its spectra"):
        graph.export(compact, tmp_path / "out.onnx")


def test_without_the_extra_a_sentence_says_how_to_get_it(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(OptionError, match=r"pip install -c constraints\.txt -r requirements-onnx\.txt"):
        graph.export(model, tmp_path / "out.onnx")


def emoscope(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "emoscope.cli", "export-onnx", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "EMOSCOPE_THREADS": "1", "EMOSCOPE_MODELS": str(cwd)},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.slow  # each takes as long as the whole file above
@pytest.mark.parametrize("size", ["SMALL", "LARGE"])
def test_the_command_prints_the_file_and_how_far_it_is_from_pytorch(tmp_path, size):
    conf = standins.model_conf(**getattr(standins, size))
    standins.write_folder(tmp_path / "model", conf, standins.our_network(conf).state_dict())
    run = emoscope("model", "--out", "model.onnx", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "model.onnx\n"
    (line,) = run.stderr.splitlines()
    assert line.startswith("emoscope: 9 labels, ")
    sys.stdout.write(f"{size}: {line}\n")


def test_a_model_that_is_not_there_is_one_sentence(tmp_path):
    run = emoscope(cwd=tmp_path)
    assert (run.returncode, run.stdout) == (1, "")
    assert "./run.sh models download large" in run.stderr
