"""One training: observations of clips and a configuration in, a network out."""

import copy
import logging
import math
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emoscope.speech.compact import CLASSES, CompactSpeech
from training.speech.data import NONSPEECH, OTHER, UNKNOWN, Clip, Corpora
from training.speech.observations import Observations, of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Config:
    """Everything that decides a training."""

    steps: int = 9000
    bags: int = 192  # per step
    rows: int = 2  # of each bag, whose mean logits are judged
    single: float = 0.3  # weight of the loss on single rows, so that the timeline learns, too
    rate: float = 4e-3  # peak learning rate of AdamW; a tenth of the steps to get there, a cosine down to nothing
    decay: float = 0.05  # weight decay
    average: float = 0.99  # of the weights, exponentially: the network that is kept
    corpus_power: float = 0.5  # a corpus is drawn as often as its clips to this power; its classes equally
    nonspeech: float = 0.06  # share of sounds without a voice
    votes: float = 0.1  # weight of CREMA-D's listeners beside the label
    smoothing: float = 0.05  # of the target, over the classes of its corpus
    noise: float = 0.15  # deviation of what is added to the inputs, in their own deviations
    shift: float = 0.0  # the same for a whole bag: as if it came from yet another corpus
    seed: int = 1
    passes: dict[str, float] = field(default_factory=lambda: {"whole": 3.0, "spliced": 1.0, "noisy": 0.2, "far": 0.2})
    model: dict[str, Any] = field(default_factory=dict)  # arguments of CompactSpeech


@dataclass(frozen=True)
class Truth:
    """Targets and competitors of every clip."""

    target: Tensor  # (clips, 9), distributions
    allowed: Tensor  # (clips, 9)


def truth_of(corpora: Corpora, config: Config) -> Truth:
    """What each clip should be called, and which classes compete for it.

    A corpus cannot teach what it did not ask for: its missing emotions stay out of the sum. `other` and `unknown`
    always compete, so that they learn to stay low on voices; against sounds without a voice everything competes.
    """
    classes = {name: corpora.classes(name) for name in corpora.names}
    target = np.zeros((len(corpora.clips), CLASSES), np.float32)
    allowed = np.zeros(target.shape, bool)
    for row, clip in enumerate(corpora.clips):
        target[row, clip.label] = 1
        if clip.corpus == NONSPEECH:
            allowed[row] = True
            continue
        own = classes[clip.corpus]
        if clip.votes:
            target[row] = (1 - config.votes) * target[row] + config.votes * np.array(clip.votes)
        target[row] *= 1 - config.smoothing
        target[row, own] += config.smoothing / len(own)
        allowed[row, [*own, OTHER, UNKNOWN]] = True
    return Truth(torch.from_numpy(target), torch.from_numpy(allowed))


def balance(clips: list[Clip], config: Config) -> NDArray[np.float64]:
    """How often each clip is drawn: corpora by a power of their size, the classes of a corpus equally."""
    sizes = Counter(clip.corpus for clip in clips)
    cells = Counter((clip.corpus, clip.label) for clip in clips)
    labels = Counter(corpus for corpus, _ in cells)
    share = {name: size**config.corpus_power for name, size in sizes.items() if name != NONSPEECH}
    total = sum(share.values())
    share = {name: (1 - config.nonspeech) * part / total for name, part in share.items()} | {
        NONSPEECH: config.nonspeech
    }
    weight = np.array([share[c.corpus] / labels[c.corpus] / cells[c.corpus, c.label] for c in clips])
    return weight / weight.sum()


class Bags:
    """Draws bags of all passes, balanced, and a few rows of each."""

    def __init__(self, corpora: Corpora, observed: dict[str, Observations], clips: list[Clip], config: Config) -> None:
        self.random = np.random.default_rng(config.seed)
        self.rows, self.noise = config.rows, config.noise
        self.passes = [observed[name] for name in config.passes]
        shares = np.array(list(config.passes.values()), float)
        self.shares = shares / shares.sum()
        self.bags = [of(corpora, observations, clips) for observations in self.passes]
        self.weights = [
            balance([corpora.clips[k] for k in observations.clip[bags]], config)
            for observations, bags in zip(self.passes, self.bags, strict=True)
        ]

    def draw(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Observations (bags, rows, I), activity (bags, rows), clips (bags,)."""
        seen, active, clip = [], [], []
        parts = self.random.multinomial(count, self.shares)
        for observations, bags, weight, part in zip(self.passes, self.bags, self.weights, parts, strict=True):
            chosen = bags[self.random.choice(len(bags), part, p=weight)]
            pick = self.random.integers(0, observations.count[chosen][:, None], (part, self.rows))
            where = observations.first[chosen][:, None] + pick
            seen.append(observations.seen[where])
            active.append(observations.active[where])
            clip.append(observations.clip[chosen])
        return (
            torch.from_numpy(np.concatenate(seen)).float(),
            torch.from_numpy(np.concatenate(active)).float(),
            torch.from_numpy(np.concatenate(clip)),
        )


def member_logits(model: CompactSpeech, seen: Tensor, active: Tensor) -> Tensor:
    """Each perceptron's own logits, whose mean is the network's: (..., I), (...) -> (members, ..., 9)."""
    x = model.prepare(seen)
    weights = model.proj.weight.chunk(len(model.members), 1)
    return torch.stack(
        [
            (member(x) * active[..., None]) @ weight.T * len(model.members) + model.proj.bias
            for member, weight in zip(model.members, weights, strict=True)
        ]
    )


def cross_entropy(logits: Tensor, target: Tensor, allowed: Tensor) -> Tensor:
    """Among the classes that compete: (..., 9) three times -> (...)."""
    return -(target * logits.masked_fill(~allowed, -1e4).log_softmax(-1)).sum(-1)


def learning_rate(step: int, config: Config) -> float:
    """Up in a straight line, down in a cosine."""
    warm = config.steps // 10
    if step < warm:
        return config.rate * (step + 1) / warm
    return config.rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / (config.steps - warm)))


def train(corpora: Corpora, observed: dict[str, Observations], clips: list[Clip], config: Config) -> CompactSpeech:
    """The averaged network after `config.steps` steps on these clips."""
    torch.manual_seed(config.seed)
    truth, bags = truth_of(corpora, config), Bags(corpora, observed, clips, config)
    model = CompactSpeech(**{**config.model, "ears": 0}).train()
    standardise(model, bags)
    kept = copy.deepcopy(model).eval()
    optimiser = torch.optim.AdamW(groups(model, config.decay), lr=config.rate)
    started, losses = time.monotonic(), []
    for step in range(config.steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, config)
        seen, active, clip = bags.draw(config.bags)
        wobble = config.noise * torch.randn(seen.shape) + config.shift * torch.randn(len(seen), 1, seen.shape[-1])
        seen = seen + wobble * model.spread
        target, allowed = truth.target[clip], truth.allowed[clip]
        with torch.autocast("cpu", torch.bfloat16):
            logits = member_logits(model, seen, active)
        logits = logits.float()  # (members, bags, rows, 9)
        whole = cross_entropy(logits.mean(2), target, allowed).mean()
        rows = cross_entropy(logits, target[:, None], allowed[:, None])
        loss = whole + config.single * (rows * active).sum() / active.sum() / len(logits)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimiser.step()
        average(kept, model, min(config.average, (step + 1) / (step + 10)))
        losses.append(float(whole.detach()))
        if (step + 1) % 250 == 0:
            log.info("step %d, loss %.3f, %.0f s", step + 1, sum(losses[-250:]) / 250, time.monotonic() - started)
    return kept


def standardise(model: CompactSpeech, bags: Bags) -> None:
    """Mean and deviation of the inputs, from a few thousand draws; small starting weights for the head."""
    seen = bags.draw(4000)[0].flatten(0, 1)
    with torch.no_grad():
        model.centre.copy_(seen.mean(0))
        model.spread.copy_(seen.std(0).clamp_min(0.02))
        model.proj.bias.zero_()


def groups(model: CompactSpeech, decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices only."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": matrices, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]


@torch.no_grad()
def average(kept: CompactSpeech, model: CompactSpeech, keep: float) -> None:
    """Move the kept weights a little towards the trained ones."""
    for slow, fast in zip(kept.parameters(), model.parameters(), strict=True):
        slow.lerp_(fast, 1 - keep)
