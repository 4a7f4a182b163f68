"""How good a network is: accuracy and macro-F1 beside the majority and the yardstick, per dataset and language."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from training.text.batches import PAD_ID, pad, texts
from training.text.data import LABELS, Rows

OTHER = LABELS.index("other")
SEVEN = np.array([label != "other" for label in LABELS])

# Accuracy and macro-F1 of TF-IDF with logistic regression, one untuned model for each part, seven classes.
YARDSTICK = {
    "dataset goemotions": (0.608, 0.541),
    "dataset smp2020_usual": (0.722, 0.693),
    "language en": (0.608, 0.519),
    "language zh": (0.656, 0.521),
    "dataset brighter_eng": (0.468, 0.394),
    "dataset brighter_chn": (0.610, 0.446),
    "dataset nlpcc2014": (0.543, 0.395),
}


@dataclass(frozen=True)
class Score:
    """How a part of the test texts was named; `other` is neither asked for nor answered."""

    texts: int
    accuracy: float
    f1: float  # the mean over the classes that occur in the part
    majority: float  # accuracy of always saying what is most frequent


@torch.inference_mode()
def logits_of(network: PreTrainedModel, rows: Rows, *, classes: int = len(LABELS), tokens: int = 8192
              ) -> NDArray[np.float32]:  # fmt: skip
    """What the network says to every text, (N, classes)."""
    network.eval()
    order = np.argsort(rows.lengths, kind="stable")
    found = np.empty((len(rows), classes), np.float32)
    start = 0
    while start < len(order):
        count = max(1, tokens // int(rows.lengths[order[min(start + 512, len(order) - 1)]]))
        chosen = order[start : start + min(count, 512)]
        batch = pad([texts(rows, row) for row in chosen])
        with torch.autocast("cpu", torch.bfloat16):
            found[chosen] = network(input_ids=batch, attention_mask=(batch != PAD_ID).long()).logits.float().numpy()
        start += len(chosen)
    return found


def score(said: NDArray[np.float32], rows: Rows, part: NDArray[np.bool_], classes: NDArray[np.bool_] = SEVEN) -> Score:
    """Judge one part of the rows, (N,); only `classes` (8,) compete. Rows called `other` do not count."""
    part = part & (rows.label != OTHER)
    truth = rows.label[part]
    named = np.where(classes, said[part], -np.inf).argmax(1)
    occurring = np.unique(truth)
    counts = np.bincount(truth, minlength=len(LABELS))
    f1 = [2 * np.sum((named == k) & (truth == k)) / max(np.sum(named == k) + np.sum(truth == k), 1) for k in occurring]
    return Score(len(truth), float(np.mean(named == truth)), float(np.mean(f1)), float(counts.max() / len(truth)))


def scores(said: NDArray[np.float32], rows: Rows) -> dict[str, Score]:
    """Judge every dataset, among its own classes, and every language, among all seven."""
    found = {}
    for name in sorted(set(rows.dataset)):
        part = rows.dataset == name
        found[f"dataset {name}"] = score(said, rows, part, rows.allowed[part].any(0) & SEVEN)
    for name in sorted(set(rows.language)):
        found[f"language {name}"] = score(said, rows, rows.language == name)
    found["all"] = score(said, rows, np.ones(len(rows), bool))
    return found


def climb(worth: Callable[[NDArray[np.float32]], float], free: NDArray[np.int64], best: NDArray[np.float32], *,
          most: float, steps: Iterable[float] = (0.4, 0.2, 0.1, 0.05)) -> NDArray[np.float32]:  # fmt: skip
    """Change some numbers, one after the other in smaller and smaller steps, for as long as that is worth more.

    `free` (F, D) says which numbers of `best` may change, by `most` either way from nought.
    """
    record = worth(best)
    for step in steps:
        for at in map(tuple, free):
            for sign in (-1, 1):
                tried = best.copy()
                tried[at] = np.clip(tried[at] + sign * step, -most, most)
                reached = worth(tried)
                if reached > record:
                    best, record = tried, reached
    return best


def beaten(found: dict[str, Score]) -> dict[str, Any]:
    """Compare with the yardstick, where there is one for the part."""
    return {
        part: {"accuracy": found[part].accuracy, "f1": found[part].f1, "yardstick": figures,
               "beaten": found[part].accuracy > figures[0] and found[part].f1 > figures[1]}
        for part, figures in YARDSTICK.items() if part in found
    }  # fmt: skip


def calibration_error(said: NDArray[np.float32], rows: Rows, bins: int = 15) -> float:
    """The expected calibration error among a dataset's classes."""
    wide = np.where(rows.allowed, said, -np.inf).astype(np.float64)
    chance = np.exp(wide - wide.max(1, keepdims=True))
    chance = chance / chance.sum(1, keepdims=True)
    sure, right = chance.max(1), chance.argmax(1) == rows.label
    which = np.minimum((sure * bins).astype(int), bins - 1)
    parts = [(which == k) for k in range(bins) if np.any(which == k)]
    return float(sum(part.mean() * abs(sure[part].mean() - right[part].mean()) for part in parts))
