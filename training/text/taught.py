"""What is learned beside the labels: what linear teachers, and later the first network, say of every version."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from training.text.batches import LENGTHS, PAD_ID, pad, texts
from training.text.data import VERSIONS, Rows, save
from training.text.evaluate import OTHER, SEVEN, climb, score
from training.text.network import Reader
from training.text.teachers import held_out, log_softmax
from training.text.tokens import BEGIN, SPECIAL

TOKENS = 12_288  # of a batch, padding included
MANY = 1500  # texts of a dataset whose teachers lean
FEW = 60  # texts of a class towards which they may
BEGIN_ID = SPECIAL.index(BEGIN)

log = logging.getLogger(__name__)


def linear_opinions(table: pd.DataFrame, versions: list[Rows], *, cache: Path) -> NDArray[np.float32]:
    """What linear teachers say of every version of texts that are new to them: (V, N, 8), NaN where there is none."""
    file = cache / "teachers.npz"
    if not file.exists():
        written = [version.texts(table) for version in VERSIONS.values()]
        save(file, said=np.stack(held_out(table, written, versions[0].target, versions[0].allowed)))
    with np.load(file) as found:
        said: NDArray[np.float32] = found["said"]
    return said


def network_opinions(model: Reader, versions: list[Rows], *, cache: Path) -> NDArray[np.float32]:
    """What a network says of every version: (V, N, 8)."""
    file = cache / "first-said.npz"
    if not file.exists():
        compute = torch.compile(model.eval(), dynamic=False)
        save(file, said=np.stack([judged(model, rows, compute) for rows in versions]))
    with np.load(file) as found:
        said: NDArray[np.float32] = found["said"]
    return said


@torch.inference_mode()
def judged(model: Reader, rows: Rows, compute: torch.nn.Module) -> NDArray[np.float32]:
    """What a network, computed in some way, says of every text among the classes that compete: (N, 8)."""
    words = model.classifier.get_input_embeddings().weight
    kind, found = np.searchsorted(LENGTHS, rows.lengths), np.empty(rows.target.shape, np.float32)
    for number, length in enumerate(LENGTHS):
        of, size = np.flatnonzero(kind == number), TOKENS // int(length)
        for begin in range(0, len(of), size):
            chosen = of[begin : begin + size]
            batch = pad([texts(rows, row) for row in chosen], int(length))
            full = F.pad(batch, (0, 0, 0, size - len(chosen)), value=PAD_ID)  # of one size, to be compiled once
            full[len(chosen) :, 0] = BEGIN_ID
            found[chosen] = compute(F.embedding(full, words), full != PAD_ID)[0][: len(chosen)].float().numpy()
    log.info("the network judged %d texts", len(rows))
    return np.exp(log_softmax(found, rows.allowed)).astype(np.float32)


def leanings(said: NDArray[np.float32], rows: Rows) -> NDArray[np.float32]:
    """What to add to the logits of what teachers say, (N, 8), so that rare classes are named often enough: (N, 8).

    One leaning for each large dataset, worth most in accuracy and twice the macro-F1 of texts that the teachers
    did not know. There are ten times as many of those as development texts, so little of it is chance.
    """
    found, heard = np.zeros(said.shape, np.float32), ~np.isnan(said).any(1)
    for name in np.unique(rows.dataset[heard]):
        part = rows.dataset == name
        of = np.flatnonzero(part & heard & (rows.label != OTHER))
        if len(of) >= MANY:
            texts = replace(rows, **{key: getattr(rows, key)[of] for key in ("label", "target", "allowed", "dataset")})
            found[part] = leaning(np.log(said[of].clip(1e-6)), texts)
    return found


def leaning(logits: NDArray[np.float32], rows: Rows) -> NDArray[np.float32]:
    """What to add to the logits of one dataset's texts, (N, 8), for the most accuracy and twice the macro-F1: (8,)."""
    every, classes = np.ones(len(logits), bool), rows.allowed.any(0) & SEVEN

    def worth(added: NDArray[np.float32]) -> float:
        one = score(logits + added, rows, every, classes)
        return one.accuracy + 2 * one.f1 - float(np.abs(added).sum()) / 100

    enough = np.bincount(rows.label, minlength=len(classes)) >= FEW
    nothing = np.zeros(len(classes), np.float32)
    return climb(worth, np.argwhere(classes & enough), nothing, most=1.2, steps=(0.3, 0.3, 0.2, 0.1, 0.05))


def taught(versions: list[Rows], share: float, *opinions: NDArray[np.float32],
           lean: NDArray[np.float32] | float = 0.0) -> list[Rows]:  # fmt: skip
    """Mix opinions, (V, N, 8) each, into the targets: as much as `share` of them, each opinion as much as another.

    Versions with words in smaller parts, behind the others, are the same texts to the teachers. NaN is no opinion; a
    text without any keeps its labels. `lean` (N, 8) is added to the logits of the mixture.
    """
    found = []
    for number, rows in enumerate(versions):
        said = np.stack([opinion[number % len(opinion)] for opinion in opinions])
        heard = ~np.isnan(said)
        mean = np.where(heard, said, 0).sum(0) / heard.sum(0).clip(1)
        mixed = np.where(heard.any(0), (1 - share) * rows.target + share * mean, rows.target) * np.exp(lean)
        mixed = mixed / mixed.sum(1, keepdims=True)
        found.append(replace(rows, target=mixed.astype(np.float32)))
    return found
