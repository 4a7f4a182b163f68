"""The text corpora as arrays: tokens of every row, what it should be called, and which emotions compete for it."""

import json
import logging
import re
import tempfile
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

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
PRIMARY = 0.7  # of the target, for the first of several labels; the others share the rest
SMOOTHING = 0.03  # of the target, over the classes of the dataset

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


def targets(table: pd.DataFrame, allowed: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return what every row should be called, as distributions over the classes that compete: (N, 8)."""
    target = np.zeros(allowed.shape, np.float32)
    for row, joined in enumerate(table.labels):
        names = [LABELS.index(name) for name in joined.split(";")]
        target[row, names[0]] = 1 if len(names) == 1 else PRIMARY
        for name in names[1:]:
            target[row, name] += (1 - PRIMARY) / (len(names) - 1)
    return ((1 - SMOOTHING) * target + SMOOTHING * allowed / allowed.sum(1, keepdims=True)).astype(np.float32)


def competitors(table: pd.DataFrame, classes: dict[str, tuple[str, ...]]) -> NDArray[np.bool_]:
    """Return which classes compete for every row, (N, 8): those of its dataset, and its own labels."""
    one = {name: np.array([label in labels for label in LABELS]) for name, labels in classes.items()}
    allowed = np.stack([one[name] for name in table.dataset])
    for row, joined in enumerate(table.labels):
        allowed[row, [LABELS.index(name) for name in joined.split(";")]] = True
    return allowed


def encode(texts: list[str], tokenizer: PreTrainedTokenizerFast) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """Return the tokens of all texts in one row, and where each begins."""
    tokens, first = [], [0]
    for start in range(0, len(texts), 10_000):
        found = tokenizer(texts[start : start + 10_000], truncation=True, max_length=LONGEST)["input_ids"]
        tokens.append(np.concatenate([np.array(row, np.uint16) for row in found]))
        first.extend(first[-1] + np.cumsum([len(row) for row in found]))
    return np.concatenate(tokens), np.array(first, np.int64)


def rows(table: pd.DataFrame, texts: list[str], classes: dict[str, tuple[str, ...]],
         tokenizer: PreTrainedTokenizerFast) -> Rows:  # fmt: skip
    """Turn a table into numbers; `texts` are its own or those of another version."""
    tokens, first = encode(texts, tokenizer)
    allowed = competitors(table, classes)
    label = np.array([LABELS.index(name) for name in table.label])
    return Rows(
        tokens, first, label, targets(table, allowed), allowed, table.dataset.to_numpy(str), table.lang.to_numpy(str)
    )


def prepare(data: Path, split: str, tokenizer: PreTrainedTokenizerFast, *, cache: Path, tiers: tuple[str, ...] = TIERS,
            speech: bool = False) -> Rows:  # fmt: skip
    """Return a split as numbers, as written or as spoken; keeps them in `cache`, which belongs to one tokenizer."""
    file = cache / f"{split}-{'spoken' if speech else 'written'}.npz"
    if not file.exists():
        log.info("reading %s", file.stem)
        table = read(data, split, tiers)
        texts = [spoken(text) for text in table.text] if speech else list(table.text)
        made = rows(table, texts, masks(data), tokenizer)
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(file, **vars(made))
    with np.load(file) as found:
        return Rows(**found)
