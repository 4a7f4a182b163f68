"""After the training: what is added to each class in each language, and how sure the network may be.

Both are found on development texts and become part of the last layer, so that the folder stays an ordinary one.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import ModernBertForSequenceClassification

from training.text.data import LABELS, Rows
from training.text.evaluate import SEVEN, YARDSTICK, climb, logits_of, score
from training.text.tokens import FIRST

GROUPS = (*FIRST, "others")  # languages that get offsets of their own
FEW = 50  # development texts: a class with fewer in a group gets no offset there
MOST = 0.8  # either way
COST = 0.02  # what an offset of one must gain: without it offsets that half of the texts like harm the other half


def membership(rows: Rows) -> NDArray[np.float32]:
    """Which of `GROUPS` a text belongs to: (N, 3) of noughts and ones."""
    first = rows.language[:, None] == np.array(FIRST)
    return np.hstack([first, ~first.any(1, keepdims=True)]).astype(np.float32)


def features_of(network: ModernBertForSequenceClassification, rows: Rows) -> NDArray[np.float32]:
    """What the last layer sees of every text, and a one: (N, D + 1)."""
    last, network.classifier = network.classifier, torch.nn.Identity()
    try:
        seen = logits_of(network, rows, classes=last.in_features)
    finally:
        network.classifier = last
    return np.hstack([seen, np.ones((len(rows), 1), np.float32)])


def tell_apart(features: NDArray[np.float32], groups: NDArray[np.float32], *, pull: float = 1.0) -> NDArray[np.float32]:
    """A linear reading of a text's group from its features, by least squares: (D + 1, 3)."""
    square = features.T.astype(np.float64) @ features + pull * np.eye(features.shape[1])
    return np.linalg.solve(square, features.T.astype(np.float64) @ groups).astype(np.float32)


def offsets(said: NDArray[np.float32], groups: NDArray[np.float32], rows: Rows) -> NDArray[np.float32]:
    """What to add to each class in each group of texts, (K, 8); `groups` (N, K) says how far a text belongs.

    Learning goes for accuracy, so offsets go for macro-F1: the best sum of it over the parts that have a yardstick, and
    over all texts, less the offsets' cost.
    """
    kinds = {"dataset": rows.dataset, "language": rows.language}
    parts = [kinds[kind] == name for kind, name in map(str.split, YARDSTICK)]
    parts = [part for part in (*parts, np.ones(len(rows), bool)) if part.sum() >= 500]

    def worth(added: NDArray[np.float32]) -> float:
        now = said + groups @ added
        found = [score(now, rows, part) for part in parts]
        return sum(one.f1 for one in found) - COST * float(np.abs(added).sum())

    counts = groups.round().T @ (rows.label[:, None] == np.arange(len(LABELS)))  # (K, 8)
    return climb(worth, np.argwhere((counts >= FEW) & SEVEN), np.zeros(counts.shape, np.float32), most=MOST)


def temperature(said: NDArray[np.float32], rows: Rows) -> float:
    """By what to divide logits so that probabilities among a dataset's classes mean what they say: least loss."""
    allowed = np.where(rows.allowed, said, -1e4)
    at = np.arange(len(rows))

    def loss(divisor: float) -> float:
        scaled = allowed / divisor
        scaled = scaled - scaled.max(1, keepdims=True)
        return float(np.mean(np.log(np.exp(scaled).sum(1)) - scaled[at, rows.label]))

    return float(min(np.geomspace(0.5, 3.0, 40), key=loss))


@torch.no_grad()
def calibrate(network: ModernBertForSequenceClassification, dev: Rows) -> tuple[list[list[float]], float]:
    """Put offsets and a temperature into the last layer, and return both: 3 times 8 numbers, and one."""
    features, last = features_of(network, dev), network.classifier
    reading = tell_apart(features, membership(dev))
    groups = features @ reading
    said = logits_of(network, dev)
    added = offsets(said, groups, dev)
    divisor = temperature(said + groups @ added, dev)
    change = torch.from_numpy(reading @ added)  # (D + 1, 8)
    last.weight.add_(change[:-1].T).div_(divisor)
    last.bias.add_(change[-1]).div_(divisor)
    return added.tolist(), divisor
