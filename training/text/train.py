"""One training in three stages: words alone, words in context with some of them hidden, and emotions alone."""

import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from training.text.data import Rows
from training.text.network import Reader, Shape
from training.text.tokens import BEGIN, FIRST, MASK, PAD, SPECIAL

PAD_ID, BEGIN_ID, MASK_ID = (SPECIAL.index(name) for name in (PAD, BEGIN, MASK))
GUESSES = 512  # hidden words judged per batch: each is compared with the whole vocabulary

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """A part of the training with its own rise and fall of the learning rate."""

    name: str
    steps: int
    rate: float
    deep: bool = True  # with attention, or words alone
    hidden: float = 0.0  # share of the words that are hidden and must be guessed
    guess: float = 0.0  # weight of the guessing beside the emotions


@dataclass(frozen=True)
class Config:
    """Everything that decides a training."""

    stages: tuple[Stage, ...] = (
        Stage("words", 2000, 5e-3, deep=False),
        Stage("language", 100, 2e-3, hidden=0.2, guess=0.3),
        Stage("emotions", 1100, 1.5e-3),
    )
    lexical: float = 5.0  # how much faster the words' own numbers learn: each word is in few batches
    tokens: int = 6144  # of a batch, padding included
    decay: float = 0.05  # weight decay of matrices
    spoken: float = 0.25  # share of texts without punctuation, emoji and names
    dataset_power: float = 0.75  # a dataset is drawn as often as its rows to this power
    class_power: float = 0.75  # a class within its dataset, likewise
    first: float = 3.0  # how much more often English and Chinese are drawn
    block: int = 60_000  # texts drawn at a time, then sorted by length into batches
    seed: int = 1
    shape: Shape = field(default_factory=Shape)


@dataclass(frozen=True)
class Batch:
    """Texts of about one length."""

    tokens: Tensor  # (B, T)
    target: Tensor  # (B, 8)
    allowed: Tensor  # (B, 8)

    @property
    def mask(self) -> Tensor:
        """What is text, and not padding: (B, T)."""
        return self.tokens != PAD_ID


def balance(rows: Rows, config: Config) -> NDArray[np.float64]:
    """How often each text is drawn: datasets and their classes by a power of their size, two languages more often."""
    _, dataset, sizes = np.unique(rows.dataset, return_inverse=True, return_counts=True)
    cell = dataset * 8 + rows.label
    counts = np.bincount(cell, minlength=len(sizes) * 8)
    drawn = np.where(counts > 0, counts.clip(1) ** config.class_power, 0).reshape(-1, 8)
    within = (drawn / drawn.sum(1, keepdims=True)).reshape(-1)  # share of a class in its dataset
    weight = sizes[dataset] ** config.dataset_power * within[cell] / counts[cell]
    weight = np.where(np.isin(rows.language, FIRST), config.first, 1.0) * weight
    return weight / weight.sum()


def draw(weight: NDArray[np.float64], count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Draw rows evenly along the sum of their weights: as often as expected, give or take one."""
    steps = (np.arange(count) + random.random()) / count
    order = random.permutation(len(weight))
    return order[np.searchsorted(np.cumsum(weight[order]), steps).clip(max=len(weight) - 1)]


class Batches:
    """Batches of a training, without end."""

    def __init__(self, written: Rows, heard: Rows, config: Config) -> None:
        self.versions, self.config = (written, heard), config
        self.weight = balance(written, config)

    def __call__(self, random: np.random.Generator) -> Iterator[Batch]:
        """Draw a block, sort it by length, cut it into batches, shuffle them, and again."""
        while True:
            chosen = draw(self.weight, self.config.block, random)
            version = (random.random(len(chosen)) < self.config.spoken).astype(int)
            lengths = np.stack([rows.lengths for rows in self.versions])[version, chosen]
            order = np.lexsort((random.random(len(chosen)), lengths))
            cuts = [0]
            for end in range(len(order)):
                if (end - cuts[-1] + 1) * lengths[order[end]] > self.config.tokens:
                    cuts.append(end)
            parts = np.split(order, cuts[1:])
            for number in random.permutation(len(parts)):
                yield self.collate(chosen[parts[number]], version[parts[number]])

    def collate(self, chosen: NDArray[np.int64], version: NDArray[np.int64]) -> Batch:
        """Texts in one array, padded."""
        picked = [texts(self.versions[v], row) for v, row in zip(version, chosen, strict=True)]
        written = self.versions[0]
        return Batch(pad(picked), torch.from_numpy(written.target[chosen]), torch.from_numpy(written.allowed[chosen]))


def texts(rows: Rows, row: int) -> NDArray[np.uint16]:
    """Tokens of one text."""
    return rows.tokens[rows.first[row] : rows.first[row + 1]]


def pad(picked: list[NDArray[np.uint16]]) -> Tensor:
    """Texts of different lengths -> (B, T)."""
    tokens = np.full((len(picked), max(map(len, picked))), PAD_ID, np.int64)
    for number, text in enumerate(picked):
        tokens[number, : len(text)] = text
    return torch.from_numpy(tokens)


def cross_entropy(logits: Tensor, target: Tensor, allowed: Tensor) -> Tensor:
    """Among the classes that compete: (B, 8) three times -> (B,)."""
    return -(target * logits.masked_fill(~allowed, -1e4).log_softmax(-1)).sum(-1)


def hide(tokens: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Hide some of the words: tokens with gaps (B, T), and the places (N, 2) of gaps to be guessed."""
    hidden = (torch.rand(tokens.shape) < share) & (tokens != PAD_ID) & (tokens != BEGIN_ID)
    places = hidden.nonzero()
    return tokens.masked_fill(hidden, MASK_ID), places[torch.randperm(len(places))[:GUESSES]]


def learning_rate(step: int, stage: Stage) -> float:
    """Up in a straight line over a twentieth of the steps, down in another."""
    warm = max(stage.steps // 20, 1)
    return stage.rate * min((step + 1) / warm, (stage.steps - step) / (stage.steps - warm + 1))


def loss_of(model: Reader, batch: Batch, stage: Stage) -> tuple[Tensor, Tensor]:
    """The loss to learn from, and the part of it that the emotions make."""
    if not stage.hidden:
        with torch.autocast("cpu", torch.bfloat16):
            logits, _ = model(batch.tokens, batch.mask)
        emotions = cross_entropy(logits.float(), batch.target, batch.allowed).mean()
        return emotions, emotions.detach()
    tokens, places = hide(batch.tokens, stage.hidden)
    rows, columns = places.T
    with torch.autocast("cpu", torch.bfloat16):
        logits, features = model(tokens, batch.mask)
        words = model.words(features[rows, columns])
    emotions = cross_entropy(logits.float(), batch.target, batch.allowed).mean()
    guessing = F.cross_entropy(words.float(), batch.tokens[rows, columns])
    return emotions + stage.guess * guessing, emotions.detach()


def train(batches: Batches, words: int, config: Config, *, checkpoint: Path) -> Reader:
    """Train to the end, from where an earlier run stopped when there is a checkpoint; it is written every 100 steps."""
    torch.manual_seed(config.seed)
    model = Reader(words, config.shape).train()
    optimiser = torch.optim.AdamW(groups(model, config), betas=(0.9, 0.98), foreach=True)
    begun, done = resume(checkpoint, model, optimiser)
    for number, stage in enumerate(config.stages[begun:], begun):
        model.deep(stage.deep)
        run_stage(model, optimiser, batches, stage, first=done, save=_Saver(checkpoint, number, model, optimiser),
                  seed=config.seed + number)  # fmt: skip
        done = 0
    model.deep(True)
    return model


def groups(model: Reader, config: Config) -> list[dict[str, Any]]:
    """Words, matrices and the rest, each with its pace and decay."""
    words = model.classifier.get_input_embeddings().weight
    matrices = [weight for weight in model.parameters() if weight.ndim > 1 and weight is not words]
    rest = [weight for weight in model.parameters() if weight.ndim <= 1]
    return [
        {"params": [words], "weight_decay": config.decay / config.lexical, "pace": config.lexical},
        {"params": matrices, "weight_decay": config.decay, "pace": 1.0},
        {"params": rest, "weight_decay": 0.0, "pace": 1.0},
    ]


@dataclass(frozen=True)
class _Saver:
    file: Path
    stage: int
    model: Reader
    optimiser: torch.optim.Optimizer

    def __call__(self, step: int) -> None:
        """Write how far the training is, whole or not at all."""
        unfinished = self.file.with_suffix(f".{os.getpid()}")
        self.model.deep(True)
        state: dict[str, Any] = {"stage": self.stage, "step": step, "model": self.model.state_dict()}
        torch.save({**state, "optimiser": self.optimiser.state_dict()}, unfinished)
        unfinished.replace(self.file)


def resume(checkpoint: Path, model: Reader, optimiser: torch.optim.Optimizer) -> tuple[int, int]:
    """Restore the model and the optimiser; return the stage and the step to go on with."""
    if not checkpoint.exists():
        return 0, 0
    found = torch.load(checkpoint, weights_only=True)
    model.load_state_dict(found["model"])
    optimiser.load_state_dict(found["optimiser"])
    log.info("going on at stage %d, step %d", found["stage"], found["step"])
    return int(found["stage"]), int(found["step"])


def run_stage(model: Reader, optimiser: torch.optim.Optimizer, batches: Batches, stage: Stage, *, first: int,
              save: _Saver, seed: int) -> None:  # fmt: skip
    """One stage from step `first` on; an interrupted one draws other texts than it would have."""
    stream = batches(np.random.default_rng([seed, first]))
    started, losses = time.monotonic(), []
    for step in range(first, stage.steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, stage) * group["pace"]
        loss, emotions = loss_of(model, next(stream), stage)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        losses.append(float(emotions))
        if (step + 1) % 100 == 0 or step + 1 == stage.steps:
            seconds = time.monotonic() - started
            log.info("%s %d, loss %.3f, %.0f s", stage.name, step + 1, float(np.mean(losses[-100:])), seconds)
            save(step + 1)
            model.deep(stage.deep)


def shorter(config: Config, share: float) -> Config:
    """The same training with fewer steps, for trying it out."""
    stages = tuple(replace(stage, steps=max(1, round(stage.steps * share))) for stage in config.stages)
    return replace(config, stages=stages)
