"""What the compact text model's words are made of, and what is put right after its training; on made-up numbers."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from torch.nn import functional as F

from training.text import calibrate, tokens
from training.text.calibrate import GROUPS, membership, offsets, tell_apart
from training.text.data import LABELS, LOOSE, Rows, encode
from training.text.evaluate import logits_of, score
from training.text.grams import parts, split, stretches
from training.text.network import Shape, build
from training.text.taught import leanings, taught
from training.text.words import Table, Words

ANGRY, HAPPY, NEUTRAL, SAD = (LABELS.index(name) for name in ("angry", "happy", "neutral", "sad"))
TEXTS = ["disgusting disgusted disgust", "joyful joyfully enjoy", "今天很开心", "今天不开心"] * 20


@pytest.fixture(scope="module")
def tokenizer():
    return tokens.make(iter(TEXTS), 400)


def test_stretches_of_a_word() -> None:
    assert stretches("abcd") == {"ab", "bc", "cd", "abc", "bcd"}
    assert stretches("开心") == {"开", "心"} and stretches("a") == set()


def test_relatives_share_their_stretches(tokenizer) -> None:
    found, at = parts(tokenizer), tokenizer.get_vocab()
    disgusting, disgusted, joyful = (found[[at[f"Ġ{word}"]]] for word in ("disgusting", "disgusted", "joyful"))
    assert found.shape[0] == len(tokenizer) and (disgusting != 0).multiply(disgusted != 0).nnz > 10
    assert (disgusting != 0).multiply(joyful != 0).nnz == 0
    assert np.allclose(np.asarray(found.sum(1)).ravel()[[at["Ġdisgusted"], at["[MASK]"]]], [1, 0])


def test_words_come_in_smaller_parts_by_chance(tokenizer) -> None:
    usual, first = encode(TEXTS, tokenizer)
    loose, begun = encode(TEXTS, tokenizer, loose=LOOSE)
    read = [tokenizer.decode(loose[begun[row] : begun[row + 1]], skip_special_tokens=True).strip() for row in range(80)]
    assert read == TEXTS and len(loose) > 1.05 * len(usual)
    again, _ = encode(TEXTS, tokenizer)  # and the tokenizer is left as it was
    assert np.array_equal(again, usual) and len(first) == len(begun)


def some() -> tuple[torch.Tensor, csr_matrix, np.ndarray]:
    """Six tokens of which the first three share a stretch, and the last has none."""
    made = csr_matrix(np.array([[1, 0], [0.5, 0.5], [1, 0], [0, 1], [0, 1], [0, 0]], np.float32))
    torch.manual_seed(0)
    return torch.randn(6, 4), made, np.array([1000, 1000, 0, 1000, 1000, 0])


def test_numbers_are_divided_without_loss_except_for_rare_tokens() -> None:
    weight, made, counts = some()
    own, shared = split(weight.numpy(), made, counts, doubt=1e-6)
    often = [0, 1, 3, 4]
    assert np.allclose((own + made @ shared)[often], weight[often], atol=1e-5)
    assert np.allclose(own[5], weight[5]) and not own[2].any()  # no relatives; never seen
    _, firm = split(weight.numpy(), made, counts, pull=1e6)
    assert np.abs(firm).max() < 1e-3 < np.abs(shared).max()
    _, free = split(weight.numpy(), made, np.full(6, 1000), pull=1e-6)
    expected = np.linalg.lstsq(made.toarray(), weight.numpy(), rcond=None)[0]
    assert np.allclose(free, expected, atol=1e-3)


def test_what_a_word_learns_its_relatives_learn_in_part() -> None:
    weight, made, counts = some()
    words = Words(weight, made, counts, alone=0.0)
    before, rows, goal = words.together(), torch.tensor([0, 3]), torch.randn(2, 4)
    for _ in range(600):
        picked, learn = words.pick(rows)
        assert torch.allclose(picked, words.together()[rows], atol=1e-5)
        ((picked - goal) ** 2).sum().backward()
        learn(1e-2)
    after = words.together()
    assert torch.allclose(after[rows], goal, atol=0.05)
    moved = after - before
    assert F.cosine_similarity(moved[2], moved[0], dim=0) > 0.8 and not moved[5].any()
    assert torch.equal(words.own.weight[[1, 2, 4, 5]], Words(weight, made, counts, 0.0).own.weight[[1, 2, 4, 5]])


def test_words_may_have_to_do_with_their_letters() -> None:
    weight, made, counts = some()
    words = Words(weight, made, counts, alone=1.0)
    picked, _ = words.pick(torch.arange(6))
    common = torch.from_numpy(made @ words.shared.weight.numpy())
    assert torch.allclose(picked[:5], common[:5], atol=1e-6) and torch.equal(picked[5], weight[5])


def test_rows_learn_as_adam_does_and_only_those_seen() -> None:
    weight, _, _ = some()
    before, table, goal = weight.clone(), Table(weight), torch.randn(2, 4)
    theirs = F.embedding(torch.tensor([1, 4]), weight).clone().requires_grad_()
    adam = torch.optim.Adam([theirs], lr=1e-2, betas=(0.9, 0.99))
    for _ in range(2000):
        picked = table.pick(torch.tensor([1, 4]))
        ((picked - goal) ** 2).sum().backward()
        table.learn(torch.tensor([1, 4]), picked, 1e-2)
        adam.zero_grad()
        ((theirs - goal) ** 2).sum().backward()
        adam.step()
    assert torch.allclose(table.weight[[1, 4]], goal, atol=0.02) and torch.allclose(theirs, goal, atol=0.02)
    assert torch.equal(table.weight[[0, 2, 3, 5]], before[[0, 2, 3, 5]])
    other = Table(before)
    other.resume(table.state())
    assert torch.equal(other.slope, table.slope) and torch.equal(other.weight, table.weight)


def made_up(count: int = 1200) -> Rows:
    """Texts of one token each, in three languages; which token it is tells language and emotion."""
    random = np.random.default_rng(0)
    language, emotion = random.integers(0, 3, count), random.choice([ANGRY, HAPPY, NEUTRAL, SAD], count)
    row = np.stack([np.ones(count), 10 + 10 * language + emotion], 1).astype(np.uint16).ravel()
    target = np.eye(8, dtype=np.float32)[emotion]
    names = np.array(["en", "zh", "fi"])[language]
    return Rows(row, np.arange(count + 1) * 2, emotion, target, np.ones((count, 8), bool), names, names)


def test_offsets_put_each_language_right_by_itself() -> None:
    rows = made_up()
    said = rows.target * 1.0
    said[rows.language == "en", NEUTRAL] += 1.2
    said[rows.language == "zh", SAD] += 1.2
    groups = membership(rows)
    assert GROUPS[:2] == ("en", "zh") and np.allclose(groups.sum(1), 1)
    found = offsets(said, groups, rows)
    assert found[0, NEUTRAL] < found[0, HAPPY] - 0.19 and found[1, SAD] < found[1, HAPPY] - 0.19 and not found[2].any()
    assert score(said + groups @ found, rows, np.ones(len(rows), bool)).accuracy == 1
    few = np.flatnonzero((rows.label != SAD) | (np.cumsum((rows.label == SAD) & (rows.language == "zh")) <= 20))
    rare = Rows(rows.tokens, rows.first, *(getattr(rows, name)[few] for name in list(vars(rows))[2:]))
    assert not offsets(said[few], groups[few], rare)[1, SAD]  # twenty texts are too few to say


def test_teachers_lean_towards_what_they_name_too_seldom() -> None:
    rows = made_up(6000)
    logits = rows.target * 1.0
    logits[rows.language == "en", NEUTRAL] += 1.2
    said = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    said[rows.language == "fi"] = np.nan
    found = leanings(said, rows)
    assert not found[rows.language != "en"].any()
    english = found[rows.language == "en"]
    assert (english == english[0]).all() and english[0, NEUTRAL] <= english[0, HAPPY] - 0.19
    target = taught([rows, rows], 0.5, said[None], lean=found)[1].target
    assert np.allclose(target.sum(1), 1, atol=1e-6) and np.array_equal(target[rows.language == "fi"],
                                                                      rows.target[rows.language == "fi"])  # fmt: skip
    mixed = (0.5 * rows.target + 0.5 * said) * np.exp(found)
    assert np.allclose(target[rows.language == "en"], (mixed / mixed.sum(1, keepdims=True))[rows.language == "en"])


def test_the_last_layer_takes_offsets_and_temperature(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network, rows = build(60, Shape(width=32, inner=48, layers=1, heads=4, dropout=0.0)).eval(), made_up()
    before, features = logits_of(network, rows), calibrate.features_of(network, rows)
    groups = features @ tell_apart(features, membership(rows))
    assert features.shape == (len(rows), 33) and (groups.argmax(1) == membership(rows).argmax(1)).mean() > 0.95
    wanted = np.zeros((3, 8), np.float32)
    wanted[0, HAPPY], wanted[1, SAD] = 0.5, -0.3
    monkeypatch.setattr(calibrate, "offsets", lambda *_: wanted)
    added, divisor = calibrate.calibrate(network, rows)
    assert added == wanted.tolist() and 0.5 <= divisor <= 3
    assert np.allclose(logits_of(network, rows), (before + groups @ wanted) / divisor, atol=0.02)
