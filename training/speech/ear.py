"""The ear's training: whole clips and spliced recordings through the network, one batch after the other."""

import copy
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from emoscope.speech.compact import BLOCK, CLASSES, CompactSpeech, describe
from training.speech.augment import Distortion
from training.speech.data import Clip, Corpora
from training.speech.recordings import GAP, Batch, Mix, Recorder, Recording, by_length
from training.speech.train import Config, average, balance, cross_entropy, groups, learning_rate, truth_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EarConfig(Config):
    """What differs from the committee's training."""

    steps: int = 3000
    bags: int = 64  # clips per step
    rate: float = 4e-3
    average: float = 0.995
    spliced: float = 0.2  # share of draws that become recordings of two or three clips
    mix: Mix = field(default_factory=lambda: Mix(versions=(0.8, 0.1, 0.1), longest=150))
    distortion: Distortion = field(
        default_factory=lambda: Distortion(warp=0.03, equaliser=0.2, noise=0.1, time_mask=6, band_mask=4, pitch=0.05)
    )


def draw(recorder: Recorder, config: EarConfig) -> Iterator[list[Recording]]:
    """Batches without end, eight at a time, each of recordings of about the same length."""
    weight = balance(recorder.clips, config)
    while True:
        recordings: list[Recording] = []
        for number in recorder.random.choice(len(weight), 6 * config.bags, p=weight):
            alone = recorder.random.random() > config.spliced
            recordings.append(
                [(recorder.take(int(number)), int(number))] if alone else recorder.splice(recorder.gather(int(number)))
            )
        batches: list[list[Recording]] = [[]]
        for recording in by_length(recordings):
            if sum(number != GAP for part in batches[-1] for _, number in part) >= config.bags:
                batches.append([])
            batches[-1].append(recording)
        for k in recorder.random.permutation(len(batches)):
            yield batches[k]


def segment_means(logits: Tensor, batch: Batch) -> Tensor:
    """Mean logits of each clip's stretch: (B, S, 9) -> (clips, 9)."""
    spare = -batch.segment.shape[1] % BLOCK
    segment = torch.nn.functional.pad(batch.segment, (0, spare), value=GAP)[:, 1::BLOCK]
    inside = segment != GAP
    where = segment[inside]
    sums = torch.zeros(len(batch.clips), CLASSES).index_add(0, where, logits[inside])
    return sums / torch.bincount(where, minlength=len(batch.clips)).clamp_min(1)[:, None]


def train_ear(corpora: Corpora, clips: list[Clip], config: EarConfig) -> CompactSpeech:
    """A network without a committee, after `config.steps` batches of these clips."""
    torch.manual_seed(config.seed)
    truth, place = truth_of(corpora, config), {clip.path: k for k, clip in enumerate(corpora.clips)}
    numbers = torch.tensor([place[clip.path] for clip in clips])
    recorder = Recorder(corpora, clips, config.mix, config.distortion, config.seed)
    model = CompactSpeech(members=0).train()
    kept = copy.deepcopy(model).eval()
    optimiser = torch.optim.AdamW(groups(model, config.decay), lr=config.rate)
    batches, started, losses = draw(recorder, config), time.monotonic(), []
    for step in range(config.steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, config)
        batch = recorder.collate(next(batches))
        statistics = describe(batch.sound, batch.mask)
        with torch.autocast("cpu", torch.bfloat16):
            _, logits = model.encode(batch.sound, batch.mask, statistics)
        clip = numbers[batch.clips]
        means = segment_means(logits.float()[:, ::BLOCK], batch)
        loss = cross_entropy(means, truth.target[clip], truth.allowed[clip]).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        average(kept, model, min(config.average, (step + 1) / (step + 10)))
        losses.append(float(loss.detach()))
        if (step + 1) % 100 == 0:
            log.info("step %d, loss %.3f, %.0f s", step + 1, np.mean(losses[-100:]), time.monotonic() - started)
    return kept
