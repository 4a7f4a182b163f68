"""How the compact speech model is made: batches, losses, figures; on made-up clips."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from training.speech import nonspeech
from training.speech.augment import VERSIONS, Distortion, stretch
from training.speech.batches import GAP, Batch, Mix, Sampler, balance
from training.speech.card import confusion, figure
from training.speech.data import LABELS, NONSPEECH, OTHER, UNKNOWN, WIDTH, Clip, Corpora, distribution, speech_bounds
from training.speech.evaluate import along_time, by_corpus, smooth, uar
from training.speech.report import calibration_error, fit_temperature, interval
from training.speech.train import Config, learning_rate, loss_of, segment_means, train

ANGRY, NEUTRAL, SAD = LABELS.index("angry"), LABELS.index("neutral"), LABELS.index("sad")


@pytest.fixture(scope="module")
def corpora() -> Corpora:
    """Two corpora of two emotions each: the loud bands tell them apart."""
    random, clips, blocks, row = np.random.default_rng(0), [], [], 0
    for corpus, labels in (("a", (ANGRY, SAD)), ("b", (NEUTRAL, SAD)), (NONSPEECH, (UNKNOWN,))):
        for number in range(24):
            label, frames = labels[number % len(labels)], int(random.integers(40, 80))
            sound = random.normal(-9, 0.5, (frames, WIDTH))
            sound[5:-5, 6 * label : 6 * label + 6] += 5
            sound[:, -2:] = 0.5
            spans = ((row, row + frames),) * len(VERSIONS)
            clips.append(Clip(f"{corpus}/{number}", corpus, f"{corpus}_{number // 6}", label, "train", (), spans))
            blocks.append(sound.astype(np.float16))
            row += frames
    return Corpora(clips, np.concatenate(blocks))


@pytest.fixture
def batch(corpora: Corpora) -> Batch:
    return next(iter(Sampler(corpora, corpora.clips, Mix(size=24, spliced=0.6), Distortion(), 1)))


def test_every_segment_has_frames_and_a_truth(batch: Batch) -> None:
    numbers = batch.segment[batch.segment != GAP].unique()
    assert numbers.tolist() == list(range(len(batch.target)))
    assert torch.allclose(batch.target.sum(1), torch.ones(len(batch.target)))
    assert not (batch.target > 0).logical_and(~batch.allowed).any()
    assert (batch.segment[~batch.mask] == GAP).all()
    assert torch.isfinite(batch.sound).all()


def test_a_corpus_does_not_judge_emotions_it_never_asked_for(corpora: Corpora) -> None:
    sampler = Sampler(corpora, corpora.clips, Mix(), Distortion(), 1)
    _, allowed = sampler.truth(corpora.clips[0])
    assert np.flatnonzero(allowed).tolist() == sorted([ANGRY, SAD, OTHER, UNKNOWN])
    target, allowed = sampler.truth(corpora.clips[-1])
    assert allowed.all() and target[UNKNOWN] == 1


def test_classes_of_a_corpus_are_drawn_alike(corpora: Corpora) -> None:
    weight = balance(corpora.clips, Mix(nonspeech=0.1))
    share = {c: sum(w for w, clip in zip(weight, corpora.clips, strict=True) if clip.corpus == c) for c in "ab"}
    assert share["a"] == pytest.approx(0.45) and share["b"] == pytest.approx(0.45)


def test_same_seed_same_batches(corpora: Corpora) -> None:
    one, two = (next(iter(Sampler(corpora, corpora.clips, Mix(size=8), Distortion(), 3))) for _ in range(2))
    assert torch.equal(one.sound, two.sound) and torch.equal(one.target, two.target)


def test_segment_means() -> None:
    logits = torch.arange(12.0).view(1, 4, 3)
    means = segment_means(logits, torch.tensor([[0, 0, GAP, 1]]), 2)
    assert means.tolist() == [[1.5, 2.5, 3.5], [9, 10, 11]]


def test_the_loss_ignores_classes_that_do_not_compete(batch: Batch) -> None:
    logits = torch.zeros(*batch.segment.shape, len(LABELS))
    before = loss_of(logits, batch)
    narrow = replace(batch, allowed=batch.target > 0)
    assert loss_of(logits, narrow) < before


def test_the_rate_rises_and_falls() -> None:
    config = Config(steps=100, rate=1.0)
    rates = [learning_rate(step, config) for step in range(100)]
    assert max(rates) == pytest.approx(1.0) and np.argmax(rates) in (9, 10) and rates[-1] < 0.01


def test_it_learns(corpora: Corpora) -> None:
    tiny = {"dim": 16, "widths": (16, 24, 32), "depth": 2, "dropout": 0.0, "skip": 0.0}
    config = Config(steps=40, rate=5e-3, model=tiny, mix=Mix(size=16, smoothing=0.0), average=0.9)
    config = replace(config, distortion=Distortion(0.02, 0.1, 0.0, 4, 4, 0.0))
    model = train(corpora, corpora.clips, config)
    speech = corpora.select({"a", "b"}, "train")
    assert min(by_corpus(model, corpora, speech).values()) > 0.9
    found = along_time(model, corpora, speech)
    assert found["alone"] > 0.9 and found["segment"] > 0.7


@pytest.mark.parametrize("kind", list(nonspeech.KINDS))
def test_sounds_without_a_voice_are_waves(kind: str) -> None:
    wave = nonspeech.sound(kind, np.random.default_rng(1))
    assert wave.dtype == np.float32 and np.isfinite(wave).all() and np.abs(wave).max() <= 1


@pytest.mark.parametrize("version", list(VERSIONS))
def test_versions_of_a_wave_are_finite(version: str) -> None:
    random = np.random.default_rng(1)
    wave = random.standard_normal(8000).astype(np.float32)
    made = VERSIONS[version](wave, wave[::-1].copy(), random)
    assert np.isfinite(made).all() and 0.8 < len(made) / len(wave) < 1.2


def test_votes_become_a_distribution() -> None:
    heard = distribution({"voice_vote": "angry|sad"})
    assert heard[ANGRY] == heard[SAD] == 0.5 and sum(heard) == 1
    assert distribution({}) == ()


def test_speech_bounds_drop_silent_ends() -> None:
    sound = np.full((100, WIDTH), -20, np.float16)
    sound[40:60, :-2] = -3
    first, last = speech_bounds(sound)
    assert 30 <= first <= 40 and 60 <= last <= 70


def test_stretch() -> None:
    assert len(stretch(100, 1.0, 1000)) == 100
    assert len(stretch(100, 2.0, 1000)) == 50
    assert stretch(100, 0.5, 1000).max() == 99


def test_figures() -> None:
    clip = Clip("x", "a", "s", SAD, "test")
    logits = np.zeros((2, 9))
    logits[:, SAD] = 5
    assert uar(logits, [clip, clip], [ANGRY, SAD]) == 1
    assert calibration_error(logits * 10, [clip, clip]) < 0.01
    assert fit_temperature(logits, [clip, clip]) < 1
    assert interval({"s": [(1, 1)], "t": [(2, 1)]}) == [0.0, 1.0]
    assert smooth(np.arange(18.0).reshape(2, 9)).shape == (2, 9)
    assert figure(0.456) == ".46" and figure(1.0) == "1.00"
    scores = {"a": {"classes": ["angry", "sad"], "confusion": [[3, 1], [0, 4]]}}
    assert "| angry | 75 |" in confusion(scores)


def test_training_leaves_no_absolute_paths() -> None:
    for file in (Path(__file__).parent.parent / "training" / "speech").glob("*.py"):
        assert "/work" not in file.read_text(encoding="utf-8")
