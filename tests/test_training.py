"""How the compact speech model is made: batches, losses, figures; on made-up clips."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from emoscope.speech.compact import CompactSpeech
from training.speech import nonspeech
from training.speech.augment import VERSIONS, Distortion, stretch
from training.speech.card import confusion, figure
from training.speech.data import LABELS, NONSPEECH, OTHER, UNKNOWN, WIDTH, Clip, Corpora, distribution, speech_bounds
from training.speech.evaluate import along_time, by_corpus, smooth, uar
from training.speech.observations import NONE, Observations, look
from training.speech.recordings import GAP, Batch, Mix, Recorder
from training.speech.report import calibration_error, fit_temperature, fold_in, interval
from training.speech.runs import join
from training.speech.train import Config, balance, cross_entropy, learning_rate, member_logits, train, truth_of

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


@pytest.fixture(scope="module")
def batch(corpora: Corpora) -> Batch:
    recorder = Recorder(corpora, corpora.clips, Mix(spliced=True), Distortion(), 1)
    return recorder.collate(recorder.once()[:24])


@pytest.fixture(scope="module")
def observed(corpora: Corpora) -> dict[str, Observations]:
    recorder = Recorder(corpora, corpora.clips, Mix(), NONE, 1)
    seen, active, count, clip = look(recorder, recorder.whole())
    return {"whole": Observations(seen, active, np.cumsum(count) - count, count, clip)}


def test_every_segment_has_frames_of_one_clip(batch: Batch) -> None:
    numbers = batch.segment[batch.segment != GAP].unique()
    assert numbers.tolist() == list(range(len(batch.clips)))
    assert (batch.segment[~batch.mask] == GAP).all()
    assert torch.isfinite(batch.sound).all()


def test_a_spliced_recording_has_one_voice(corpora: Corpora, batch: Batch) -> None:
    for row in batch.segment:
        clips = [corpora.clips[batch.clips[k]] for k in row[row != GAP].unique().tolist()]
        assert len({clip.speaker for clip in clips}) == 1 and len(clips) in (1, 2, 3)


def test_a_corpus_does_not_judge_emotions_it_never_asked_for(corpora: Corpora) -> None:
    truth = truth_of(corpora, Config())
    assert torch.nonzero(truth.allowed[0]).flatten().tolist() == sorted([ANGRY, SAD, OTHER, UNKNOWN])
    assert truth.allowed[-1].all() and truth.target[-1, UNKNOWN] == 1
    assert torch.allclose(truth.target.sum(1), torch.ones(len(corpora.clips)))
    assert not ((truth.target > 0) & ~truth.allowed).any()


def test_classes_of_a_corpus_are_drawn_alike(corpora: Corpora) -> None:
    weight = balance(corpora.clips, Config(nonspeech=0.1))
    share = {c: sum(w for w, clip in zip(weight, corpora.clips, strict=True) if clip.corpus == c) for c in "ab"}
    assert share["a"] == pytest.approx(0.45) and share["b"] == pytest.approx(0.45)


def test_same_seed_same_recordings(corpora: Corpora) -> None:
    one, two = (Recorder(corpora, corpora.clips, Mix(spliced=True), Distortion(), 3) for _ in range(2))
    assert torch.equal(one.collate(one.once()[:8]).sound, two.collate(two.once()[:8]).sound)


def test_the_loss_ignores_classes_that_do_not_compete() -> None:
    target, logits = torch.zeros(1, 9), torch.zeros(1, 9)
    target[0, SAD] = 1
    assert cross_entropy(logits, target, torch.ones(1, 9, dtype=torch.bool)) == pytest.approx(np.log(9))
    assert cross_entropy(logits, target, target > 0) == pytest.approx(0)


def test_the_committee_is_the_mean_of_its_members() -> None:
    torch.manual_seed(0)
    model = CompactSpeech(members=3, hidden=8, width=4, ears=0).eval()
    seen, active = torch.randn(5, len(model.centre)), torch.rand(5)
    features = torch.cat([member(model.prepare(seen)) for member in model.members], -1) * active[:, None]
    assert torch.allclose(member_logits(model, seen, active).mean(0), model.proj(features), atol=1e-5)


def test_joined_parts_answer_with_their_mean() -> None:
    torch.manual_seed(0)
    parts = CompactSpeech(members=2, ears=0).eval(), CompactSpeech(members=0).eval(), CompactSpeech(members=0).eval()
    wave = 0.1 * torch.randn(1, 16_000)
    length, statistics = torch.tensor([16_000]), parts[0].statistics(wave[0])[None]
    mean = sum(part(wave, length, statistics)[1] for part in parts) / 3
    assert torch.allclose(join(*parts)(wave, length, statistics)[1], mean, atol=1e-5)


def test_folding_the_temperature_in_divides_the_logits() -> None:
    model, features = CompactSpeech(members=1, ears=0).eval(), torch.randn(5, 96)
    before = model.proj(features)
    fold_in(model, 2.0)
    assert torch.allclose(model.proj(features) * 2, before, atol=1e-5)


def test_the_rate_rises_and_falls() -> None:
    config = Config(steps=100, rate=1.0)
    rates = [learning_rate(step, config) for step in range(100)]
    assert max(rates) == pytest.approx(1.0) and np.argmax(rates) in (9, 10) and rates[-1] < 0.01


def test_it_learns(corpora: Corpora, observed: dict[str, Observations]) -> None:
    config = Config(steps=40, bags=24, passes={"whole": 1.0}, average=0.9, noise=0.0, shift=0.0)
    config = replace(config, model={"members": 2, "hidden": 32, "width": 16, "dropout": 0.0})
    model = train(corpora, observed, corpora.clips, config)
    speech = corpora.select({"a", "b"}, "train")
    assert min(by_corpus(model, corpora, speech).values()) > 0.9
    found = along_time(model, corpora, speech)
    assert found["alone"] > 0.9 and found["segment"] > 0.5


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
