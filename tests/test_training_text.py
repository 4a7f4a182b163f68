"""How the compact text model is made: data, batches, losses, figures, and the folder; on made-up texts."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from emoscope.labels import INDEX
from emoscope.text.load import load
from training.text import data, grams, tokens
from training.text.batches import LENGTHS, Batches, Drawing, balance, draw
from training.text.calibrate import temperature
from training.text.data import LABELS, LONGEST, PERMISSIVE, PRIMARY, TIERS, VERSIONS, partners, pieces, spoken
from training.text.evaluate import beaten, calibration_error, logits_of, score, scores
from training.text.export import export
from training.text.network import Reader, Shape
from training.text.taught import judged, taught
from training.text.teachers import FOLDS, fit, held_out, log_softmax
from training.text.train import (
    BEGIN_ID,
    MASK_ID,
    SECOND,
    THIRD,
    TWIN,
    Config,
    cross_entropy,
    fresh,
    hide,
    pace,
    shorter,
    train,
)
from training.text.vectors import neighbours, vectors

ANGRY, HAPPY, NEUTRAL, OTHER, SAD = (LABELS.index(name) for name in ("angry", "happy", "neutral", "other", "sad"))
SAYS = {"angry": "what an awful mess", "happy": "such a joyful day", "sad": "so lonely now", "neutral": "the bus stops"}
SMALL = Config(
    steps=80,
    kept=60,
    rate=5e-3,
    warm=4,
    drawing=Drawing(tokens=512, block=400),
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
    versions = [data.prepare(folder, "train", tokenizer, cache=cache, version=name, loose=loose)
                for loose in (False, True) for name in VERSIONS]  # fmt: skip
    return tokenizer, versions[0], versions


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory: pytest.TempPathFactory):
    tokenizer, rows, versions = prepared
    checkpoint = tmp_path_factory.mktemp("run") / "checkpoint.pt"
    first = vectors(rows, len(tokenizer), SMALL.shape.width)
    parts, batches = grams.parts(tokenizer), Batches(versions, SMALL.drawing)
    return train(batches, fresh(first, SMALL), parts, SMALL, checkpoint=checkpoint, compiled=False), checkpoint


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
    assert first[ANGRY] == pytest.approx(PRIMARY) and first[SAD] == pytest.approx(1 - PRIMARY)


def test_a_text_reads_the_same_in_capitals_and_full_width(prepared) -> None:
    tokenizer, _, _ = prepared
    plain = tokenizer("such a joyful day 1!")["input_ids"]
    assert tokenizer("SUCH a Joyful DAY １！")["input_ids"] == plain and plain[0] == BEGIN_ID
    assert tokenizer.decode(tokenizer("😀 ሰላም 好")["input_ids"], skip_special_tokens=True).strip() == "😀 ሰላም 好"
    assert tokenizer.model_max_length == LONGEST


def test_datasets_and_classes_are_drawn_by_a_power_of_their_size(prepared) -> None:
    _, rows, _ = prepared
    weight = balance(rows, replace(SMALL.drawing, dataset_power=0.0, class_power=0.0, first=1.0))
    for name, classes in (("a", 4), ("b", 3)):
        for label in set(rows.label[rows.dataset == name]):
            assert weight[(rows.dataset == name) & (rows.label == label)].sum() == pytest.approx(0.5 / classes)
    natural = balance(rows, replace(SMALL.drawing, dataset_power=1.0, class_power=1.0, first=1.0))
    assert natural == pytest.approx(np.full(len(rows), 1 / len(rows)))
    rare = balance(rows, replace(SMALL.drawing, dataset_power=1.0, class_power=1.0, first=1.0, times={"b": 0.25}))
    assert rare[rows.dataset == "b"].sum() == pytest.approx(0.25 * 40 / (80 + 0.25 * 40))
    english = balance(rows, replace(SMALL.drawing, dataset_power=1.0, class_power=1.0, first=2.0))
    assert english[rows.language == "en"].sum() == pytest.approx(2 * 80 / (2 * 80 + 40))


def test_drawing_keeps_to_the_weights() -> None:
    weight = np.array([0.5, 0.25, 0.25, 0.0])
    drawn = draw(weight, 100, np.random.default_rng(0))
    assert np.abs(np.bincount(drawn, minlength=4) - [50, 25, 25, 0]).max() <= 1


def test_batches_are_full_and_of_few_lengths(prepared) -> None:
    versions = prepared[2]
    for batch, _ in zip(Batches(versions, SMALL.drawing)(np.random.default_rng(0)), range(20), strict=False):
        size, length = batch.tokens.shape
        assert length in LENGTHS and size == SMALL.drawing.tokens // length
        assert (batch.tokens[:, 0] == BEGIN_ID).all() and ((batch.tokens != 0).sum(1) <= length).all()
        assert torch.allclose(batch.target.sum(1), torch.ones(size)) and not batch.target[~batch.allowed].any()


def test_every_text_is_drawn_even_when_batches_are_larger_than_a_block(prepared) -> None:
    _, rows, versions = prepared
    drawing = replace(SMALL.drawing, block=40, versions=(1.0, *[0.0] * 5))
    seen: set[tuple[int, ...]] = set()
    for batch, _ in zip(Batches(versions[: len(VERSIONS)], drawing)(np.random.default_rng(0)), range(60), strict=False):
        seen |= {tuple(int(token) for token in text if token) for text in batch.tokens}
    wanted = {tuple(rows.tokens[begin:end].tolist()) for begin, end in zip(rows.first, rows.first[1:], strict=False)}
    assert seen == wanted


def test_a_piece_is_a_stretch_of_at_least_half_of_the_text() -> None:
    texts = ["one two three four five six", "很开心真的", "word", ""]
    for seed in range(20):
        for text, piece in zip(texts, pieces(texts, seed), strict=True):
            assert piece in text and (piece or not text)
            assert len(piece.split(" ")) >= len(text.split(" ")) / 2 and (" " in text or len(piece) >= len(text) / 2)
    assert len(set(pieces(texts[:1] * 50))) > 5


def test_pairs_are_of_one_dataset_and_new_to_the_same_teachers(folder: Path, prepared) -> None:
    table = data.read(folder, "train")
    other, rows = partners(table), np.arange(len(table))
    assert sorted(other) == list(rows) and (other != rows).mean() > 0.8
    assert (table.dataset[other].to_numpy() == table.dataset).all() and (other % FOLDS == rows % FOLDS).all()
    written, pair = prepared[2][0], prepared[2][list(VERSIONS).index("pairs")]
    assert np.allclose(pair.target, (written.target + written.target[other]) / 2)
    assert (pair.allowed >= written.allowed).all() and (pair.lengths > written.lengths / 2).all()
    first, second = (VERSIONS["pairs"].write(list(table.text))[row] for row in (7, other[7]))
    assert VERSIONS["pairs"].texts(table)[7] == f"{first} {second}"


def test_a_teacher_is_a_logistic_regression() -> None:
    random = np.random.default_rng(0)
    rows = csr_matrix(random.random((300, 6)).astype(np.float32))
    label = np.array([rows[number].toarray()[0, :3].argmax() for number in range(300)])
    target = np.eye(8, dtype=np.float32)[label]
    allowed = np.zeros((300, 8), bool)
    allowed[:, :3] = True
    found = fit(rows, target, allowed, trust=2.0)
    known = LogisticRegression(C=2.0, fit_intercept=False, tol=1e-8, max_iter=1000).fit(rows, label)
    said = np.exp(log_softmax(rows @ found, allowed))
    assert np.allclose(said[:, :3], known.predict_proba(rows), atol=2e-3) and not said[:, 3:].any()


def test_teachers_judge_texts_that_are_new_to_them() -> None:
    texts = [f"{SAYS[label]} w{number}" for number in range(12) for label in SAYS]
    table = pd.DataFrame({"text": texts, "lang": "en", "dataset": "a", "label": list(SAYS) * 12, "labels": ""})
    table["labels"] = table.label
    allowed = data.competitors(table, {"a": tuple(SAYS)})
    target = data.targets(table)
    said = held_out(table, [texts, [text.split(" w")[0] for text in texts]], target, allowed)
    assert all((one.argmax(1) == target.argmax(1)).all() for one in said)
    table.loc[:3, "lang"] = "fi"
    assert np.isnan(held_out(table, [texts], target, allowed)[0][:4]).all()
    # Labels at random: who had seen a text would know its label from its number.
    alone = pd.DataFrame({"text": [f"w{number // 2}" for number in range(60)], "lang": "en", "dataset": "a"})
    guess = np.eye(8, dtype=np.float32)[np.random.default_rng(1).integers(0, 2, 60)]
    blind = held_out(alone, [list(alone.text)], guess, np.tile([True, True] + [False] * 6, (60, 1)))[0]
    assert np.mean(blind.argmax(1) == guess.argmax(1)) < 0.7


def test_opinions_are_a_share_of_the_target(prepared) -> None:
    rows = prepared[1]
    nothing = np.full((1, *rows.target.shape), np.nan, np.float32)
    one, other = (np.tile(np.eye(8, dtype=np.float32)[label], (1, len(rows), 1)) for label in (ANGRY, SAD))
    other[:, 0] = np.nan
    assert (taught([rows], 0.8, nothing)[0].target == rows.target).all()
    [found] = taught([rows], 0.8, one, other, nothing)
    assert np.allclose(found.target[1:], 0.2 * rows.target[1:] + 0.4 * one[0, 1:] + 0.4 * other[0, 1:])
    assert np.allclose(found.target[0], 0.2 * rows.target[0] + 0.8 * one[0, 0])


def test_the_first_network_judges_as_it_will_be_used(trained, prepared) -> None:
    model, rows = trained[0], prepared[1]
    said = judged(model.eval(), rows, model)
    logits = np.where(rows.allowed, logits_of(model.classifier, rows), -np.inf)
    assert np.allclose(said.sum(1), 1) and not said[~rows.allowed].any()
    assert np.mean(said.argmax(1) == logits.argmax(1)) > 0.98


def test_words_with_the_same_neighbours_begin_alike() -> None:
    random = np.random.default_rng(0)
    texts = [[1, *(random.choice([10, 11] if number % 2 else [20, 21], 6))] for number in range(400)]
    row = np.concatenate(texts).astype(np.uint16)
    nothing = np.zeros((400, 8))
    rows = data.Rows(row, np.arange(401) * 7, nothing, nothing, nothing, nothing, nothing)
    counts = neighbours(rows, 30)
    assert counts[10, 20] == 0 and counts[10, 11] == counts[11, 10] > 0
    found = vectors(rows, 30, 4)
    near = found @ found.T / np.outer(*[np.linalg.norm(found, axis=1)] * 2)
    assert near[10, 11] > 0.8 > 0.4 > near[10, 20] and found.std(1) == pytest.approx(np.full(30, 0.25), rel=1e-3)


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


def both(model: Reader, rows: data.Rows) -> tuple[torch.Tensor, torch.Tensor]:
    """What we compute and what transformers computes for two texts, one of them padded."""
    batch = torch.zeros(2, 12, dtype=torch.long)
    for row in range(2):
        text = rows.tokens[rows.first[row] : rows.first[row + 1]][: 12 - 4 * row]
        batch[row, : len(text)] = torch.from_numpy(text.astype(np.int64))
    with torch.no_grad():
        ours, _ = model.eval()(model.classifier.get_input_embeddings()(batch), batch > 0)
        theirs = model.classifier(input_ids=batch, attention_mask=(batch > 0).long()).logits
    model.train()
    return ours, theirs


def test_what_is_trained_is_what_transformers_computes(trained, prepared) -> None:
    ours, theirs = both(trained[0], prepared[1])
    assert theirs.std() > 0.5 and torch.allclose(ours, theirs, atol=0.1)  # bfloat16 against float32


def test_layers_change_nothing_at_first(prepared) -> None:
    model = Reader(len(prepared[0]), SMALL.shape)
    with_layers, _ = both(model, prepared[1])
    model.classifier.model.layers = torch.nn.ModuleList()
    assert torch.equal(both(model, prepared[1])[0], with_layers)


def test_the_rate_rises_and_falls() -> None:
    config = Config(steps=100, warm=5)
    rates = [pace(step, config) for step in range(100)]
    assert max(rates) == pytest.approx(1.0) and np.argmax(rates) in (4, 5) and 0 < rates[-1] < 0.02


def test_the_last_weights_are_averaged_with_those_kept(trained) -> None:
    model, checkpoint = trained
    before, last = (torch.load(file, weights_only=True) for file in (checkpoint.with_suffix(".kept.pt"), checkpoint))
    assert (before["step"], last["step"]) == (SMALL.kept, SMALL.steps)
    for name, weight in model.state_dict().items():
        assert torch.allclose(weight, (before["model"][name] + last["model"][name]) / 2)
        assert not name.endswith("Wo.weight") or not torch.equal(before["model"][name], last["model"][name])


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
        "tiers_of": {"a": "nc"}, "generations": [[asdict(SMALL)], [asdict(SECOND)], [asdict(THIRD), asdict(TWIN)]],
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
    tokenizer, rows, versions = prepared
    first = np.zeros((len(tokenizer), SMALL.shape.width), np.float32)
    longer = replace(SMALL, steps=SMALL.steps + 4)
    batches, found = Batches(versions, SMALL.drawing), []

    def watch(model: Reader) -> None:
        found.append(scores(logits_of(model.classifier, rows), rows)["all"].accuracy)

    until = SMALL.steps + 2
    again = train(batches, fresh(first, longer), grams.parts(tokenizer), longer, checkpoint=checkpoint, until=until,
                  compiled=False, watch=watch)  # fmt: skip
    assert torch.load(checkpoint, weights_only=True)["step"] == SMALL.steps + 2
    assert found[0] > 0.95 and again.training


def test_figures(prepared) -> None:
    _, rows, _ = prepared
    right = np.full((len(rows), 8), -5.0, np.float32)
    right[np.arange(len(rows)), rows.label] = 5
    assert score(right, rows, np.ones(len(rows), bool)).accuracy == 1
    assert score(right, rows, rows.dataset == "b").f1 == 1
    assert calibration_error(right, rows) < 0.01 and temperature(right, rows) < 1
    nothing = np.zeros((len(rows), 8), np.float32)
    nothing[:, ANGRY] = 1
    part = score(nothing, rows, rows.dataset == "a")
    assert part.accuracy == pytest.approx(np.mean(rows.label[rows.dataset == "a"] == ANGRY)) and part.f1 < 0.2
    brief = shorter(SMALL, 0.1)
    assert (brief.steps, brief.kept, brief.warm) == (8, 6, 1) and shorter(SECOND, 0.1).kept == 0


def test_no_corpus_text_and_no_absolute_path_in_the_code() -> None:
    for file in (Path(__file__).parent.parent / "training" / "text").glob("*.py"):
        assert "/work" not in file.read_text(encoding="utf-8")
