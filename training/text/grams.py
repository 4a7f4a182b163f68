"""What words are made of: letters that several tokens share, so that a rare word learns from its relatives.

A linear model over letters is better than one over words where there are few texts; here `disgusting` gets what was
learned of `disgusted`. After the training each token's numbers are added up, so the shipped network knows nothing of
it (as in Bojanowski et al. 2017, Enriching Word Vectors with Subword Information).
"""

import re

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags_array
from transformers import PreTrainedTokenizerFast

SPACE = "\u2581"  # stands for the space that a token begins with
LETTERS, SIGNS = (2, 5), (1, 3)  # lengths of stretches, in alphabets and in scripts where a letter is nearly a word
SIGN = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def stretches(token: str) -> set[str]:
    """All stretches of a token, itself left out."""
    least, most = SIGNS if SIGN.search(token) else LETTERS
    found = {token[at : at + size] for size in range(least, most + 1) for at in range(len(token) - size + 1)}
    return found - {token}


def parts(tokenizer: PreTrainedTokenizerFast) -> csr_matrix:
    """Which stretches a token is made of, (V, G): shares that add up to one, or to nothing where there are none.

    Only stretches of two tokens or more count: one of a single token could as well be the token.
    """
    spelled = tokenizer.batch_decode([[token] for token in range(len(tokenizer))], clean_up_tokenization_spaces=False)
    made = [() if "\ufffd" in token or token in tokenizer.all_special_tokens else stretches(token.replace(" ", SPACE))
            for token in spelled]  # fmt: skip
    names, count = np.unique([stretch for word in made for stretch in sorted(word)], return_counts=True)
    number = {name: at for at, name in enumerate(names[count > 1])}
    rows = [(row, number[one]) for row, word in enumerate(made) for one in sorted(word) if one in number]
    at = np.array(rows, np.int64).reshape(-1, 2)
    found = csr_matrix((np.ones(len(at), np.float32), at.T), shape=(len(made), len(number)))
    return diags_array(1 / np.asarray(found.sum(1)).ravel().clip(1)).astype(np.float32) @ found


def split(weight: NDArray[np.float32], parts: csr_matrix, counts: NDArray[np.int64], *, pull: float = 3.0,
          doubt: float = 20.0, rounds: int = 60) -> tuple[NDArray[np.float32], NDArray[np.float32]]:  # fmt: skip
    """Divide the tokens' numbers, (V, D), into their own, (V, D), and those of their stretches, (G, D).

    The stretches explain what they can (ridge regression by conjugate gradients; a token counts by the root of
    how often it occurs). What is left is a token's own as far as it was seen often: rare ones rely on their relatives.
    """
    made = np.diff(parts.indptr) > 0
    if not made.any():
        return weight.copy(), np.zeros((parts.shape[1], weight.shape[1]), np.float32)
    trust = np.clip(counts, 1, 3000).astype(np.float32) ** 0.25
    rows = diags_array(trust) @ parts
    shared = np.zeros((parts.shape[1], weight.shape[1]), np.float32)
    rest = rows.T @ (trust[:, None] * weight)
    way, size = rest.copy(), (rest**2).sum(0)
    for _ in range(rounds):
        bent = rows.T @ (rows @ way) + pull * way
        step = size / ((way * bent).sum(0) + 1e-12)
        shared, rest = shared + step * way, rest - step * bent
        size, before = (rest**2).sum(0), size
        way = rest + size / (before + 1e-12) * way
    explained = parts @ shared
    sure = np.where(made, counts / (counts + doubt), 1.0).astype(np.float32)[:, None]
    return sure * (weight - explained), shared
