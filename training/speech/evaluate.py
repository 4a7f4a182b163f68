"""How good a network is: on speakers it does not know, on corpora it does not know, along time, and how honest."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from emoscope.speech.compact import CompactSpeech, describe
from training.speech.data import Clip, Corpora, speech_bounds

Array = NDArray[np.float64]


@torch.inference_mode()
def frame_logits(model: CompactSpeech, sounds: Sequence[NDArray[np.float16]], size: int = 32) -> list[Array]:
    """Frame logits (T, 9) of whole recordings, computed in padded batches of like lengths."""
    order = sorted(range(len(sounds)), key=lambda k: len(sounds[k]))
    found: dict[int, Array] = {}
    for start in range(0, len(order), size):
        part = order[start : start + size]
        sound = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(sounds[k].astype(np.float32)) for k in part], True)
        lengths = torch.tensor([len(sounds[k]) for k in part])
        mask = torch.arange(sound.shape[1]) < lengths[:, None]
        _, logits = model.encode(sound, mask, describe(sound, mask))
        found |= {k: logits[row, : len(sounds[k])].double().numpy() for row, k in enumerate(part)}
    return [found[k] for k in range(len(sounds))]


def verdicts(model: CompactSpeech, corpora: Corpora, clips: list[Clip], version: int = 0) -> Array:
    """Utterance logits (clips, 9), silent ends included, as the product would compute them."""
    return np.stack([x.mean(0) for x in frame_logits(model, [corpora.clip(clip, version) for clip in clips])])


def recalls(truth: NDArray[np.int64], guess: NDArray[np.int64]) -> dict[int, float]:
    """Recall of each class that occurs."""
    return {int(k): float(np.mean(guess[truth == k] == k)) for k in np.unique(truth)}


def choose(logits: Array, classes: Sequence[int]) -> NDArray[np.int64]:
    """The winner among some classes: (N, 9) -> (N,)."""
    return np.array(classes)[logits[:, list(classes)].argmax(1)]


def uar(logits: Array, clips: list[Clip], classes: Sequence[int]) -> float:
    """Unweighted average recall among a corpus's own classes."""
    truth = np.array([clip.label for clip in clips])
    return float(np.mean(list(recalls(truth, choose(logits, classes)).values())))


def by_corpus(model: CompactSpeech, corpora: Corpora, clips: list[Clip]) -> dict[str, float]:
    """UAR of each corpus among these clips."""
    groups: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        groups[clip.corpus].append(clip)
    return {name: uar(verdicts(model, corpora, part), part, corpora.classes(name)) for name, part in groups.items()}


def spliced(clips: list[Clip], seed: int, parts: int = 3) -> list[list[Clip]]:
    """Each clip once, in recordings of one voice with changing emotions."""
    random = np.random.default_rng(seed)
    voices: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        voices[clip.speaker].append(clip)
    recordings = []
    for voice in voices.values():
        rest = [voice[k] for k in random.permutation(len(voice))]
        while len(rest) >= parts:
            chosen = [rest.pop()]
            while len(chosen) < parts:
                fresh = [k for k, clip in enumerate(rest) if clip.label != chosen[-1].label]
                if not fresh:
                    break
                chosen.append(rest.pop(fresh[0]))
            if len(chosen) < parts:
                break
            recordings.append(chosen)
    return recordings


def smooth(logits: Array, frames: int = 25) -> Array:
    """Moving average over half a second: (T, 9) -> (T, 9)."""
    total = np.cumsum(np.pad(logits, ((1, 0), (0, 0))), axis=0)
    first = np.maximum(np.arange(len(logits)) - frames // 2, 0)
    last = np.minimum(np.arange(len(logits)) + frames // 2 + 1, len(logits))
    return (total[last] - total[first]) / (last - first)[:, None]


def along_time(model: CompactSpeech, corpora: Corpora, clips: list[Clip], seed: int = 1) -> dict[str, float]:
    """Does the timeline point at the right moment? Three clips of one voice in one recording, 200 ms apart.

    `alone`: accuracy on the same clips one by one; `segment`: on their stretch of the recording; `frame` and `smooth`:
    share of frames that name their own clip's emotion, raw and averaged over half a second; `neighbour`: share of
    smoothed frames that name the emotion of another clip of the recording instead. All among the corpus's classes.
    """
    recordings = spliced(clips, seed)
    sounds, truths = [], []
    for recording in recordings:
        blocks, truth = [], []
        for clip in recording:
            sound = corpora.clip(clip)
            first, last = speech_bounds(sound)
            pause = np.repeat(np.percentile(sound, 5, axis=0)[None], 10, axis=0)
            blocks += [sound[first:last], pause.astype(np.float16)]
            truth += [clip.label] * (last - first) + [-1] * 10
        sounds.append(np.concatenate(blocks))
        truths.append(np.array(truth))
    tallies: dict[str, list[float]] = defaultdict(list)
    single = dict(zip([c.path for r in recordings for c in r],
                      verdicts(model, corpora, [c for r in recordings for c in r]), strict=True))  # fmt: skip
    for recording, truth, logits in zip(recordings, truths, frame_logits(model, sounds), strict=True):
        classes = corpora.classes(recording[0].corpus)
        raw, calm = choose(logits, classes), choose(smooth(logits), classes)
        voiced = truth >= 0
        tallies["frame"].append(float(np.mean(raw[voiced] == truth[voiced])))
        tallies["smooth"].append(float(np.mean(calm[voiced] == truth[voiced])))
        others = np.isin(calm, truth[voiced]) & (calm != truth)
        tallies["neighbour"].append(float(np.mean(others[voiced])))
        edges = np.flatnonzero(np.diff(np.concatenate([[-1], truth, [-1]])) != 0)
        stretches = [(a, b) for a, b in pairwise(edges) if truth[a] >= 0]
        for clip, (a, b) in zip(recording, stretches, strict=True):
            tallies["segment"].append(float(choose(logits[a:b].mean(0)[None], classes)[0] == clip.label))
            tallies["alone"].append(float(choose(single[clip.path][None], classes)[0] == clip.label))
    return {name: float(np.mean(values)) for name, values in tallies.items()}
