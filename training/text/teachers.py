"""Linear teachers over word and letter n-grams: what they say of texts that they have not seen is learned as well.

Emotions differ between annotators, and one label hides how much. A linear model over n-grams is the yardstick, cheap to
fit, and its probabilities on held-out texts tell the network more than the labels do.
"""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, diags_array, hstack
from sklearn.feature_extraction.text import TfidfVectorizer

FOLDS = 5  # a text is in that of its row, counted round and round
LARGE = 10_000  # texts of a dataset that gets weights of its own beside those that all share
ROUNDS = 60  # of L-BFGS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subject:
    """What is counted in one language, and how much a teacher of it trusts the labels."""

    grams: tuple[dict[str, Any], ...]  # options of TfidfVectorizer
    trust: float  # C of a logistic regression


SUBJECTS = {
    "en": Subject(
        (
            {"ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b|[^\w\s]"},
            {"analyzer": "char_wb", "ngram_range": (2, 5)},
        ),
        trust=1.0,
    ),
    "zh": Subject(({"analyzer": "char", "ngram_range": (1, 3)},), trust=3.0),
}


class Features:
    """Texts and their datasets as sparse numbers: shared n-grams, those of each large dataset, and the dataset."""

    def __init__(self, subject: Subject, texts: list[str], datasets: NDArray[np.str_]) -> None:
        self.counters = [
            TfidfVectorizer(sublinear_tf=True, min_df=2, dtype=np.float32, **grams) for grams in subject.grams
        ]
        for counter in self.counters:
            counter.fit(texts)
        self.names, sizes = np.unique(datasets, return_counts=True)
        self.large = self.names[sizes >= LARGE]

    def __call__(self, texts: list[str], datasets: NDArray[np.str_]) -> csr_matrix:
        """Turn texts into (N, D)."""
        shared = hstack([counter.transform(texts) for counter in self.counters]).tocsr()
        own = [diags_array((datasets == name).astype(np.float32)) @ shared for name in self.large]
        where = csr_matrix((datasets[:, None] == self.names).astype(np.float32))
        return hstack([shared, *own, where]).tocsr().astype(np.float32)


def log_softmax(logits: NDArray[np.float32], allowed: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Among the classes that compete; the others get minus infinity's stand-in: (N, 8) -> (N, 8)."""
    logits = np.where(allowed, logits, -1e4)
    logits = logits - logits.max(1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def fit(rows: csr_matrix, target: NDArray[np.float32], allowed: NDArray[np.bool_], trust: float) -> NDArray[np.float32]:
    """Fit a logistic regression with masked classes and soft targets: (N, D), (N, 8), (N, 8) -> weights (D, 8).

    Frequent features have far larger curvature than rare ones; each is divided by about the root of its own, or L-BFGS
    is not near the end after some hundred rounds.
    """
    columns, shape = rows.T.tocsr(), (rows.shape[1], target.shape[1])
    curvature = np.asarray(rows.multiply(rows).sum(0)).ravel()
    scale = (1 / np.sqrt(1 + 0.1 * trust * curvature)).astype(np.float32)[:, None]

    def objective(free: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = free.reshape(shape).astype(np.float32) * scale
        said = log_softmax(rows @ weights, allowed)
        loss = -(target * said).sum(dtype=np.float64)
        slope = trust * (columns @ (np.exp(said) - target)) + weights
        size = 0.5 * (weights**2).sum(dtype=np.float64)
        return trust * loss + size, (slope * scale).ravel().astype(np.float64)

    options = {"maxiter": ROUNDS, "maxcor": 8}
    found = minimize(objective, np.zeros(np.prod(shape)), jac=True, method="L-BFGS-B", options=options)
    return found.x.reshape(shape).astype(np.float32) * scale


def held_out(table: pd.DataFrame, versions: list[list[str]], target: NDArray[np.float32], allowed: NDArray[np.bool_]
             ) -> list[NDArray[np.float32]]:  # fmt: skip
    """Return what teachers say of every text that they did not learn from, once for each version of the texts.

    The first version is learned from. Probabilities (N, 8); NaN in languages without a teacher.
    """
    said = [np.full(target.shape, np.nan, np.float32) for _ in versions]
    for language, subject in SUBJECTS.items():
        of = np.flatnonzero(table.lang == language)
        if len(of) < FOLDS:
            continue
        datasets, fold = table.dataset.to_numpy(str)[of], of % FOLDS
        features = Features(subject, [versions[0][row] for row in of], datasets)
        rows = features([versions[0][row] for row in of], datasets)
        taught = []
        for number in range(FOLDS):
            known = fold != number
            taught.append(fit(rows[known], target[of[known]], allowed[of[known]], subject.trust))
            log.info("teacher of %s, part %d of %d", language, number + 1, FOLDS)
        for probabilities, version in zip(said, versions, strict=True):
            rows = features([version[row] for row in of], datasets)
            for number, weights in enumerate(taught):
                new = fold == number
                probabilities[of[new]] = np.exp(log_softmax(rows[new] @ weights, allowed[of[new]]))
        right = said[0][of].argmax(1) == target[of].argmax(1)
        log.info("teachers of %s: right %.3f", language, right.mean())
    return said
