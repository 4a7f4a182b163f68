"""The text corpora as arrays: tokens of every row, what it should be called, and which emotions compete for it."""

import json
import logging
import os
import re
import tempfile
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from training.text.teachers import FOLDS

LABELS = ("angry", "disgusted", "fearful", "happy", "neutral", "other", "sad", "surprised")  # `unknown` has no texts
TIERS = (
    "permissive",
    "permissive-projected",
    "permissive-repo",
    "machine-translated",
    "research",
    "nc",
    "unstated",
)
PERMISSIVE = tuple(tier for tier in TIERS if tier.startswith("permissive"))
SPLITS = ("train", "dev", "test")
CACHE = Path(tempfile.gettempdir()) / "emoscope-training-text"  # tokens, checkpoints, finished trainings
LONGEST = 64  # tokens of a text in training; nine in ten texts are shorter
LOOSE = 0.1  # share of joints that stay open where words come in smaller parts than usual
PRIMARY = 0.9  # of the target, for the first of several labels, mostly the rarest; the others share the rest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rows:
    """Texts of one split as numbers; row i has the tokens `tokens[first[i]:first[i + 1]]`."""

    tokens: NDArray[np.uint16]
    first: NDArray[np.int64]  # (N + 1,)
    label: NDArray[np.int64]  # (N,): the primary one
    target: NDArray[np.float32]  # (N, 8): distributions
    allowed: NDArray[np.bool_]  # (N, 8): what the dataset's annotators could choose
    dataset: NDArray[np.str_]  # (N,)
    language: NDArray[np.str_]  # (N,)

    def __len__(self) -> int:
        """The number of texts."""
        return len(self.label)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of every text, (N,)."""
        return np.diff(self.first)


def read(data: Path, split: str, tiers: tuple[str, ...] = TIERS) -> pd.DataFrame:
    """Read one split of the corpora, restricted to some tiers of licences."""
    table = pd.read_csv(data / f"{split}.tsv.xz", sep="\t", quoting=3, keep_default_na=False)
    return table[table.tier.isin(tiers)].reset_index(drop=True)


def masks(data: Path) -> dict[str, tuple[str, ...]]:
    """Read which classes each dataset's annotators could choose."""
    return {name: tuple(labels) for name, labels in json.loads((data / "class_masks.json").read_text("utf-8")).items()}


def spoken(text: str) -> str:
    """Write a text as a speech recogniser would: no punctuation, emoji, names of users or links.

    Apostrophes stay, and the case is left to the tokenizer, which lowers it. A text of nothing else stays as it is.
    """
    text = re.sub(r"https?://\S+|<\w+>|[@＠]\S+", " ", text)
    kept = (letter if letter in "'’" or unicodedata.category(letter)[0] in "LMN" else " " for letter in text)
    return " ".join("".join(kept).split()) or text


def pieces(texts: list[str], seed: int = 0) -> list[str]:
    """A random stretch of each text: at least half of its words, or of its letters where there are few words."""
    random = np.random.default_rng(seed)
    found = []
    for text in texts:
        words = text.split(" ")
        units, glue = (words, " ") if len(words) > len(text) / 12 else (list(text), "")
        count = int(random.integers((len(units) + 1) // 2, len(units) + 1))
        first = int(random.integers(0, len(units) - count + 1))
        found.append(glue.join(units[first : first + count]) or text)
    return found


def partners(table: pd.DataFrame, seed: int = 0) -> NDArray[np.int64]:
    """For each row another one of its dataset, (N,), which the same teachers have not seen."""
    random, found = np.random.default_rng(seed), np.arange(len(table))
    for rows in table.groupby(["dataset", found % FOLDS]).indices.values():
        found[rows] = random.permutation(rows)
    return found


@dataclass(frozen=True)
class Version:
    """Another way to write the texts of a table."""

    write: Callable[[list[str]], list[str]]
    pairs: int | None = None  # seed of which other text follows each one, if one does

    def made(self, table: pd.DataFrame, classes: dict[str, tuple[str, ...]], tokenizer: PreTrainedTokenizerFast,
             loose: float) -> Rows:  # fmt: skip
        """Turn a table into numbers; a pair is called what its two texts are, half and half."""
        target, allowed = targets(table), competitors(table, classes)
        if self.pairs is not None:
            other = partners(table, self.pairs)
            target, allowed = (target + target[other]) / 2, allowed | allowed[other]
        tokens, first = encode(self.texts(table), tokenizer, loose=loose)
        label = np.array([LABELS.index(name) for name in table.label])
        return Rows(tokens, first, label, target, allowed, table.dataset.to_numpy(str), table.lang.to_numpy(str))

    def texts(self, table: pd.DataFrame) -> list[str]:
        """Write every text."""
        found = self.write(list(table.text))
        if self.pairs is None:
            return found
        return [f"{text} {found[other]}" for text, other in zip(found, partners(table, self.pairs), strict=True)]


VERSIONS = {
    "written": Version(list),
    "spoken": Version(lambda texts: [spoken(text) for text in texts]),
    "pieces": Version(pieces),
    "other_pieces": Version(partial(pieces, seed=1)),
    "pairs": Version(partial(pieces, seed=2), pairs=0),
    "other_pairs": Version(partial(pieces, seed=3), pairs=1),
}


def targets(table: pd.DataFrame) -> NDArray[np.float32]:
    """Return what every row should be called, as distributions: (N, 8)."""
    target = np.zeros((len(table), len(LABELS)), np.float32)
    for row, joined in enumerate(table.labels):
        names = [LABELS.index(name) for name in joined.split(";")]
        target[row, names[0]] = 1 if len(names) == 1 else PRIMARY
        for name in names[1:]:
            target[row, name] += (1 - PRIMARY) / (len(names) - 1)
    return target


def competitors(table: pd.DataFrame, classes: dict[str, tuple[str, ...]]) -> NDArray[np.bool_]:
    """Return which classes compete for every row, (N, 8): those of its dataset, and its own labels."""
    one = {name: np.array([label in labels for label in LABELS]) for name, labels in classes.items()}
    allowed = np.stack([one[name] for name in table.dataset])
    for row, joined in enumerate(table.labels):
        allowed[row, [LABELS.index(name) for name in joined.split(";")]] = True
    return allowed


def encode(texts: list[str], tokenizer: PreTrainedTokenizerFast, *, loose: float = 0.0
           ) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:  # fmt: skip
    """Return the tokens of all texts in one row, and where each begins.

    `loose` is the share of joints that stay open by chance, so that a word comes in smaller parts than usual
    (BPE-dropout, Provilkov et al. 2020); no two runs leave the same ones open.
    """
    tokens, first = [], [0]
    joiner = tokenizer.backend_tokenizer.model
    joiner.dropout = loose or None
    for start in range(0, len(texts), 10_000):
        found = tokenizer(texts[start : start + 10_000], truncation=True, max_length=LONGEST)["input_ids"]
        tokens.append(np.concatenate([np.array(row, np.uint16) for row in found]))
        first.extend(first[-1] + np.cumsum([len(row) for row in found]))
    joiner.dropout = None
    return np.concatenate(tokens), np.array(first, np.int64)


def prepare(data: Path, split: str, tokenizer: PreTrainedTokenizerFast, *, cache: Path, tiers: tuple[str, ...] = TIERS,
            version: str = "written", loose: bool = False) -> Rows:  # fmt: skip
    """Return one version of a split as numbers; keeps them in `cache`, which belongs to one tokenizer."""
    file = cache / f"{split}-{version}{'-loose' if loose else ''}.npz"
    if not file.exists():
        log.info("reading %s", file.stem)
        table = read(data, split, tiers)
        made = VERSIONS[version].made(table, masks(data), tokenizer, LOOSE if loose else 0.0)
        save(file, **vars(made))
    with np.load(file) as found:
        return Rows(**found)


def save(file: Path, **arrays: NDArray[Any]) -> None:
    """Write arrays, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f"{os.getpid()}-{file.name}")
    np.savez(unfinished, **arrays)
    unfinished.replace(file)
