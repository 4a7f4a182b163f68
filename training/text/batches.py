"""Batches of texts: which are drawn how often, in which version, and padded to one of a few lengths."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.text.data import LABELS, LONGEST, Rows
from training.text.tokens import FIRST, PAD, SPECIAL

PAD_ID = SPECIAL.index(PAD)
LENGTHS = np.array([8, 12, 16, 24, 32, 48, LONGEST])  # of padded texts: the network is compiled once for each


@dataclass(frozen=True)
class Drawing:
    """What batches are made of."""

    tokens: int = 6144  # of a batch, padding included
    versions: tuple[float, ...] = (0.45, 0.2, 0.35, 0.0, 0.0, 0.0)  # how often a text comes in each of `VERSIONS`
    loose: float = 0.5  # share of those with words in smaller parts, where there are such versions
    dataset_power: float = 0.65  # a dataset is drawn as often as its rows to this power
    class_power: float = 1.0  # a class within its dataset, likewise
    first: float = 4.0  # how much more often English and Chinese are drawn
    # A dataset is drawn so many times as often. RECCON chose dialogues for their emotions; with few of them,
    # DailyDialog has its 82% of neutral texts.
    times: Mapping[str, float] = field(default_factory=lambda: {"dailydialog_reccon": 0.2})
    block: int = 60_000  # texts drawn at a time, then sorted by length into batches


@dataclass(frozen=True)
class Batch:
    """Texts of about one length."""

    tokens: Tensor  # (B, T)
    target: Tensor  # (B, 8)
    allowed: Tensor  # (B, 8)


def balance(rows: Rows, drawing: Drawing) -> NDArray[np.float64]:
    """How often each text is drawn: datasets and their classes by a power of their size, two languages more often."""
    classes = len(LABELS)
    _, dataset, sizes = np.unique(rows.dataset, return_inverse=True, return_counts=True)
    cell = dataset * classes + rows.label
    counts = np.bincount(cell, minlength=len(sizes) * classes)
    drawn = np.where(counts > 0, counts.clip(1) ** drawing.class_power, 0).reshape(-1, classes)
    within = (drawn / drawn.sum(1, keepdims=True)).reshape(-1)  # share of a class in its dataset
    weight = sizes[dataset] ** drawing.dataset_power * within[cell] / counts[cell]
    weight = np.where(np.isin(rows.language, FIRST), drawing.first, 1.0) * weight
    for name, share in drawing.times.items():
        weight = np.where(rows.dataset == name, share * weight, weight)
    return weight / weight.sum()


def draw(weight: NDArray[np.float64], count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Draw rows evenly along the sum of their weights: as often as expected, give or take one."""
    steps = (np.arange(count) + random.random()) / count
    order = random.permutation(len(weight))
    return order[np.searchsorted(np.cumsum(weight[order]), steps).clip(max=len(weight) - 1)]


class Batches:
    """Batches of a training, without end."""

    def __init__(self, versions: list[Rows], drawing: Drawing) -> None:
        """`versions` are those of `VERSIONS`, or those and then the same ones again with words in smaller parts."""
        self.versions, self.drawing = versions, drawing
        twice = len(versions) > len(drawing.versions)
        parts = np.array([1 - drawing.loose, drawing.loose] if twice else [1.0])
        self.shares = np.outer(parts, drawing.versions).ravel()
        self.weight = balance(versions[0], drawing)
        self.lengths = np.stack([rows.lengths for rows in versions])

    def __call__(self, random: np.random.Generator) -> Iterator[Batch]:
        """Draw a block, sort it by length, cut it into full batches, shuffle them; the rest waits for the next."""
        waiting = np.zeros((2, 0), np.int64)  # texts and their versions
        while True:
            chosen = draw(self.weight, self.drawing.block, random)
            version = random.choice(len(self.versions), len(chosen), p=self.shares)
            waiting = np.concatenate([waiting, np.stack([chosen, version])], 1)
            kind = np.searchsorted(LENGTHS, self.lengths[waiting[1], waiting[0]])
            full, rest = [], []
            for number, length in enumerate(LENGTHS):
                of = random.permutation(np.flatnonzero(kind == number))
                size = self.drawing.tokens // int(length)
                whole = len(of) // size * size
                full.extend((waiting[:, part], int(length)) for part in of[:whole].reshape(-1, size))
                rest.append(of[whole:])
            for number in random.permutation(len(full)):
                yield self.collate(*full[number])
            waiting = waiting[:, np.concatenate(rest)]

    def collate(self, chosen: NDArray[np.int64], length: int) -> Batch:
        """Texts and their versions (2, B) in one array."""
        picked = [texts(self.versions[version], row) for row, version in chosen.T]
        target = np.stack([self.versions[version].target[row] for row, version in chosen.T])
        allowed = self.versions[0].allowed[chosen[0]]
        return Batch(pad(picked, length), torch.from_numpy(target), torch.from_numpy(allowed))


def texts(rows: Rows, row: int) -> NDArray[np.uint16]:
    """Tokens of one text."""
    return rows.tokens[rows.first[row] : rows.first[row + 1]]


def pad(picked: list[NDArray[np.uint16]], length: int = 0) -> Tensor:
    """Texts of different lengths -> (B, T), where T is `length` or that of the longest."""
    tokens = np.full((len(picked), length or max(map(len, picked))), PAD_ID, np.int64)
    for number, text in enumerate(picked):
        tokens[number, : len(text)] = text
    return torch.from_numpy(tokens)
