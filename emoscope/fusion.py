"""Several score vectors -> one: how speech and words are fused; docs/fusion.md has the formulas and their reasons."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emoscope.errors import OptionError
from emoscope.labels import COUNT

Floats = NDArray[np.float32]
Flags: TypeAlias = NDArray[np.bool_]
Wide: TypeAlias = NDArray[np.float64]

NEARLY = 1e-3  # a sum of probabilities may miss 1 by as much
ALONE = {  # what a person is told when one side decides
    "speech": "There are no words to rely on, so the sound alone decides.",
    "text": "There is no sound to rely on, so the words alone decide.",
}
NEITHER = "Neither the sound nor the words can be relied on, so the verdict means little."
APART = "The sound and the words have no emotion in common, so they were mixed by their weights."


@dataclass(frozen=True, eq=False)
class Side:
    """What the speech or the text says, and how far it can be relied on."""

    scores: Floats  # (9,), or (N, 9) for N passages; sum 1, and 0 for what the side cannot say
    says: Flags  # (9,): the emotions that it can say at all
    reliability: float = 1.0  # 0 to 1; at 0 it does not count

    def __post_init__(self) -> None:
        scores = np.asarray(self.scores)
        if scores.shape[-1:] != (COUNT,) or not (scores >= 0).all():
            raise ValueError(f"a side needs {COUNT} probabilities, not {scores}")
        if (np.abs(scores.sum(axis=-1) - 1) > NEARLY).any() or scores[..., ~self.says].any():
            raise ValueError(f"a side's probabilities need a sum of 1 over what it can say: {scores}")
        if not 0 <= self.reliability <= 1:
            raise ValueError(f"a side's reliability goes from 0 to 1, not {self.reliability}")

    @property
    def probabilities(self) -> Wide:
        """Return its scores with a sum of exactly 1, (..., 9)."""
        wide = np.asarray(self.scores, np.float64)
        exact: Wide = wide / wide.sum(axis=-1, keepdims=True)
        return exact


@dataclass(frozen=True, eq=False)
class Fused:
    """The scores of speech and words together, and how they came about."""

    scores: Floats  # (9,), sum 1
    method: str  # one of METHODS, or the name of a trained head
    weights: dict[str, float]  # how much "speech" and "text" counted, sum 1
    note: str = ""  # a sentence for the person, when a side was missing or did not count


@dataclass(frozen=True, eq=False)
class Pair:
    """What two sides say of the emotions that both can say, and how sure and reliable each of them is."""

    speech: Wide  # (..., 9): sum 1, or 0 where it gives these emotions nothing
    text: Wide  # (..., 9)
    speech_trust: Wide  # (..., 1): certainty times reliability
    text_trust: Wide  # (..., 1)


@dataclass(frozen=True, eq=False)
class Pool:
    """Two sides as one, for one verdict or for N passages."""

    scores: Wide  # (..., 9), sum 1
    text: Wide  # (...,): how much the text counted beside the speech, 0 to 1
    apart: Flags  # (...,): where they had no emotion in common


def weighted(pair: Pair, weight: Wide) -> tuple[Wide, Wide]:
    """Return the mean of both, by weight (linear pooling)."""
    return (1 - weight) * pair.speech + weight * pair.text, weight


def product(pair: Pair, weight: Wide) -> tuple[Wide, Wide]:
    """Return the product of both, with the weights as exponents (log-linear pooling); what one gives 0 stays 0."""
    return pair.speech ** (1 - weight) * pair.text**weight, weight


def maximum(pair: Pair, _weight: Wide) -> tuple[Wide, Wide]:
    """Return the larger probability of each emotion; how much a side counts is what it gave of their sum."""
    larger = np.maximum(pair.speech, pair.text)
    texts = np.where(pair.text > pair.speech, larger, np.where(pair.text == pair.speech, larger / 2, 0.0))
    return larger, _ratio(_sum(texts), _sum(larger), otherwise=0.5)


def adaptive(pair: Pair, weight: Wide) -> tuple[Wide, Wide]:
    """Return the mean of both, each weight times how sure and how reliable the side is."""
    speech, text = (1 - weight) * pair.speech_trust, weight * pair.text_trust
    return weighted(pair, _ratio(text, speech + text, otherwise=weight))


# It takes a pair and the text's weight (..., 1), and returns scores (..., 9) of any sum and the weight that counted.
Method: TypeAlias = Callable[[Pair, Wide], tuple[Wide, Wide]]

METHODS: dict[str, Method] = {
    "weighted": weighted,
    "product": product,
    "maximum": maximum,
    "adaptive": adaptive,
}


def fuse(speech: Side | None, text: Side | None, *, method: str, text_weight: float) -> Fused:
    """Return one verdict (9,) of two; `text_weight` goes from 0, all speech, to 1.

    A side that is missing, or whose reliability is 0, leaves the verdict to the other, and a note says so. Raises
    OptionError for an unknown method.
    """
    check_method(method)
    given = {name: side for name, side in (("speech", speech), ("text", text)) if side is not None}
    counting = {name: side for name, side in given.items() if side.reliability > 0}
    deciding = counting or given
    if len(deciding) == 1:
        [(name, side)] = deciding.items()
        return Fused(side.scores, method, _weights(float(name == "text")), ALONE[name] if counting else NEITHER)
    if speech is None or text is None:
        raise ValueError("there is nothing to fuse")
    pooled = pool(speech, text, method=method, text_weight=text_weight)
    note = NEITHER if not counting else APART if pooled.apart else ""
    return Fused(pooled.scores.astype(np.float32), method, _weights(float(pooled.text)), note)


def _weights(text: float) -> dict[str, float]:
    """Return how much each side counted; rounded, or 1 - 0.55 would be 0.44999999999999996."""
    return {"speech": round(1 - text, 6), "text": round(text, 6)}


def pool(speech: Side, text: Side, *, method: str, text_weight: float) -> Pool:
    """Pool two sides of the same shape, row by row; a reliability of 0 leaves all rows to the other side.

    A side speaks only about what it can say. What both can say is pooled; the odds between that and what only one of
    them can say are that one's own.
    """
    check_method(method)
    if not 0 <= text_weight <= 1:
        raise ValueError(f"the text's weight goes from 0 to 1, not {text_weight}")
    if speech.scores.shape != text.scores.shape:
        raise ValueError(f"two sides need the same shape, not {speech.scores.shape} and {text.scores.shape}")
    if (speech.reliability > 0) == (text.reliability > 0):
        return _pool(speech, text, METHODS[method], text_weight)
    deciding, rows = (text if text.reliability > 0 else speech), text.scores.shape[:-1]
    return Pool(deciding.probabilities, np.full(rows, float(deciding is text)), np.zeros(rows, np.bool_))


def _pool(speech: Side, text: Side, method: Method, text_weight: float) -> Pool:
    """Pool what both can say, and join what only one of them can say."""
    p, q = speech.probabilities, text.probabilities  # (..., 9)
    common = speech.says & text.says  # (9,)
    shared_p, shared_q = _sum(p * common), _sum(q * common)  # (..., 1): how much they give to what both can say
    pair = Pair(_ratio(p * common, shared_p), _ratio(q * common, shared_q), _trust(speech), _trust(text))
    weight = np.full_like(shared_p, text_weight)
    pooled, counted = method(pair, weight)
    vetoed = _sum(pooled) == 0  # a product of two without an emotion in common
    pooled, counted = np.where(vetoed, weighted(pair, weight)[0], pooled), np.where(vetoed, weight, counted)

    # The odds of what one side alone can say, multiplied by both shares: so a share of 0 needs no division.
    outside = np.where(common, 0.0, p * shared_q + q * shared_p)  # (..., 9)
    joined = _ratio(pooled, _sum(pooled)) * shared_p * shared_q + outside
    foreign = _sum(joined) == 0  # neither gives anything to what both can say
    mixed = np.where(foreign, (1 - weight) * p + weight * q, joined)
    apart = foreign | vetoed & (shared_p > 0) & (shared_q > 0)
    return Pool(mixed / _sum(mixed), np.where(foreign, weight, counted)[..., 0], apart[..., 0])


def check_method(method: str) -> None:
    """Raise OptionError unless it is one of `METHODS`."""
    if method not in METHODS:
        raise OptionError(f"Fusion is {', '.join(METHODS)}, not “{method}”.")


def certainty(side: Side) -> Wide:
    """Return how sure a side is, (...,): 1 minus its entropy over that of knowing nothing, over what it can say.

    1 is one emotion for certain, 0 all of them alike. A side that can say one emotion only is never sure of anything.
    """
    count = int(side.says.sum())
    if count < 2:
        return np.zeros(side.scores.shape[:-1])
    p = side.probabilities
    entropy = -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=-1)
    sure: Wide = np.clip(1 - entropy / math.log(count), 0.0, 1.0)
    return sure


def _trust(side: Side) -> Wide:
    """Return how far a side is to be believed, (..., 1)."""
    return certainty(side)[..., None] * side.reliability


def disagreement(speech: Side, text: Side) -> Wide:
    """Return the distance of two sides, (...,), over the emotions that both can say; 1 where one gives them nothing."""
    common = speech.says & text.says
    p, q = speech.probabilities * common, text.probabilities * common
    shared_p, shared_q = _sum(p), _sum(q)
    apart = (shared_p == 0) | (shared_q == 0)
    return np.where(apart[..., 0], 1.0, distances(_ratio(p, shared_p), _ratio(q, shared_q)))


def distance(p: NDArray[np.floating[Any]], q: NDArray[np.floating[Any]]) -> float:
    """Return the Jensen-Shannon distance of two distributions (9,): 0 when they are the same, 1 with nothing in common.

    The root of the Jensen-Shannon divergence in bits (Lin 1991); the root makes it a metric (Endres and Schindelin
    2003), so distances of several pairs can be compared.
    """
    return float(distances(p, q))


def distances(p: NDArray[np.floating[Any]], q: NDArray[np.floating[Any]]) -> Wide:
    """Return the Jensen-Shannon distance of each row of two arrays (..., 9)."""
    first, second = np.asarray(p, np.float64), np.asarray(q, np.float64)
    middle = (first + second) / 2
    divergence = (_bits(first, middle) + _bits(second, middle)) / 2
    return np.sqrt(np.clip(divergence, 0.0, 1.0))


def _bits(one: Wide, other: Wide) -> Wide:
    """Return the Kullback-Leibler divergence of `one` from `other` in bits; `other` is above 0 where `one` is."""
    ratio = _ratio(one, other)
    bits: Wide = (one * np.log2(np.where(ratio > 0, ratio, 1.0))).sum(axis=-1)
    return bits


def _sum(values: Wide) -> Wide:
    """Return the sums over the emotions, (..., 1)."""
    total: Wide = values.sum(axis=-1, keepdims=True)
    return total


def _ratio(values: Wide, total: Wide, *, otherwise: Wide | float = 0.0) -> Wide:
    """Return values / total, and `otherwise` where the total is 0."""
    return np.where(total > 0, values / np.where(total > 0, total, 1.0), otherwise)
