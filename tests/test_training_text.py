"""How the compact text model is made: data, batches, losses, figures, and the folder; on made-up texts."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from emoscope.labels import INDEX
from emoscope.text.load import load
from training.text import data, tokens
from training.text.data import LABELS, LONGEST, PERMISSIVE, PRIMARY, SMOOTHING, TIERS, spoken
from training.text.evaluate import beaten, calibration_error, logits_of, offsets, score, scores, temperature
from training.text.export import export
from training.text.network import Reader, Shape
from training.text.train import (
    BEGIN_ID,
    MASK_ID,
    Batches,
    Config,
    Stage,
    balance,
    cross_entropy,
    draw,
    hide,
    learning_rate,
    shorter,
    train,
)

pytestmark = pytest.mark.slow  # only who trains the model needs them

ANGRY, HAPPY, NEUTRAL, OTHER, SAD = (LABELS.index(name) for name in ("angry", "happy", "neutral", "other", "sad"))
SAYS = {"angry": "what an awful mess", "happy": "such a joyful day", "sad": "so lonely now", "neutral": "the bus stops"}
SMALL = Config(
    stages=(
        Stage("words", 40, 5e-3, deep=False),
        Stage("language", 6, 2e-3, hidden=0.2, guess=0.3),
        Stage("emotions", 12, 2e-3),
    ),
    tokens=512,
    block=200,
    shape=Shape(width=32, inner=48, layers=2, heads=4, dropout=0.0),
)


def corpus(count: int = 120) -> list[dict[str, str]]:
    """Two datasets of which only one knows neutral texts; every emotion has its own words."""
    rows = []
    for number in range(count):
        dataset, language = ("a", "en") if number % 3 else ("b", "fi")
        label = list(SAYS)[number // 3 % (4 if dataset == "a" else 3)]
        both = f"{label};sad" if number % 10 == 0 and label != "sad" else label
        rows.append({"text": f"{SAYS[label]} {number}!", "lang": language, "label": label, "labels": both,
                     "orig_label": "", "dataset": dataset, "licence": "made up",
                     "tier": "permissive" if dataset == "a" else "nc"})  # fmt: skip
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpora")
    table = pd.DataFrame(corpus())
    for split in data.SPLITS:
        table.to_csv(folder / f"{split}.tsv.xz", sep="\t", quoting=3, index=False)
    masks = {"a": ["angry", "happy", "neutral", "sad"], "b": ["angry", "happy", "sad", "other"]}
    (folder / "class_masks.json").write_text(json.dumps(masks), "utf-8")
    return folder


@pytest.fixture(scope="module")
def prepared(folder: Path, tmp_path_factory: pytest.TempPathFactory):
    cache = tmp_path_factory.mktemp("cache")
    tokenizer = tokens.prepare(data.read(folder, "train"), cache=cache, words=400)
    rows, heard = (data.prepare(folder, "train", tokenizer, cache=cache, speech=speech) for speech in (False, True))
    return tokenizer, rows, heard


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory: pytest.TempPathFactory):
    tokenizer, rows, heard = prepared
    checkpoint = tmp_path_factory.mktemp("run") / "checkpoint.pt"
    return train(Batches(rows, heard, SMALL), len(tokenizer), SMALL, checkpoint=checkpoint), checkpoint


def test_texts_as_a_speech_recogniser_writes_them() -> None:
    assert spoken("@me Don't!!! 😀 https://x.y/z <user> go, NOW") == "Don't go NOW"
    assert spoken("很开心，真的！") == "很开心 真的"
    assert spoken("हिन्दी।") == "हिन्दी"
    assert spoken("😀!!!") == "😀!!!"


def test_tiers_choose_rows(folder: Path) -> None:
    assert set(data.read(folder, "train", PERMISSIVE).dataset) == {"a"}
    assert set(data.read(folder, "train", TIERS).dataset) == {"a", "b"}
    assert "nc" not in PERMISSIVE and "machine-translated" not in PERMISSIVE


def test_targets_are_distributions_among_what_competes(prepared) -> None:
    _, rows, _ = prepared
    assert np.allclose(rows.target.sum(1), 1) and not (rows.target[~rows.allowed] > 0).any()
    assert not rows.allowed[rows.dataset == "b", NEUTRAL].any() and rows.allowed[rows.dataset == "b", OTHER].all()
    first = rows.target[0]  # “angry;sad” of four, in dataset b
    assert first[ANGRY] == pytest.approx((1 - SMOOTHING) * PRIMARY + SMOOTHING / 4)
    assert first[SAD] == pytest.approx((1 - SMOOTHING) * (1 - PRIMARY) + SMOOTHING / 4)


def test_a_text_reads_the_same_in_capitals_and_full_width(prepared) -> None:
    tokenizer, _, _ = prepared
    plain = tokenizer("such a joyful day 1!")["input_ids"]
    assert tokenizer("SUCH a Joyful DAY １！")["input_ids"] == plain and plain[0] == BEGIN_ID
    assert tokenizer.decode(tokenizer("😀 ሰላም 好")["input_ids"], skip_special_tokens=True).strip() == "😀 ሰላም 好"
    assert tokenizer.model_max_length == LONGEST


def test_datasets_and_classes_are_drawn_by_a_power_of_their_size(prepared) -> None:
    _, rows, _ = prepared
    weight = balance(rows, replace(SMALL, dataset_power=0.0, class_power=0.0, first=1.0))
    for name, classes in (("a", 4), ("b", 3)):
        for label in set(rows.label[rows.dataset == name]):
            assert weight[(rows.dataset == name) & (rows.label == label)].sum() == pytest.approx(0.5 / classes)
    natural = balance(rows, replace(SMALL, dataset_power=1.0, class_power=1.0, first=1.0))
    assert natural == pytest.approx(np.full(len(rows), 1 / len(rows)))
    english = balance(rows, replace(SMALL, dataset_power=1.0, class_power=1.0, first=2.0))
    assert english[rows.language == "en"].sum() == pytest.approx(2 * 80 / (2 * 80 + 40))


def test_drawing_keeps_to_the_weights() -> None:
    weight = np.array([0.5, 0.25, 0.25, 0.0])
    drawn = draw(weight, 100, np.random.default_rng(0))
    assert np.abs(np.bincount(drawn, minlength=4) - [50, 25, 25, 0]).max() <= 1


def test_batches_hold_texts_of_one_length_within_the_limit(prepared) -> None:
    _, rows, heard = prepared
    stream = Batches(rows, heard, SMALL)(np.random.default_rng(0))
    for batch, _ in zip(stream, range(20), strict=False):
        assert batch.tokens.numel() <= SMALL.tokens and batch.mask[:, 0].all()
        assert batch.mask.sum() > 0.6 * batch.mask.numel()
        assert torch.allclose(batch.target.sum(1), torch.ones(len(batch.tokens)))


def test_the_loss_ignores_classes_that_do_not_compete() -> None:
    target, logits = torch.zeros(1, 8), torch.zeros(1, 8)
    target[0, SAD] = 1
    assert cross_entropy(logits, target, torch.ones(1, 8, dtype=torch.bool)) == pytest.approx(np.log(8))
    assert cross_entropy(logits, target, target > 0) == pytest.approx(0)


def test_hidden_words_leave_signs_and_padding_alone() -> None:
    torch.manual_seed(0)
    batch = torch.tensor([[BEGIN_ID, *range(10, 60)], [BEGIN_ID, *([0] * 50)]])
    gaps, places = hide(batch, 0.5)
    assert (gaps[:, 0] == BEGIN_ID).all() and (gaps[1, 1:] == 0).all()
    assert 10 < len(places) == (gaps == MASK_ID).sum() < 40


def test_layers_change_nothing_at_first(prepared) -> None:
    tokenizer, rows, _ = prepared
    model = Reader(len(tokenizer), SMALL.shape).eval()
    batch = torch.from_numpy(rows.tokens[rows.first[0] : rows.first[1]].astype(np.int64))[None]
    deep, _ = model(batch, batch > 0)
    model.deep(False)
    shallow, _ = model(batch, batch > 0)
    assert torch.allclose(deep, shallow, atol=1e-6)


def test_what_is_trained_is_what_transformers_computes(trained, prepared) -> None:
    model, _ = trained
    _, rows, _ = prepared
    batch = torch.from_numpy(rows.tokens[rows.first[0] : rows.first[1]].astype(np.int64))[None]
    with torch.no_grad():
        ours, _ = model.eval()(batch, batch > 0)
        theirs = model.classifier(input_ids=batch, attention_mask=(batch > 0).long()).logits
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_the_rate_rises_and_falls() -> None:
    stage = Stage("x", 100, 1.0)
    rates = [learning_rate(step, stage) for step in range(100)]
    assert max(rates) == pytest.approx(1.0) and np.argmax(rates) == 4 and rates[-1] < 0.02


def test_it_learns_and_the_folder_is_an_ordinary_one(trained, prepared, tmp_path: Path) -> None:
    model, _ = trained
    tokenizer, rows, _ = prepared
    said = logits_of(model.classifier, rows)
    found = scores(said, rows)
    assert found["dataset a"].accuracy > 0.95 and found["dataset b"].accuracy > 0.95
    metrics = {
        "tiers": "all", "texts": len(rows), "languages": 2, "parameters": 1, "temperature": temperature(said, rows),
        "calibration_error": calibration_error(said, rows), "yardstick": beaten(found),
        "scores": {part: vars(one) for part, one in found.items()}, "datasets": ["a"], "licences": {"a": "made up"},
        "tiers_of": {"a": "nc"}, "config": {"stages": [], "tokens": 512},
    }  # fmt: skip
    export(model.classifier, tokenizer, metrics, tmp_path / "made")
    reader = load(tmp_path / "made")
    assert reader.read("Such a JOYFUL day").scores[INDEX["happy"]] > 0.5
    assert reader.read("so lonely now").emotion == "sad" and reader.info.licence == "CC BY-NC-SA 4.0"
    assert reader.longest <= LONGEST
    text = (tmp_path / "made" / "MODEL_CARD.md").read_text("utf-8")
    assert "| a | nc | made up |" in text and "| en | 80 |" in text


def test_an_interrupted_training_goes_on(trained, prepared) -> None:
    _, checkpoint = trained
    tokenizer, rows, heard = prepared
    stages = (*SMALL.stages[:2], replace(SMALL.stages[2], steps=13))
    again = train(Batches(rows, heard, SMALL), len(tokenizer), replace(SMALL, stages=stages), checkpoint=checkpoint)
    found = torch.load(checkpoint, weights_only=True)
    assert (found["stage"], found["step"]) == (2, 13)
    assert scores(logits_of(again.classifier, rows), rows)["all"].accuracy > 0.95


def test_figures(prepared) -> None:
    _, rows, _ = prepared
    right = np.full((len(rows), 8), -5.0, np.float32)
    right[np.arange(len(rows)), rows.label] = 5
    assert score(right, rows, np.ones(len(rows), bool)).accuracy == 1
    assert score(right, rows, rows.dataset == "b").f1 == 1
    assert calibration_error(right, rows) < 0.01 and temperature(right, rows) < 1
    shy = right + np.eye(8, dtype=np.float32)[NEUTRAL] * 10.2  # neutral is a little too likely
    assert score(shy, rows, np.ones(len(rows), bool)).accuracy < 0.5
    many = replace(rows, **{name: np.tile(value, (5, 1) if value.ndim == 2 else 5) for name, value in vars(rows).items()
                            if name not in ("tokens", "first")})  # fmt: skip
    helped = np.tile(shy, (5, 1)) + offsets(np.tile(shy, (5, 1)), many)
    assert score(helped, many, np.ones(len(many), bool)).accuracy == 1
    nothing = np.zeros((len(rows), 8), np.float32)
    nothing[:, ANGRY] = 1
    part = score(nothing, rows, rows.dataset == "a")
    assert part.accuracy == pytest.approx(np.mean(rows.label[rows.dataset == "a"] == ANGRY)) and part.f1 < 0.2
    assert sum(stage.steps for stage in shorter(SMALL, 0.1).stages) == 6


def test_no_corpus_text_and_no_absolute_path_in_the_code() -> None:
    for file in (Path(__file__).parent.parent / "training" / "text").glob("*.py"):
        assert "/work" not in file.read_text(encoding="utf-8")
