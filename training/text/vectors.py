"""Where the words' numbers begin: words with the same neighbours are alike."""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.utils.extmath import randomized_svd

from training.text.data import Rows, save

REACH = 3  # words to either side that count as neighbours
SPREAD = 0.25  # deviation of a word's numbers: against it the learning rate of words is set

log = logging.getLogger(__name__)


def neighbours(rows: Rows, words: int) -> csr_matrix:
    """Count how often two words stand near each other in a text, (V, V)."""
    text = np.repeat(np.arange(len(rows)), rows.lengths)
    tokens, found = rows.tokens.astype(np.int64), csr_matrix((words, words), dtype=np.float32)
    for distance in range(1, REACH + 1):
        same = text[distance:] == text[:-distance]
        pairs, counts = np.unique(tokens[:-distance][same] * words + tokens[distance:][same], return_counts=True)
        found += csr_matrix((counts.astype(np.float32) / distance, divmod(pairs, words)), shape=(words, words))
    return (found + found.T).tocsr()


def vectors(rows: Rows, words: int, width: int, *, seed: int = 0) -> NDArray[np.float32]:
    """Return the first numbers of every word, (V, D): factors of the positive pointwise mutual information.

    Contexts are smoothed by a power of 0.75 (Levy, Goldberg and Dagan 2015); words without neighbours begin at random.
    """
    counts = neighbours(rows, words).tocoo()
    often = np.asarray(counts.sum(1)).ravel()
    smooth = often**0.75
    information = np.log(counts.data * smooth.sum() / (often[counts.row] * smooth[counts.col]))
    positive = csr_matrix((information.clip(0), (counts.row, counts.col)), shape=counts.shape)
    left, strength, _ = randomized_svd(positive, width, n_iter=2, random_state=seed)
    found = (left * np.sqrt(strength)).astype(np.float32)
    # The first factors say how frequent a word is; turned at random, no single number says it alone.
    random = np.random.default_rng(seed)
    found = found @ np.linalg.qr(random.standard_normal((width, width)))[0].astype(np.float32)
    empty = np.abs(found).sum(1) < 1e-6
    found[empty] = random.standard_normal((int(empty.sum()), width))
    return (found / found.std(1, keepdims=True) * SPREAD).astype(np.float32)


def begun(rows: Rows, words: int, width: int, *, cache: Path) -> NDArray[np.float32]:
    """Return the first numbers of every word, (V, D), counted once; `cache` belongs to one tokenizer."""
    file = cache / f"vectors-{width}.npz"
    if not file.exists():
        log.info("counting the neighbours of words")
        save(file, vectors=vectors(rows, words, width))
    with np.load(file) as found:
        numbers: NDArray[np.float32] = found["vectors"]
    return numbers
