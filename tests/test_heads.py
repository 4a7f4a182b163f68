"""Trained fusion, on synthetic pairs with known answers; scikit-learn's own figures and PyTorch are the witnesses."""

import json
import stat
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics
from threadpoolctl import threadpool_limits

from emoscope import heads
from emoscope.errors import Cancelled, InputError, ModelError, StorageError
from emoscope.heads import Head, Maker, training
from emoscope.heads.training import Pairs, divide, measure, train
from emoscope.labels import INDEX, LABELS
from emoscope.results import ModelInfo
from emoscope.settings import ROOT
from tests.standins import one_thread

FOUR = ("angry", "happy", "neutral", "sad")
SPEECH = ModelInfo("a-speech-model", "Fake", "a" * 64, "fp32", "cpu")
TEXT = ModelInfo("a-text-model", "Fake", "b" * 64, "fp32", "cpu")
KINDS = tuple(heads.FORMULAS)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    with one_thread(), threadpool_limits(1):
        yield


def pairs(speech, text, labels, *, speakers=None, splits=None, models=None):
    count = len(labels)
    return Pairs(
        speech.astype(np.float32), text.astype(np.float32), np.asarray(labels, np.int64),
        speakers or ("",) * count, splits or ("",) * count, models or {},
    )  # fmt: skip


def noise(random, rows, columns):
    return random.standard_normal((rows, columns))


def split_signal(count=500, *, speech=12, text=8, seed=0):
    """Four labels of two bits: the speech knows the first, the text the second, all else is noise."""
    random = np.random.default_rng(seed)
    bits = random.integers(0, 2, (count, 2))
    heard, read = noise(random, count, speech), noise(random, count, text)
    heard[:, 3] += 6 * (bits[:, 0] - 0.5)
    read[:, 5] += 6 * (bits[:, 1] - 0.5)
    labels = [INDEX[FOUR[2 * first + second]] for first, second in bits]
    return pairs(heard, read, labels)


def one_side(good, count=800, seed=1):
    """Three labels that one side knows well; the other is noise."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, count)
    sides = {"speech": noise(random, count, 20), "text": noise(random, count, 20)}
    sides[good][np.arange(count), labels] += 3
    return pairs(sides["speech"], sides["text"], [INDEX[FOUR[label]] for label in labels])


def whom_to_believe(count=800, seed=2):
    """Two labels, and a number in the speech that says which side knows them; the other side's bit is chance."""
    random = np.random.default_rng(seed)
    label, chance, speech_knows = random.integers(0, 2, (3, count)).astype(bool)
    heard, read = noise(random, count, 6), noise(random, count, 6)
    heard[:, 0] += 6 * (speech_knows - 0.5)
    heard[:, 1] += 6 * (np.where(speech_knows, label, chance) - 0.5)
    read[:, 0] += 6 * (np.where(speech_knows, chance, label) - 0.5)
    return pairs(heard, read, np.where(label, INDEX["happy"], INDEX["sad"])), speech_knows


def head_of(found, kind, name="mine"):
    return Head(name, kind, found.labels, Maker.of(SPEECH), Maker.of(TEXT), found.arrays, {"held_out": found.figures})


@pytest.fixture(scope="module", params=KINDS)
def split(request):
    """A head of each kind, trained where both sides are needed."""
    table = split_signal()
    found = train(request.param, table)
    return table, found, head_of(found, request.param)


def test_a_signal_that_is_split_needs_both_sides(split):
    _, found, _ = split
    accuracy = {who: figure["accuracy"] for who, figure in found.figures.items()}
    assert accuracy["head"] > 0.9
    assert accuracy["speech embedding alone"] < 0.65
    assert accuracy["text embedding alone"] < 0.65
    assert accuracy["majority"] < 0.4
    assert len(found.parts.test) == 100


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("good", ["speech", "text"])
def test_a_side_of_pure_noise_does_little_harm(kind, good):
    found = train(kind, one_side(good))
    alone = found.figures[f"{good} embedding alone"]["accuracy"]
    assert alone > 0.85
    assert found.figures["head"]["accuracy"] > alone - 0.04


def test_a_gate_learns_whom_to_believe_where_one_layer_cannot():
    table, speech_knows = whom_to_believe()
    early, gated = (train(kind, table) for kind in ("early", "gated"))
    assert early.figures["head"]["accuracy"] < 0.85  # right where both bits agree, and in half of the rest
    assert gated.figures["head"]["accuracy"] > 0.93
    head = head_of(gated, "gated")
    shares = np.array([head.weights(*sides)["speech"] for sides in zip(table.speech, table.text, strict=True)])
    assert shares[speech_knows].mean() > shares[~speech_knows].mean() + 0.05


def test_a_head_says_what_its_training_measured(split):
    table, found, head = split
    test = found.parts.test
    scores = head.scores(table.speech[test], table.text[test])  # (N, 9)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(-1), 1, atol=1e-6)
    assert (scores.argmax(-1) == table.labels[test]).mean() == found.figures["head"]["accuracy"]
    assert head.labels == FOUR
    assert not scores[:, [INDEX[label] for label in LABELS if label not in FOUR]].any()
    one = head.scores(table.speech[0], table.text[0])
    assert one.shape == (9,)
    np.testing.assert_allclose(one, head.scores(table.speech[:1], table.text[:1])[0], atol=1e-6)


def test_the_gate_in_numpy_is_the_one_in_pytorch():
    import torch

    from emoscope.heads.gated import Gated

    torch.manual_seed(3)
    network = Gated(7, 5, 3).eval()
    speech, text = torch.randn(4, 7) * 30, torch.randn(4, 5) * 30
    with torch.inference_mode():
        expected = network(speech, text).numpy()
        gate = torch.sigmoid(network.gate(torch.cat([speech, text], 1))).mean(1).numpy()
    logits, share = heads.FORMULAS["gated"](network.arrays(), speech.numpy(), text.numpy())
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    np.testing.assert_allclose(share, gate, atol=1e-6)


def test_early_is_scikit_learns_logistic_regression():
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    table = split_signal(300)
    found = train("early", table)
    head = head_of(found, "early")
    x, parts = np.concatenate([table.speech, table.text], axis=1), found.parts
    fit = np.r_[parts.fit, parts.stop]
    scaler = StandardScaler().fit(x[parts.fit].astype(np.float64))
    mine = head.scores(table.speech[parts.test], table.text[parts.test])[:, [INDEX[label] for label in FOUR]]
    witnesses = [
        LogisticRegression(C=strength, max_iter=2000).fit(scaler.transform(x[fit]), table.labels[fit])
        for strength in (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    ]
    apart = [abs(each.predict_proba(scaler.transform(x[parts.test])) - mine).max() for each in witnesses]
    assert min(apart) < 1e-3
    assert sorted(apart)[1] > 10 * min(apart)  # the strengths do differ


def test_what_counted_is_what_was_turned_up():
    arrays = {
        "speech.mean": np.zeros(2), "speech.scale": np.ones(2), "text.mean": np.zeros(2), "text.scale": np.ones(2),
        "speech.weight": np.eye(2), "text.weight": np.eye(2), "bias": np.array([5.0, 0.0]),
    }  # fmt: skip
    head = Head(
        "mine", "early", ("happy", "sad"), Maker.of(SPEECH), Maker.of(TEXT),
        {name: array.astype("f4") for name, array in arrays.items()},
    )  # fmt: skip
    speech, text = np.array([3, 0], "f4"), np.array([0, 1], "f4")
    assert head.weights(speech, text) == {"speech": pytest.approx(0.75), "text": pytest.approx(0.25)}
    assert head.weights(speech * 0, text * 0) == {"speech": 0.5, "text": 0.5}
    odds = np.exp(5 + 3 - 1)
    assert head.scores(speech, text)[INDEX["happy"]] == pytest.approx(odds / (1 + odds), abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_scale_of_embeddings_is_irrelevant(kind):
    table = split_signal(200)
    other = replace(table, speech=table.speech * 1000 + 7, text=table.text / 1000)
    first, second = (head_of(train(kind, each), kind) for each in (table, other))
    np.testing.assert_allclose(
        first.scores(table.speech, table.text), second.scores(other.speech, other.text), atol=0.02
    )


def test_a_number_that_never_changes_is_left_out():
    table = split_signal(200)
    other = replace(table, speech=np.concatenate([np.full((200, 1), 0.1, "f4"), table.speech], axis=1))
    scores = [head_of(train("early", each), "early").scores(each.speech, each.text) for each in (table, other)]
    np.testing.assert_allclose(*scores, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_head_and_leaves_chance_alone(kind):
    import torch

    table, before = split_signal(60), torch.random.get_rng_state()
    first, second, other = (train(kind, table, seed=seed) for seed in (5, 5, 6))
    assert all((first.arrays[name] == second.arrays[name]).all() for name in first.arrays)
    assert (first.arrays["bias"] != other.arrays["bias"]).any()
    assert torch.equal(before, torch.random.get_rng_state())


def test_saved_and_opened_it_is_the_same_to_the_last_bit(split, tmp_path):
    table, _, head = split
    folder = head.save(tmp_path / "models")
    assert folder == tmp_path / "models" / "fusion-mine"
    assert sorted(file.name for file in folder.parent.iterdir()) == ["fusion-mine"]
    assert heads.names(tmp_path / "models") == ("mine",)
    again = heads.load(folder)
    assert (again.name, again.kind, again.labels, again.speech, again.text, again.figures) == (
        head.name, head.kind, head.labels, head.speech, head.text, head.figures,
    )  # fmt: skip
    assert (again.scores(table.speech, table.text) == head.scores(table.speech, table.text)).all()
    assert again.weights(table.speech[0], table.text[0]) == head.weights(table.speech[0], table.text[0])
    card = json.loads((folder / "head.json").read_text("utf-8"))
    assert card["dimensions"] == {"speech": 12, "text": 8} == again.dimensions
    assert card["text_model"] == {"name": "a-text-model", "weights": "b" * 64}
    assert stat.S_IMODE((folder / "weights.safetensors").stat().st_mode) == 0o644


def test_a_head_is_not_written_over_another(split, tmp_path):
    _, _, head = split
    folder = head.save(tmp_path)
    before = (folder / "weights.safetensors").stat().st_mtime_ns
    with pytest.raises(StorageError, match="Choose another --out"):
        head.save(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["fusion-mine"]
    assert (folder / "weights.safetensors").stat().st_mtime_ns == before


def test_applying_a_head_needs_neither_pytorch_nor_scikit_learn(split, tmp_path):
    folder = split[2].save(tmp_path)
    code = (
        "import sys, numpy as np; from pathlib import Path; from emoscope import heads\n"
        f"head = heads.load(Path({str(folder)!r}))\n"
        "head.scores(np.zeros(12, 'f4'), np.zeros(8, 'f4'))\n"
        "print([name for name in ('torch', 'sklearn') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_there_are_no_names_without_heads(tmp_path):
    assert heads.names(tmp_path) == heads.names(tmp_path / "nowhere") == ()
    (tmp_path / "fusion-half").mkdir()
    assert heads.names(tmp_path) == ()
    with pytest.raises(ModelError, match=r"no trained fusion in .*fusion-half\. Make one with \./run\.sh train-fusion"):
        heads.load(tmp_path / "fusion-half")


def without(key):
    return lambda card: card.pop(key)


@pytest.mark.parametrize(
    "damage",
    [
        *map(without, ("kind", "labels", "speech_model", "figures")),
        lambda card: card.update(kind="late"),
        lambda card: card.update(labels=["angry", "happy", "neutral"]),
        lambda card: card.update(labels=["angry", "happy", "neutral", "bored"]),
        lambda card: card.update(text_model="compact"),
    ],
)
def test_a_card_that_was_changed_is_refused(split, tmp_path, damage):
    file = split[2].save(tmp_path) / "head.json"
    card = json.loads(file.read_text("utf-8"))
    damage(card)
    file.write_text(json.dumps(card), "utf-8")
    with pytest.raises(ModelError, match=r"is not whole\. Train it again"):
        heads.load(file.parent)


@pytest.mark.parametrize("damage", ["no json", "cut", "gone", "nan", "scale", "shape"])
def test_files_that_were_damaged_are_refused(split, tmp_path, damage):
    from safetensors.numpy import load_file, save_file

    folder = split[2].save(tmp_path)
    file = folder / "weights.safetensors"
    arrays = load_file(file)
    if damage == "no json":
        (folder / "head.json").write_bytes(b"\xff{")
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-50])
    elif damage == "gone":
        file.unlink()
    else:
        changed = {
            "nan": {"bias": arrays["bias"] * np.float32("nan")},
            "scale": {"text.scale": arrays["text.scale"] * 0},
            "shape": {"text.mean": arrays["text.mean"][:-1]},
        }[damage]
        save_file({**arrays, **changed}, file)
    with pytest.raises(ModelError, match=r"is not whole\. Train it again"):
        heads.load(folder)


def test_a_head_belongs_to_its_two_models(split):
    table, _, head = split
    head.check(SPEECH, TEXT)
    head.check(replace(SPEECH, name="a copy in another folder", precision="bf16"), TEXT)
    other = "c" * 64
    for others in ((replace(SPEECH, weights=other), TEXT), (SPEECH, replace(TEXT, weights=other)), (TEXT, SPEECH)):
        with pytest.raises(ModelError, match=r"“mine” belongs to a-speech-model \(aaaaaaaa\) and .*train-fusion\."):
            head.check(*others)
    with pytest.raises(ModelError, match="embeddings of 12 and 8 numbers, not of 8 and 12"):
        head.scores(table.text[0], table.speech[0])


def test_models_without_a_hash_are_told_apart_by_name():
    unhashed = replace(TEXT, weights="")
    assert Maker.of(unhashed).made(unhashed)
    assert not Maker.of(unhashed).made(replace(unhashed, name="another"))
    assert not Maker.of(unhashed).made(TEXT)
    assert not Maker.of(TEXT).made(unhashed)


@pytest.mark.parametrize("seed", range(5))
def test_figures_are_scikit_learns(seed):
    random = np.random.default_rng(seed)
    truth, answers = random.integers(0, 5, (2, 60))
    found = measure(truth, answers)
    occur = np.unique(truth)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, answers))
    assert found["uar"] == pytest.approx(metrics.recall_score(truth, answers, labels=occur, average="macro"))
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(truth, answers, labels=occur, average="macro"))


def test_figures_of_an_answer_that_is_never_right():
    assert measure(np.array([0, 0, 1]), np.array([2, 2, 2])) == {"accuracy": 0, "uar": 0, "macro_f1": 0}


def test_models_are_compared_among_the_labels_that_there_are():
    """The best of the nine may be an emotion that no pair has: then the best of the others is the answer."""
    table = split_signal(200)
    knowing = np.zeros((200, 9), "f4")
    knowing[:, INDEX["unknown"]] = 0.6
    knowing[np.arange(200), table.labels] = 0.4
    found = train("early", replace(table, models={"late fusion": knowing}))
    assert found.figures["late fusion"]["accuracy"] == 1.0


def many(speakers, per_speaker=20, labels=4, seed=0):
    random = np.random.default_rng(seed)
    count = speakers * per_speaker
    who = tuple(f"speaker {number // per_speaker}" for number in range(count))
    return pairs(noise(random, count, 3), noise(random, count, 3), random.integers(0, labels, count), speakers=who)


def whole(parts, count):
    everything = np.concatenate([parts.fit, parts.stop, parts.test])
    assert len(everything) == len(set(everything)) == count


@pytest.mark.parametrize("seed", range(4))
def test_held_out_speakers_are_others(seed):
    table = many(10)
    parts = divide(table, seed)
    whole(parts, 200)
    speakers = [{table.speakers[place] for place in part} for part in (parts.fit, parts.stop, parts.test)]
    assert [len(each) for each in speakers] == [6, 2, 2]
    assert len(set.union(*speakers)) == 10
    assert parts.how == "other speakers"


@pytest.mark.parametrize("seed", range(4))
def test_without_speakers_each_label_gives_a_fifth(seed):
    labels = np.repeat([0, 1, 2], [100, 50, 10])
    parts = divide(pairs(np.zeros((160, 2)), np.zeros((160, 2)), labels), seed)
    whole(parts, 160)
    assert np.bincount(labels[parts.test]).tolist() == [20, 10, 2]
    assert min(np.bincount(labels[parts.fit])) >= 6
    assert parts.how == "a fifth of each label"


def test_the_manifests_own_parts_are_kept():
    splits = ("train",) * 100 + ("dev",) * 20 + ("test",) * 30 + ("",) * 50
    table = replace(many(10), splits=splits)
    parts = divide(table, 0)
    assert parts.test.tolist() == list(range(120, 150))
    assert parts.stop.tolist() == list(range(100, 120))
    assert parts.fit.tolist() == [*range(100), *range(150, 200)]
    assert parts.how == "the test part of the manifest"


def test_one_large_speaker_is_held_out_only_when_nobody_else_can_be():
    who = ("large",) * 60 + tuple(f"small {number}" for number in range(40))
    for seed in range(4):
        parts = divide(replace(many(5), speakers=who), seed)
        assert parts.test.min() >= 60
        assert len(parts.test) == 20


def test_of_two_speakers_one_is_held_out():
    table = many(2, 40)
    parts = divide(table, 0)
    whole(parts, 80)
    assert len({table.speakers[place] for place in parts.test}) == 1
    assert len(parts.stop) == 8  # of the other, who is also trained on


def test_no_speaker_can_be_spared_who_alone_has_a_label():
    table = replace(many(2), labels=np.repeat([0, 1], 20))
    with pytest.raises(InputError, match="No pairs are left for the test part"):
        train("early", table)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([0, 1] * 9, "18 pairs are too few to train on and to test with: give at least 20."),
        ([3] * 30, "All pairs have the same label. Give pairs of at least two emotions."),
        ([0, 1] * 20 + [6], "There is only one pair with the label sad. Give more of it, or leave it out."),
    ],
)
def test_too_few_pairs_are_refused_with_a_sentence(labels, sentence):
    x = np.zeros((len(labels), 2))
    with pytest.raises(InputError) as caught:
        train("early", pairs(x, x, labels))
    assert str(caught.value) == sentence


def test_a_label_of_the_test_part_alone_is_refused():
    table = replace(many(10), labels=np.r_[np.arange(190) % 3, np.full(10, 6)], splits=("",) * 190 + ("test",) * 10)
    with pytest.raises(InputError, match="does not occur in the train part"):
        train("early", table)


@pytest.mark.parametrize("kind", KINDS)
def test_two_labels_are_enough(kind):
    table = one_side("text", 150)
    two = table.labels != INDEX["neutral"]
    fewer = Pairs(table.speech[two], table.text[two], table.labels[two], ("",) * two.sum(), ("",) * two.sum(), {})
    found = train(kind, fewer)
    assert found.labels == ("angry", "happy")
    assert found.figures["head"]["accuracy"] > 0.8


def test_training_can_be_stopped():
    told = []

    def progress(what, done):
        told.append((what, done))
        if done > 0:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        train("gated", split_signal(60), progress=progress)
    assert [what for what, _ in told] == ["Training", "Training"]


def test_every_kind_can_be_trained():
    assert set(heads.FORMULAS) == set(training.FITS)
