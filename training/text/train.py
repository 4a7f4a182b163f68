"""One training: emotions from labels and teachers, and beside them hidden words, which are guessed from the others."""

import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.nn import functional as F

from training.text.batches import PAD_ID, Batch, Batches, Drawing
from training.text.network import Reader, Shape
from training.text.tokens import BEGIN, MASK, SPECIAL
from training.text.words import Words

BEGIN_ID, MASK_ID = (SPECIAL.index(name) for name in (BEGIN, MASK))
GUESSES = 384  # hidden words judged per batch
OTHERS = 1000  # words that may be meant instead, beside those of the batch: the whole vocabulary is too dear
OFFERED = 0.75  # power of a word's count: how often it is one of those
EVERY = 500  # steps between checkpoints

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Config:
    """Everything that decides a training."""

    steps: int = 13_000
    kept: int = 7000  # step whose weights are averaged with the last ones: less deep in the training texts; 0: none
    taught: float = 0.8  # of the target, for what teachers say
    lean: float = 0.0  # how far teachers lean towards rare classes: 1 is what serves the figures best
    rate: float = 2e-3
    word_rate: float = 1e-2  # words learn faster: each is in few batches
    warm: int = 200  # steps
    word_alone: float = 0.2  # share of a batch's words that must do with the numbers of their letters
    decay: float = 0.05  # weight decay of matrices
    hidden: float = 0.2  # share of the words that are hidden
    alone: float = 0.25  # share of the steps at the end in which hidden words are not guessed,
    hidden_alone: float = 0.2  # and share of the words that are hidden then
    guess: float = 0.2  # weight of the guessing beside the emotions
    seed: int = 1
    drawing: Drawing = field(default_factory=Drawing)
    shape: Shape = field(default_factory=Shape)


# The second generation goes on where the first one stopped. It learns from that one's opinions as well, and of pairs of
# texts; hidden words are not guessed any more.
SECOND = Config(
    steps=20_000,
    kept=0,
    taught=0.9,
    rate=1.5e-3,
    word_rate=6e-3,
    alone=1.0,
    drawing=Drawing(versions=(0.25, 0.1, 0.15, 0.15, 0.175, 0.175), first=6.0, dataset_power=0.7),
)
# The third is the mean of two networks that go on from there in different ways. The texts of everyday platforms, which
# most people bring, come more often.
THIRD = replace(
    SECOND,
    steps=20_000,
    taught=0.97,
    lean=1.0,
    rate=1e-3,
    word_rate=4e-3,
    drawing=replace(
        SECOND.drawing,
        first=9.0,
        dataset_power=0.8,
        class_power=0.75,
        times={**SECOND.drawing.times, "goemotions": 2.5, "smp2020_usual": 1.8},
    ),
)
TWIN = replace(
    THIRD,
    steps=16_000,
    seed=2,
    word_alone=0.35,
    drawing=replace(
        THIRD.drawing,
        class_power=0.6,
        loose=0.4,
        times={**SECOND.drawing.times, "goemotions": 3.0, "smp2020_usual": 2.0},
    ),
)
GENERATIONS = ((Config(),), (SECOND,), (THIRD, TWIN))


def cross_entropy(logits: Tensor, target: Tensor, allowed: Tensor) -> Tensor:
    """Among the classes that compete: (B, 8) three times -> (B,)."""
    return -(target * logits.masked_fill(~allowed, -1e4).log_softmax(-1)).sum(-1)


def hide(tokens: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Hide some of the words: tokens with gaps (B, T), and the places (N, 2) of gaps to be guessed."""
    hidden = (torch.rand(tokens.shape) < share) & (tokens != PAD_ID) & (tokens != BEGIN_ID)
    places = hidden.nonzero()
    return tokens.masked_fill(hidden, MASK_ID), places[torch.randperm(len(places))[:GUESSES]]


def pace(step: int, config: Config) -> float:
    """Share of the learning rate: up in a straight line, down in another."""
    return min((step + 1) / config.warm, (config.steps - step) / max(config.steps - config.warm, 1))


@dataclass
class Trainer:
    """A network on its way."""

    model: Reader
    words: Words
    optimiser: torch.optim.Optimizer
    offered: Tensor  # (V,)
    config: Config
    compute: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # the model, compiled or not
    step: int = 0

    def learn(self, batch: Batch) -> float:
        """One step; returns the loss of the emotions."""
        config, guessing = self.config, self.step < (1 - self.config.alone) * self.config.steps
        tokens, places = hide(batch.tokens, config.hidden if guessing else config.hidden_alone)
        others = torch.multinomial(self.offered, OTHERS, replacement=True) if guessing else tokens.new_zeros(0)
        rows, inverse = torch.unique(torch.cat([tokens.flatten(), batch.tokens.flatten(), others]), return_inverse=True)
        numbers, learn_words = self.words.pick(rows)
        here = inverse[: tokens.numel()].view(tokens.shape)
        logits, features = self.compute(F.embedding(here, numbers), tokens != PAD_ID)
        emotions = cross_entropy(logits.float(), batch.target, batch.allowed).mean()
        loss = emotions
        if guessing:
            meant = inverse[tokens.numel() : 2 * tokens.numel()].view(tokens.shape)[tuple(places.T)]
            said = self.model.guess(features[tuple(places.T)]).bfloat16() @ numbers.T.bfloat16()
            loss = loss + config.guess * F.cross_entropy(said.float(), meant)
        self.optimiser.zero_grad(set_to_none=False)
        loss.backward()  # type: ignore[no-untyped-call]
        share = pace(self.step, config)
        for group in self.optimiser.param_groups:
            group["lr"] = config.rate * share
        torch.nn.utils.clip_grad_norm_(
            [weight for group in self.optimiser.param_groups for weight in group["params"]], 1.0
        )
        self.optimiser.step()
        learn_words(config.word_rate * share)
        self.step += 1
        return float(emotions.detach())

    def save(self, file: Path) -> None:
        """Write how far the training is, whole or not at all."""
        self.tell()
        unfinished = file.with_suffix(f".{os.getpid()}")
        state = {"step": self.step, "model": self.model.state_dict(), "optimiser": self.optimiser.state_dict()}
        torch.save({**state, "own": self.words.own.state(), "shared": self.words.shared.state()}, unfinished)
        unfinished.replace(file)

    @torch.no_grad()
    def tell(self) -> None:
        """Let the network know its words' numbers as they are now."""
        self.model.classifier.get_input_embeddings().weight.copy_(self.words.together())

    def resume(self, file: Path) -> None:
        """Go on where a checkpoint was written."""
        found = torch.load(file, weights_only=True)
        self.model.load_state_dict(found["model"])
        self.optimiser.load_state_dict(found["optimiser"])
        self.words.own.resume(found["own"])
        self.words.shared.resume(found["shared"])
        self.step = int(found["step"])
        log.info("going on at step %d", self.step)


def fresh(first: NDArray[np.float32], config: Config) -> Reader:
    """Return a fresh network with the words' first numbers, (V, D)."""
    torch.manual_seed(config.seed)
    model = Reader(len(first), config.shape)
    with torch.no_grad():
        model.classifier.get_input_embeddings().weight.copy_(torch.from_numpy(first))
    return model


def start(batches: Batches, model: Reader, parts: csr_matrix, config: Config, *, compiled: bool = True) -> Trainer:
    """Begin with a network, which changes."""
    torch.manual_seed(config.seed)
    model.train()
    table = model.classifier.get_input_embeddings().weight.requires_grad_(False)
    learned = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [{"params": [weight for weight in learned if weight.ndim > 1], "weight_decay": config.decay},
              {"params": [weight for weight in learned if weight.ndim <= 1], "weight_decay": 0.0}]  # fmt: skip
    optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.98), foreach=True)
    torch.compiler.reset()  # an earlier network's graphs count against the limit, and past it nothing is compiled
    compute = torch.compile(model, dynamic=False) if compiled else model
    counts = np.bincount(batches.versions[0].tokens, minlength=len(table))
    words = Words(table, parts, counts, config.word_alone)
    return Trainer(model, words, optimiser, torch.from_numpy(counts**OFFERED), config, compute)


def train(batches: Batches, model: Reader, parts: csr_matrix, config: Config, *, checkpoint: Path,
          until: int | None = None, compiled: bool = True, watch: Callable[[Reader], None] | None = None
          ) -> Reader:  # fmt: skip
    """Train a network to the end or `until` a step, from where an earlier run stopped when there is a checkpoint.

    `watch` sees the network whenever a checkpoint is written.
    """
    last = config.steps if until is None else until
    trainer = start(batches, model, parts, config, compiled=compiled)
    if checkpoint.exists():
        trainer.resume(checkpoint)
    stream = batches(np.random.default_rng([config.seed, trainer.step]))  # one resumed draws other texts
    started, losses = time.monotonic(), []
    while trainer.step < last:
        losses.append(trainer.learn(next(stream)))
        if trainer.step == config.kept:
            trainer.save(checkpoint.with_suffix(".kept.pt"))
        if trainer.step % EVERY == 0 or trainer.step == last:
            loss, seconds = float(np.mean(losses[-EVERY:])), time.monotonic() - started
            log.info("step %d, loss %.3f, %.0f s", trainer.step, loss, seconds)
            trainer.save(checkpoint)
            if watch:
                watch(trainer.model)
                trainer.model.train()
    if last == config.steps and config.kept:
        before = torch.load(checkpoint.with_suffix(".kept.pt"), weights_only=True)["model"]
        trainer.model.load_state_dict(mean([trainer.model.state_dict(), before]))
    return trainer.model


def mean(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of the weights of networks that have a common beginning: often better than each of them."""
    return {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}


def shorter(config: Config, share: float) -> Config:
    """The same training with fewer steps, for trying it out."""
    numbers = {name: math.ceil(getattr(config, name) * share) for name in ("steps", "kept", "warm")}
    return replace(config, **numbers)
