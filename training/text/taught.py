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
from training.text.network import Reader
from training.text.teachers import held_out, log_softmax
from training.text.tokens import BEGIN, SPECIAL

TOKENS = 12_288  # of a batch, padding included
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


def taught(versions: list[Rows], share: float, *opinions: NDArray[np.float32]) -> list[Rows]:
    """Mix opinions, (V, N, 8) each, into the targets: as much as `share` of them, each opinion as much as another.

    Versions with words in smaller parts, behind the others, are the same texts to the teachers. NaN is no opinion; a
    text without any keeps its labels.
    """
    found = []
    for number, rows in enumerate(versions):
        said = np.stack([opinion[number % len(opinion)] for opinion in opinions])
        heard = ~np.isnan(said)
        mean = np.where(heard, said, 0).sum(0) / heard.sum(0).clip(1)
        mixed = np.where(heard.any(0), (1 - share) * rows.target + share * mean, rows.target)
        found.append(replace(rows, target=mixed.astype(np.float32)))
    return found
