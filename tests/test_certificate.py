"""Slim weights are kept only where our network equals FunASR's; else FunASR's own class serves."""

import json
import shutil
import sys
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from emoscope import models
from emoscope.certificate import CERTIFICATE, GOLDEN_LIMIT, LIMIT, Certificate
from emoscope.errors import Cancelled, ModelError, StorageError
from emoscope.labels import LABELS
from emoscope.results import SpeechResult, Waveform, quiet
from emoscope.speech import certify, checkpoint, conversion
from emoscope.speech.emotion2vec import Emotion2vec
from emoscope.timeline import Timeline

from . import standins
from .test_models import make, make_published


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    with standins.one_thread():
        yield


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    conf, network = standins.small_oracle()
    return standins.write_folder(tmp_path_factory.mktemp("models") / "emotion2vec_small", conf, network.state_dict())


@pytest.fixture
def folder(published, tmp_path):
    """A copy of a folder as FunASR publishes it, to change."""
    return Path(shutil.copytree(published, tmp_path / "emotion2vec_small"))


def files_in(folder):
    return {path.name for path in folder.iterdir()}


def hear(model, seconds=2.0):
    return model.listen(Waveform(standins.clip(seconds)), features=True, progress=quiet)


@pytest.fixture
def sabotaged(monkeypatch):
    """Our network forgets where its frames stand."""
    monkeypatch.setattr(Emotion2vec, "place", lambda _self, x, _own: torch.zeros_like(x))
    return monkeypatch


# ---- the conversion


def test_equal_networks_are_certified_and_the_slim_weights_are_kept(folder):
    steps = []
    found = certify.certify(folder, lambda what, done: steps.append((what, done)))
    assert found.certified
    assert Certificate.read(folder) == found
    assert {"model.pt", "model.safetensors", CERTIFICATE} < files_in(folder)
    assert not any(name.startswith(".") for name in files_in(folder))
    assert set(found.differences) == set(certify.KINDS)
    assert all(0 < difference < LIMIT / 5 for difference in found.differences.values())
    assert [clip["seconds"] for clip in found.clips] == list(certify.SECONDS)
    assert found.slim["bytes"] == (folder / "model.safetensors").stat().st_size
    assert found.source["model.pt"] == checkpoint.sha256(folder / "model.pt")
    assert found.versions["funasr"] == "1.4.16"
    assert found.peak_memory > 1e8
    assert [done for _, done in steps] == sorted(done for _, done in steps)
    assert "the largest difference is" in found.sentence
    model = checkpoint.load(folder)
    assert (model.info.kind, model.info.weights, model.info.note) == ("Emotion2vec", found.slim["sha256"], "")


def test_the_certified_weights_still_answer_when_the_original_is_gone(folder):
    before = hear(checkpoint.load(folder)).timeline.logits
    certify.certify(folder, quiet)
    (folder / "model.pt").unlink()
    assert np.array_equal(hear(checkpoint.load(folder)).timeline.logits, before)
    with pytest.raises(ModelError, match=r"no model\.pt in"):
        certify.certify(folder, quiet)


def test_weights_that_were_never_compared_say_so(folder):
    assert checkpoint.load(folder).info.note == checkpoint.UNCERTIFIED


def test_a_network_that_differs_is_refused_and_funasr_serves(folder, sabotaged):
    (folder / "model.safetensors").write_bytes(b"an earlier conversion")
    found = certify.certify(folder, quiet)
    assert not found.certified
    assert found.slim is None
    assert found.differences["features"] > LIMIT
    assert "FunASR's own network serves" in found.sentence
    assert "model.safetensors" not in files_in(folder)
    model = checkpoint.load(folder)
    assert model.info.kind == "Reference"
    assert "FunASR's own network answers" in model.info.note
    sabotaged.undo()
    assert_equal_to_ours(folder, model)


def assert_equal_to_ours(folder, model):
    """FunASR behind our interface answers as our whole network does: alone, in windows, and when given many."""
    ours = checkpoint.load(folder, weights=folder / "model.pt")
    for seconds in (0.025, 2.0, 40.0):
        theirs, expected = hear(model, seconds), hear(ours, seconds)
        assert np.abs(theirs.features - expected.features).max() < LIMIT
        assert np.abs(theirs.timeline.logits - expected.timeline.logits).max() < LIMIT
    waves = [Waveform(standins.clip(seconds)) for seconds in (1.0, 0.3, 2.0)]
    for theirs, expected in zip(model.listen_many(waves), ours.listen_many(waves), strict=True):
        assert np.abs(theirs.timeline.logits - expected.timeline.logits).max() < LIMIT


def test_an_answer_that_is_no_number_is_refused(folder, monkeypatch):
    monkeypatch.setattr(Emotion2vec, "place", lambda _self, x, _own: x * float("nan"))
    found = certify.certify(folder, quiet)
    assert not found.certified
    assert set(found.differences.values()) == {None}
    assert "no number" in found.sentence
    assert Certificate.read(folder) == found


def test_a_refusal_speaks_of_these_weights_only(folder, sabotaged):
    certify.certify(folder, quiet)
    sabotaged.undo()
    state = torch.load(folder / "model.pt", weights_only=True)
    state["model"]["proj.bias"] += 1
    torch.save(state, folder / "model.pt")
    info = checkpoint.load(folder).info
    assert (info.kind, info.note) == ("Emotion2vec", checkpoint.UNCERTIFIED)


def test_slim_weights_that_are_not_the_certified_ones_do_not_answer(folder):
    certify.certify(folder, quiet)
    network = checkpoint.load(folder).network
    with torch.no_grad():
        network.proj.bias.copy_(network.proj.bias + 1)
    checkpoint.save_slim(network, folder)
    with pytest.raises(ModelError, match=r"not what its certificate\.json speaks of.*models certify"):
        checkpoint.load(folder)
    certify.certify(folder, quiet)
    assert checkpoint.load(folder).info.note == ""


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"certified": true}'])
def test_a_damaged_certificate_is_a_sentence(folder, text):
    (folder / CERTIFICATE).write_text(text)
    with pytest.raises(ModelError, match=r"certificate\.json is damaged\. Delete it"):
        checkpoint.load(folder)


def test_a_conversion_that_fails_leaves_the_folder_as_it_was(folder, monkeypatch):
    before = files_in(folder)

    def fail(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", fail)
    with pytest.raises(OSError, match="No space"):
        certify.certify(folder, quiet)
    assert files_in(folder) == before


def test_a_checkpoint_without_all_weights_is_never_served_by_funasr(folder):
    state = torch.load(folder / "model.pt", weights_only=True)["model"]
    del state["proj.bias"]
    torch.save({"model": state}, folder / "model.pt")
    with pytest.raises(ModelError, match=r"proj\.bias is missing"):
        certify.certify(folder, quiet)
    from emoscope.speech.reference import Reference

    with pytest.raises(ModelError, match="does not hold all the weights"):
        Reference(folder, 9)


# ---- the published scores


def write_example(folder, seconds=1.5, rate=16_000):
    (folder / "example").mkdir()
    with wave.open(str(folder / certify.EXAMPLE), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((standins.clip(seconds) * 32767).astype("<i2").tobytes())


def test_the_example_is_compared_and_wrong_published_scores_are_told(folder):
    write_example(folder)
    folder = folder.rename(folder.with_name(models.LARGE))  # it is not the large model, so its scores are others
    found = certify.certify(folder, quiet)
    assert found.certified
    assert found.clips[-1]["name"] == certify.EXAMPLE
    assert not found.golden["passed"]
    assert set(found.golden["scores"]) == set(LABELS)
    assert "do NOT agree" in found.sentence
    assert "do not give the scores published" in checkpoint.load(folder).info.note


def test_the_published_scores_are_compared_within_a_thousandth():
    def answer(scores):
        logits = np.log(np.tile(np.array([scores[label] for label in LABELS], np.float32), (10, 1)))
        return SpeechResult(Timeline(logits), embedding=np.zeros(4, np.float32))

    published = certify.GOLDEN[models.LARGE]
    assert sum(published.values()) == pytest.approx(1, abs=1e-4)
    assert certify.check_golden(models.LARGE, answer(published))["passed"]
    near = published | {"happy": published["happy"] + 2 * GOLDEN_LIMIT}
    assert not certify.check_golden(models.LARGE, answer(near))["passed"]
    assert certify.check_golden("emotion2vec_plus_base", answer(published)) is None


def test_an_example_of_another_kind_is_left_out(folder):
    write_example(folder, rate=8_000)
    assert certify._example(folder) == []
    (folder / certify.EXAMPLE).write_bytes(b"no sound")
    assert certify._example(folder) == []


# ---- the child process


def test_a_child_process_converts_tells_how_far_it_is_and_fails_with_its_sentence(folder):
    steps = []
    found = conversion.convert(folder, lambda what, done: steps.append((what, done)))
    assert found.certified
    assert any(what.startswith("Loading FunASR") for what, _ in steps)  # takes seconds, so a beat falls into it
    (folder / "model.pt").unlink()
    with pytest.raises(ModelError, match=r"no model\.pt in"):
        conversion.convert(folder, quiet)


def test_a_child_that_dies_is_a_sentence_and_nothing_is_certified(folder, monkeypatch):
    monkeypatch.setattr("emoscope.child.run", lambda *_: False)
    with pytest.raises(ModelError, match="stopped, perhaps for want of memory"):
        conversion.convert(folder, quiet)
    assert CERTIFICATE not in files_in(folder)


def test_a_person_can_cancel_the_comparison(folder):
    def stop(_what, _done):
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        conversion.convert(folder, stop)
    assert CERTIFICATE not in files_in(folder)
    assert models.is_model(folder)


# ---- the store


def certificate(certified=True):
    return Certificate(
        "m", "2026-01-01", certified, {"features": 1e-6 if certified else 0.5}, [], None,
        {"funasr": "1", "torch": "2"}, {"model.pt": "0"}, {"sha256": "0"} if certified else None, 1, 1.0,
    )  # fmt: skip


def converting(certified=True):
    """A conversion with a known outcome."""

    def convert(folder, _progress):
        if certified:
            (folder / "model.safetensors").write_bytes(b"slim")
        certificate(certified).write(folder)
        return certificate(certified)

    return convert


@pytest.mark.parametrize("certified", [True, False])
def test_verify_stays_true_after_a_conversion(tmp_path, certified):
    make_published(tmp_path / models.LARGE)
    assert models.certify("large", tmp_path, converting(certified)).certified == certified
    made = {CERTIFICATE, "model.safetensors"} if certified else {CERTIFICATE}
    assert set(models.verify("large", tmp_path).files) == {"config.yaml", "model.pt"} | made
    entry = next(entry for entry in models.inventory(tmp_path) if entry.name == "large")
    assert entry.certificate == ("certified" if certified else "refused")
    (tmp_path / models.LARGE / CERTIFICATE).write_text("{}")
    with pytest.raises(ModelError, match=r"damaged \(certificate\.json\)"):
        models.verify("large", tmp_path)


def test_the_original_is_removed_when_asked_for_and_only_after_a_certified_conversion(tmp_path):
    large = make_published(tmp_path / models.LARGE)
    models.certify("large", tmp_path, converting(False), slim_only=True)
    assert (large / "model.pt").exists()
    models.certify("large", tmp_path, converting(True), slim_only=True)
    assert not (large / "model.pt").exists()
    assert set(models.verify("large", tmp_path).files) == {"config.yaml", "model.safetensors", CERTIFICATE}
    assert models.resolve("auto", tmp_path).folder == large
    assert models.certify("large", tmp_path, None, again=False).certified
    with pytest.raises(ModelError, match=r"no model\.pt in"):
        models.certify("large", tmp_path, converting(True))
    models.verify("large", tmp_path)


def test_a_conversion_that_is_cut_short_leaves_a_whole_model(tmp_path):
    large = make_published(tmp_path / models.LARGE)
    models.certify("large", tmp_path, converting())

    def cut_short(folder, _progress):
        (folder / "model.safetensors").write_bytes(b"other slim weights")
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        models.certify("large", tmp_path, cut_short)
    assert models.is_model(large)
    models.verify("large", tmp_path)


def test_a_folder_put_there_by_hand_is_certified_too(tmp_path):
    mine = make(tmp_path / "mine")
    assert models.certify(str(mine), tmp_path, converting(), slim_only=True).certified
    assert models.is_model(mine)
    assert files_in(mine) == {"config.yaml", "model.safetensors", CERTIFICATE}


def test_a_folder_that_cannot_be_changed_is_a_sentence(tmp_path):
    make_published(tmp_path / models.LARGE)

    def full(_folder, _progress):
        raise OSError("No space left on device")

    with pytest.raises(StorageError, match="cannot be changed: No space"):
        models.certify("large", tmp_path, full)


def test_a_certificate_in_words():
    good = certificate()
    assert good.sentence == "Certified against FunASR 1, PyTorch 2; the largest difference is 1.0e-06 in features."
    assert good.note == ""
    golden = {"clip": "example/test.wav", "passed": True, "difference": 2e-4}
    assert replace(good, golden=golden).sentence.endswith("agree (2.0e-04 apart).")
    assert replace(good, golden=golden).note == ""


@pytest.mark.slow
def test_the_large_size_is_certified_and_its_memory_is_measured(tmp_path, capsys):
    """With training copies beside the weights, so that the file is as large as the published one."""
    conf = standins.model_conf(**standins.LARGE)
    state = standins.oracle_network(conf, seed=7).state_dict()
    weights = sum(weight.numel() for weight in state.values())
    assert weights == standins.LARGE_PARAMETERS
    state |= {f"_ema.{part}": torch.zeros(weights) for part in range(2)}
    folder = standins.write_folder(tmp_path / "large-stand-in", conf, state)
    del state
    found = conversion.convert(folder, quiet)
    size = (folder / "model.pt").stat().st_size
    with capsys.disabled():  # the figures of docs/models-store.md
        figures = f"{size / 1e9:.2f} GB converted in {found.seconds} s with {found.peak_memory / 1e9:.2f} GB of memory"
        sys.stdout.write(f"\n{figures}. {found.sentence} {json.dumps(found.differences)}\n")
    assert found.certified
    assert found.slim["bytes"] == pytest.approx(4 * weights, rel=0.001)
    assert size > 1.9e9
    assert found.peak_memory < 5.5e9
