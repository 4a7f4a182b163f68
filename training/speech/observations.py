"""What the network's fixed part says about every clip, heard several ways: the training set of its learned part.

The fixed part costs far more than the learned one, so it runs once. A *bag* is what was observed during one clip, alone
or inside a recording with others: a few rows, one truth.
"""

import logging
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from emoscope.speech.compact import BLOCK, CompactSpeech, describe
from training.speech.augment import Distortion
from training.speech.data import Clip, Corpora, prepare
from training.speech.recordings import Mix, Recorder, Recording

log = logging.getLogger(__name__)

STRIDE = 3  # keep every third block: 240 ms
NONE = Distortion(0, 0, 0, 0, 0, 0)
PASSES: dict[str, tuple[Mix, Distortion]] = {
    "whole": (Mix(), NONE),  # all clips as they are: also to be judged by
    "noisy": (Mix(versions=(0.0, 1.0, 0.0)), Distortion(noise=0.2)),
    "far": (Mix(versions=(0.0, 0.0, 1.0)), Distortion(noise=0.2)),
    "spliced": (Mix(versions=(0.7, 0.15, 0.15), spliced=True), Distortion(noise=0.2, equaliser=0.4)),
}


@dataclass(frozen=True)
class Observations:
    """Rows of one pass: bag b has rows first[b] ... first[b] + count[b], and tells of clip clip[b]."""

    seen: NDArray[np.float16]  # (rows, I)
    active: NDArray[np.float16]  # (rows,)
    first: NDArray[np.int64]
    count: NDArray[np.int64]
    clip: NDArray[np.int64]  # number in corpora.clips


def observe(name: str, *, data: Path, cache: Path, seed: int = 7) -> Path:
    """Make one pass over the clips and keep it; runs in a process of its own."""
    path = cache / "observations" / f"{name}.npz"
    if path.exists():
        return path
    torch.set_num_threads(1)
    corpora = prepare(data, cache)
    mix, distortion = PASSES[name]
    # only the whole pass judges; dev and test clips take no part in the others
    numbers = [k for k, clip in enumerate(corpora.clips) if name == "whole" or clip.fold == "train"]
    recorder = Recorder(corpora, [corpora.clips[k] for k in numbers], mix, distortion, seed)
    recordings = recorder.whole() if name == "whole" else recorder.once()
    parts = [look(recorder, recordings[i : i + 32]) for i in range(0, len(recordings), 32)]
    seen, active, count, clip = (np.concatenate(column) for column in zip(*parts, strict=True))
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path.with_suffix("")
    folder.mkdir(exist_ok=True)
    np.save(folder / "seen.npy", seen)
    first = np.concatenate([[0], np.cumsum(count)[:-1]])
    np.savez(path, active=active, first=first, count=count, clip=np.array(numbers)[clip])
    return path


def observe_all(names: list[str], *, data: Path, cache: Path, workers: int) -> dict[str, Observations]:
    """Some passes."""
    with ProcessPoolExecutor(workers) as pool:
        paths = list(pool.map(partial(observe, data=data, cache=cache), names))
    return {name: restore(path) for name, path in zip(names, paths, strict=True)}


def restore(path: Path) -> Observations:
    """A pass that was kept."""
    return Observations(seen=np.load(path.with_suffix("") / "seen.npy", mmap_mode="r"), **np.load(path))


@torch.inference_mode()
def look(recorder: Recorder, recordings: list[Recording]) -> tuple[NDArray[np.generic], ...]:
    """Rows, activity, rows per bag and clip per bag of a batch of recordings."""
    batch = recorder.collate(recordings)
    model = CompactSpeech(members=0)
    statistics = describe(batch.sound, batch.mask)
    seen = model.observe(batch.sound, batch.mask, statistics)
    active = model.gate(model.activity(batch.sound, batch.mask, statistics), batch.mask)[..., 0]
    segment = torch.nn.functional.pad(batch.segment, (0, -batch.segment.shape[1] % BLOCK), value=-1)[:, 1::BLOCK]
    rows, gates, counts, clips = [], [], [], []
    for number, clip in enumerate(batch.clips):
        row, block = torch.nonzero(segment == number, as_tuple=True)
        start = int(recorder.random.integers(0, min(STRIDE, max(len(block), 1))))
        row, block = row[start::STRIDE], block[start::STRIDE]
        if len(block):
            rows.append(seen[row, block].half().numpy())
            gates.append(active[row, block].half().numpy())
            counts.append(len(block))
            clips.append(clip)
    return np.concatenate(rows), np.concatenate(gates), np.array(counts), np.array(clips)


def of(corpora: Corpora, observations: Observations, chosen: list[Clip]) -> NDArray[np.int64]:
    """The bags that tell of some clips."""
    wanted = {clip.path for clip in chosen}
    return np.flatnonzero([corpora.clips[k].path in wanted for k in observations.clip])
