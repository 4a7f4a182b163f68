"""Logistic regression over embeddings: the early head, and what it is compared with, one side alone."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from emoscope.timeline import Floats

Labels: TypeAlias = NDArray[np.int64]

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # scikit-learn's C: the smaller, the closer to 0 the weights are kept
STEPS = 2000  # of L-BFGS; a hundred are enough but where C is large and the classes are far apart


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear layer: x (N, D) -> logits (N, C)."""

    weight: Floats  # (C, D)
    bias: Floats  # (C,)

    def logits(self, x: Floats) -> Floats:
        """Return the logits, (N, C)."""
        return x @ self.weight.T + self.bias  # (N, D) @ (D, C) -> (N, C)


def fit(x: Floats, y: Labels, stop: tuple[Floats, Labels]) -> Linear:
    """Fit logistic regression to standardised x (N, D) and classes y (N,), as strongly regularised as `stop` likes.

    `stop` is a part of the training pairs on which the strengths are compared; the best is fitted to both parts.
    """
    losses = [log_loss(_fit(x, y, strength).logits(stop[0]), stop[1]) for strength in STRENGTHS]
    best = STRENGTHS[int(np.argmin(losses))]
    return _fit(np.concatenate([x, stop[0]]), np.concatenate([y, stop[1]]), best)


def log_loss(logits: Floats, y: Labels) -> float:
    """Return the mean negative logarithm of the probability of the true class."""
    wide = logits.astype(np.float64)
    top = wide.max(axis=-1, keepdims=True)
    total = np.log(np.exp(wide - top).sum(-1)) + top[:, 0]  # (N,)
    return float((total - wide[np.arange(len(y)), y]).mean())


def _fit(x: Floats, y: Labels, strength: float) -> Linear:
    from sklearn.linear_model import LogisticRegression  # takes a second to import

    found = LogisticRegression(C=strength, max_iter=STEPS).fit(x.astype(np.float64), y)
    weight, bias = found.coef_.astype(np.float32), found.intercept_.astype(np.float32)
    if len(weight) == 1:  # of two classes scikit-learn gives the logit of the second alone
        weight, bias = (np.concatenate([-each, each]) / 2 for each in (weight, bias))
    return Linear(weight, bias)
