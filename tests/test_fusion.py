"""Fusion of two sides: an example by hand, other people's formulas, and properties that hold for any two sides."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax
from scipy.stats import entropy

from emoscope import fusion
from emoscope.errors import OptionError
from emoscope.fusion import ALONE, APART, METHODS, NEITHER, Side, certainty, disagreement, distance, fuse, pool
from emoscope.labels import INDEX, LABELS

DOCS = Path(__file__).resolve().parent.parent / "docs" / "fusion.md"
ALL = np.ones(9, bool)
EKMAN = np.array([label not in ("other", "unknown") for label in LABELS])
NEAR = 2e-6  # float32
MANY = settings(max_examples=40, deadline=None)  # a busy machine may take its time


def side(says=ALL, reliability=1.0, **scores):
    return Side(np.array([scores.get(label, 0.0) for label in LABELS], np.float32), says, reliability)


def named(scores):
    return {label: float(score) for label, score in zip(LABELS, scores, strict=True) if score}


def flags(number):
    return np.array([bool(number >> place & 1) for place in range(9)])


@st.composite
def sides(draw, says=None):
    """A side with zeros, ties and certainties among its probabilities."""
    says = flags(draw(st.integers(1, 511))) if says is None else says
    shares = np.frombuffer(draw(st.binary(min_size=9, max_size=9)), np.uint8) * says * flags(draw(st.integers(1, 511)))
    assume(shares.any())
    return Side((shares / shares.sum()).astype(np.float32), says, draw(st.floats(0.01, 1)))


methods = st.sampled_from(list(METHODS))
shares = st.floats(0, 1)
whole = sides(says=ALL)  # can say everything
read = sides(says=EKMAN)  # cannot say two of the nine


def fused(speech, text, method, weight):
    return fuse(speech, text, method=method, text_weight=weight).scores


def meets(speech, text):
    """Say whether both give something to what both can say."""
    common = speech.says & text.says
    return speech.scores[common].any() and text.scores[common].any()


def among(scores, says):
    """The probabilities of some emotions, given that it is one of them."""
    return np.where(says, scores, 0) / scores[says].sum(dtype=np.float64)


# ---- known answers


def table(header):
    """The rows of a table in the docs, by what their first cell says."""
    lines = DOCS.read_text("utf-8").split(header)[1].split("\n\n")[0].splitlines()[2:]
    return {cells[0]: cells[1:] for cells in ([cell.strip() for cell in line.strip("| ").split("|")] for line in lines)}


def test_the_example_of_the_docs():
    labels = ("angry", "happy", "neutral", "unknown")
    given = table("| | angry | happy | neutral | unknown | reliability |")
    speech, text = (
        side(says, float(given[name][4]), **{label: float(cell or 0) for label, cell in zip(labels, given[name])})  # noqa: B905 — reliability is left
        for name, says in (("speech", ALL), ("text", EKMAN))
    )
    found = table("| method | angry | happy | neutral | unknown | speech | text |")
    assert list(found) == list(METHODS)
    for method, cells in found.items():
        one = fuse(speech, text, method=method, text_weight=0.55)
        numbers = [float(one.scores[INDEX[label]]) for label in labels]
        assert [f"{number:.3f}" for number in (*numbers, one.weights["speech"], one.weights["text"])] == cells
    prose = DOCS.read_text("utf-8")
    assert f"The certainties are {certainty(speech):.3f} and {certainty(text):.3f}." in prose
    assert f"({disagreement(speech, text):.3f} in the example)" in prose


def test_the_example_by_hand():
    speech = side(angry=0.5, happy=0.1, neutral=0.2, unknown=0.2)
    text = side(EKMAN, angry=0.1, happy=0.6, neutral=0.3)
    found = fuse(speech, text, method="weighted", text_weight=0.55)
    by_hand = {"angry": 0.225 + 0.044, "happy": 0.045 + 0.264, "neutral": 0.09 + 0.132, "unknown": 0.2}
    assert named(found.scores) == pytest.approx(by_hand, abs=NEAR)
    assert found.weights == {"speech": 0.45, "text": 0.55}
    assert found.method == "weighted"
    assert found.note == ""
    largest = {"angry": 0.5, "happy": 0.48, "neutral": 0.24}  # speech, text, text
    expected = {label: 0.8 * share / 1.22 for label, share in largest.items()} | {"unknown": 0.2}
    loudest = fuse(speech, text, method="maximum", text_weight=0.55)
    assert named(loudest.scores) == pytest.approx(expected, abs=NEAR)
    assert loudest.weights == pytest.approx({"speech": 0.5 / 1.22, "text": 0.72 / 1.22}, abs=NEAR)


def test_what_each_side_alone_can_say_keeps_its_odds():
    speech = side(np.array([label != "sad" for label in LABELS]), angry=0.5, happy=0.25, unknown=0.25)
    text = side(EKMAN, angry=0.25, happy=0.25, sad=0.5)
    scores = named(fused(speech, text, "weighted", 0.5))
    # To 1 for angry or happy together, the speech has 1/3 for unknown, the text 1 for sad.
    halves = {"angry": 7 / 12, "happy": 5 / 12}
    expected = {label: share / (7 / 3) for label, share in (halves | {"unknown": 1 / 3, "sad": 1.0}).items()}
    assert scores == pytest.approx(expected, abs=NEAR)


def test_the_entropies_and_distances_are_those_of_scipy():
    random = np.random.default_rng(0)
    for _ in range(20):
        p, q = random.dirichlet(np.full(9, 0.3), 2).astype(np.float32)
        assert distance(p, q) == pytest.approx(jensenshannon(p.astype(float), q.astype(float), base=2), abs=1e-6)
        assert certainty(Side(p, ALL)) == pytest.approx(1 - entropy(p.astype(float)) / np.log(9), abs=1e-9)
        some = among(q, EKMAN).astype(np.float32)
        assert certainty(Side(some, EKMAN)) == pytest.approx(1 - entropy(some[EKMAN]) / np.log(7), abs=1e-6)


@pytest.mark.parametrize(
    ("says", "scores", "sure"),
    [
        (ALL, {"sad": 1.0}, 1.0),
        (ALL, dict.fromkeys(LABELS, 1 / 9), 0.0),
        (EKMAN, {label: 1 / 7 for label in LABELS if label not in ("other", "unknown")}, 0.0),
        (ALL, {"sad": 0.5, "angry": 0.5}, 1 - np.log(2) / np.log(9)),
        (np.arange(9) == INDEX["sad"], {"sad": 1.0}, 0.0),  # it has no other answer
    ],
)
def test_certainty(says, scores, sure):
    assert certainty(side(says, **scores)) == pytest.approx(sure, abs=1e-6)


def test_the_logarithm_of_a_product_is_a_weighted_mean_of_logarithms():
    random = np.random.default_rng(1)
    for weight in (0.0, 0.2, 0.55, 1.0):
        p, q = random.dirichlet(np.ones(9), 2).astype(np.float32)
        pooled = softmax((1 - weight) * np.log(p) + weight * np.log(q))
        assert fused(Side(p, ALL), Side(q, ALL), "product", weight) == pytest.approx(pooled, abs=NEAR)


def test_a_zero_is_a_veto_in_a_product_unless_its_weight_is_zero():
    speech, text = side(angry=0.9, sad=0.1), side(happy=0.9, sad=0.1)
    found = fuse(speech, text, method="product", text_weight=0.3)
    assert named(found.scores) == pytest.approx({"sad": 1.0})
    assert found.note == ""
    assert fused(speech, text, "product", 0.0) == pytest.approx(speech.scores, abs=NEAR)


def test_a_product_of_sides_with_nothing_in_common_is_their_mean():
    found = fuse(side(angry=1.0), side(happy=1.0), method="product", text_weight=0.3)
    assert named(found.scores) == pytest.approx({"angry": 0.7, "happy": 0.3})
    assert found.note == APART
    assert found.weights == {"speech": 0.7, "text": 0.3}


@pytest.mark.parametrize("method", METHODS)
def test_two_that_speak_of_different_emotions_are_mixed_by_weight(method):
    speech = side(~EKMAN, other=0.25, unknown=0.75)
    found = fuse(speech, side(EKMAN, sad=1.0), method=method, text_weight=0.4)
    assert named(found.scores) == pytest.approx({"other": 0.15, "unknown": 0.45, "sad": 0.4})
    assert found.note == APART
    assert found.weights == {"speech": 0.6, "text": 0.4}
    assert disagreement(speech, side(EKMAN, sad=1.0)) == 1


@pytest.mark.parametrize("method", METHODS)
def test_who_gives_nothing_to_what_both_can_say_decides(method):
    """The limit of one that gives less and less to it."""
    text = side(EKMAN, sad=0.5, happy=0.5)
    surest = fuse(side(other=0.25, unknown=0.75), text, method=method, text_weight=0.4)
    nearly = fused(side(other=0.25, unknown=0.75 - 1e-6, sad=1e-6), text, method, 0.4)
    assert named(surest.scores) == pytest.approx({"other": 0.25, "unknown": 0.75})
    assert surest.scores == pytest.approx(nearly, abs=1e-5)
    assert surest.note == ""


def test_who_is_surer_and_more_reliable_counts_more():
    sure, unsure = side(angry=0.9, sad=0.1), side(happy=0.3, sad=0.3, angry=0.2, neutral=0.2)

    def texts(speech, text, weight=0.5):
        return fuse(speech, text, method="adaptive", text_weight=weight).weights["text"]

    known = certainty(sure) * 0.4, certainty(unsure) * 0.8
    assert texts(sure, unsure) == pytest.approx(certainty(unsure) / (certainty(sure) + certainty(unsure)), abs=NEAR)
    assert texts(replace(sure, reliability=0.4), replace(unsure, reliability=0.8)) == pytest.approx(
        known[1] / sum(known), abs=NEAR
    )
    assert texts(sure, unsure, 0.8) == pytest.approx(
        0.8 * certainty(unsure) / (0.2 * certainty(sure) + 0.8 * certainty(unsure)), abs=NEAR
    )


def test_two_that_know_nothing_count_by_their_weights():
    nothing = side(**dict.fromkeys(LABELS, 1 / 9))
    assert fuse(nothing, nothing, method="adaptive", text_weight=0.3).weights == {"speech": 0.7, "text": 0.3}
    nearly = side(**{**dict.fromkeys(LABELS, 0.11), "sad": 0.12})
    assert fuse(nothing, nearly, method="adaptive", text_weight=0.3).weights["text"] == pytest.approx(1, abs=1e-3)


# ---- sides that are missing or cannot be relied on


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("weight", [0.0, 0.55, 1.0])
def test_the_other_side_decides_alone(method, weight):
    speech, text = side(angry=0.6, unknown=0.4), side(EKMAN, happy=1.0)
    how = {"method": method, "text_weight": weight}
    for found in (fuse(None, text, **how), fuse(replace(speech, reliability=0.0), text, **how)):
        assert found.scores.tolist() == text.scores.tolist()
        assert found.weights == {"speech": 0.0, "text": 1.0}
        assert found.note == ALONE["text"]
    for found in (fuse(speech, None, **how), fuse(speech, replace(text, reliability=0.0), **how)):
        assert found.scores.tolist() == speech.scores.tolist()
        assert found.weights == {"speech": 1.0, "text": 0.0}
        assert found.note == ALONE["speech"]
    rows = pool(replace(speech, reliability=0.0), text, **how)
    assert rows.scores.tolist() == text.scores.tolist()
    assert rows.text == 1


@pytest.mark.parametrize("method", METHODS)
def test_without_anything_to_rely_on_the_verdict_says_so(method):
    speech, text = side(angry=0.6, unknown=0.4, reliability=0.0), side(EKMAN, happy=1.0, reliability=0.0)
    both = fuse(speech, text, method=method, text_weight=0.3)
    assert both.note == NEITHER
    as_if = fused(replace(speech, reliability=1.0), replace(text, reliability=1.0), method, 0.3)
    if method != "adaptive":  # there the weights alone are left
        assert both.scores == pytest.approx(as_if)
    else:
        assert both.weights == {"speech": 0.7, "text": 0.3}
    alone = fuse(None, text, method=method, text_weight=0.3)
    assert alone.note == NEITHER
    assert alone.scores.tolist() == text.scores.tolist()


def test_what_cannot_be_fused():
    one = side(sad=1.0)
    with pytest.raises(OptionError, match=re.escape("Fusion is weighted, product, maximum, adaptive, not “magic”.")):
        fuse(one, one, method="magic", text_weight=0.5)
    with pytest.raises(OptionError):
        fuse(None, one, method="", text_weight=0.5)
    with pytest.raises(ValueError, match="nothing to fuse"):
        fuse(None, None, method="weighted", text_weight=0.5)
    for weight in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="weight"):
            fuse(one, one, method="weighted", text_weight=weight)
    with pytest.raises(ValueError, match="same shape"):
        pool(one, replace(one, scores=np.stack([one.scores, one.scores])), method="weighted", text_weight=0.5)


@pytest.mark.parametrize(
    ("scores", "says", "reliability"),
    [
        (np.full(9, 0.2), ALL, 1.0),
        (np.full(8, 1 / 8), ALL[:8], 1.0),
        (np.eye(9)[0] * np.nan, ALL, 1.0),
        (np.eye(9)[0] * 2 - np.eye(9)[1], ALL, 1.0),
        (np.eye(9)[INDEX["unknown"]], EKMAN, 1.0),
        (np.zeros(9), ALL, 1.0),
        (np.eye(9)[0], ALL, 1.1),
        (np.eye(9)[0], ALL, np.nan),
    ],
)
def test_a_side_is_valid_from_birth(scores, says, reliability):
    with pytest.raises(ValueError, match="a side"):
        Side(scores, says, reliability)


# ---- what holds for any two sides


@MANY
@given(sides(), sides(), methods, shares)
def test_every_method_gives_probabilities_of_what_somebody_can_say(speech, text, method, weight):
    found = fuse(speech, text, method=method, text_weight=weight)
    assert (found.scores >= 0).all()
    assert found.scores.sum(dtype=np.float64) == pytest.approx(1, abs=NEAR)
    assert not found.scores[~(speech.says | text.says)].any()
    assert sum(found.weights.values()) == pytest.approx(1)
    assert min(found.weights.values()) >= 0
    Side(found.scores, speech.says | text.says)


@MANY
@given(sides(), sides(), methods, shares)
def test_no_mass_appears_or_vanishes_among_what_one_side_alone_can_say(speech, text, method, weight):
    assume(meets(speech, text))
    scores = fused(speech, text, method, weight).astype(float)
    common = speech.says & text.says
    for own, said in ((speech, text.says), (text, speech.says)):
        alone = own.says & ~said
        shared = own.scores[common].sum(dtype=np.float64)
        assert scores[alone] * shared == pytest.approx(own.scores[alone] * scores[common].sum(), abs=NEAR)


@MANY
@given(whole, read, methods, shares)
def test_what_the_text_cannot_say_stays_as_the_speech_says_it(speech, text, method, weight):
    assume(meets(speech, text))
    assert fused(speech, text, method, weight)[~EKMAN] == pytest.approx(speech.scores[~EKMAN], abs=NEAR)


@MANY
@given(sides(), sides(), methods.filter(lambda name: name != "maximum"), st.sampled_from([0.0, 1.0]))
def test_all_the_weight_on_one_side_gives_that_side_for_what_it_can_say(speech, text, method, weight):
    assume(meets(speech, text))
    own = text if weight else speech
    scores = fused(speech, text, method, weight)
    assert among(scores, own.says) == pytest.approx(own.scores, abs=NEAR)


@MANY
@given(sides(), methods, shares, st.floats(0.01, 1))
def test_a_side_fused_with_itself_is_itself(one, method, weight, reliability):
    assert fused(one, replace(one, reliability=reliability), method, weight) == pytest.approx(one.scores, abs=NEAR)


@MANY
@given(sides(), sides(), methods, st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0]))
def test_exchanged_sides_with_exchanged_weights_give_the_same(speech, text, method, weight):
    there = fuse(speech, text, method=method, text_weight=weight)
    back = fuse(text, speech, method=method, text_weight=1 - weight)
    assert there.scores == pytest.approx(back.scores, abs=NEAR)
    assert there.weights["text"] == pytest.approx(back.weights["speech"], abs=NEAR)
    assert there.note == back.note


@MANY
@given(sides(), sides(), methods, shares, st.permutations(range(9)))
def test_the_order_of_the_emotions_does_not_matter(speech, text, method, weight, order):
    def reordered(one):
        return replace(one, scores=one.scores[order], says=one.says[order])

    moved = fused(reordered(speech), reordered(text), method, weight)
    assert moved == pytest.approx(fused(speech, text, method, weight)[order], abs=NEAR)


@MANY
@given(sides(), sides(), st.sampled_from(["weighted", "adaptive"]), shares, shares)
def test_every_emotion_moves_steadily_from_one_side_to_the_other(speech, text, method, first, second):
    less, more = sorted((first, second))
    steps = [fused(speech, text, method, weight).astype(float) for weight in (0.0, less, more, 1.0)]
    change = steps[3] - steps[0]
    assert ((steps[2] - steps[1]) * np.sign(change) >= -NEAR).all()
    assert (np.abs(steps[2] - steps[1]) <= np.abs(change) + NEAR).all()


@MANY
@given(whole, read, shares, shares)
def test_in_a_product_the_odds_move_steadily(speech, text, first, second):
    less, more = sorted((first, second))
    both = (speech.scores > 0) & (text.scores > 0)
    assume(both.sum() > 1)
    p, q = speech.scores[both].astype(float), text.scores[both].astype(float)
    for weight in (less, more):
        scores = fused(speech, text, "product", weight)[both].astype(float)
        expected = (1 - weight) * np.log(p / p[0]) + weight * np.log(q / q[0])  # a line in the weight
        assert np.log(scores / scores[0]) == pytest.approx(expected, abs=1e-4)


@MANY
@given(sides(), sides(), shares)
def test_a_product_leaves_nothing_where_one_side_has_nothing(speech, text, weight):
    assume(0 < weight < 1)
    common = speech.says & text.says
    both = common & (speech.scores > 0) & (text.scores > 0)
    assume(both.any())
    assert not fused(speech, text, "product", weight)[common & ~both].any()


@MANY
@given(whole, whole, shares)
def test_the_maximum_ignores_the_weight_and_prefers_what_somebody_is_sure_of(speech, text, weight):
    scores = fused(speech, text, "maximum", weight)
    assert scores.tolist() == fused(speech, text, "maximum", 0.5).tolist()
    larger = np.maximum(speech.probabilities, text.probabilities)
    assert scores * larger.sum() == pytest.approx(larger, abs=1e-5)


@MANY
@given(whole, read, shares, st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_more_reliable_side_never_counts_less(speech, text, weight, first, second):
    worse, better = sorted((first, second))
    weights = [
        fuse(replace(speech, reliability=each), text, method="adaptive", text_weight=weight).weights["speech"]
        for each in (worse, better)
    ]
    assert weights[0] <= weights[1] + NEAR


@MANY
@given(st.lists(st.tuples(whole, read), min_size=1, max_size=5), methods, shares)
def test_many_passages_are_pooled_as_each_by_itself(pairs, method, weight):
    speech, text = (replace(own[0], scores=np.stack([one.scores for one in own])) for own in zip(*pairs, strict=True))
    rows = pool(speech, text, method=method, text_weight=weight)
    assert rows.scores.shape == (len(pairs), 9)
    for row, (one, other) in enumerate(pairs):
        alone = pool(
            replace(one, reliability=speech.reliability),
            replace(other, reliability=text.reliability),
            method=method,
            text_weight=weight,
        )
        assert rows.scores[row] == pytest.approx(alone.scores, abs=1e-12)
        assert rows.text[row] == pytest.approx(alone.text, abs=1e-12)
        assert rows.apart[row] == alone.apart


@MANY
@given(sides(), sides())
def test_the_distance_is_one_of_what_both_can_say(speech, text):
    found = float(disagreement(speech, text))
    assert found == float(disagreement(text, speech))
    assert 0 <= found <= 1
    assert float(disagreement(speech, replace(speech, reliability=0.5))) == 0
    if meets(speech, text):
        common = speech.says & text.says
        p, q = among(speech.scores, common), among(text.scores, common)
        divergence = entropy((p + q) / 2, base=2) - (entropy(p, base=2) + entropy(q, base=2)) / 2
        assert found**2 == pytest.approx(divergence, abs=1e-6)
    else:
        assert found == 1


def test_every_method_is_explained():
    table = DOCS.read_text("utf-8")
    for name, method in METHODS.items():
        assert f"| `{name}` |" in table
        assert method is getattr(fusion, name)
