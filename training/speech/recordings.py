"""Recordings to learn from: single clips, and two or three clips of one voice spliced together."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.speech.augment import Distortion, stretch
from training.speech.data import WIDTH, Clip, Corpora, speech_bounds

GAP = -1  # segment number of a frame between clips
Recording = list[tuple[NDArray[np.float32], int]]  # stretches of sound features, each with its clip's number or GAP


@dataclass(frozen=True)
class Mix:
    """What recordings are made of."""

    versions: tuple[float, ...] = (1.0, 0.0, 0.0)  # shares of clean, noisy, far
    spliced: bool = False  # two or three clips of one voice, of different emotions where there are any
    pace: tuple[float, float] = (0.88, 1.14)  # time-stretch
    longest: int = 240  # frames of one clip, 4.8 s; 160 where it is spliced


@dataclass(frozen=True)
class Batch:
    """Recordings of about the same length, and whose every frame is."""

    sound: Tensor  # (B, T, 66)
    mask: Tensor  # (B, T)
    segment: Tensor  # (B, T), GAP or the segment's number in this batch
    clips: list[int]  # (S,), each segment's clip


class Recorder:
    """Makes recordings from clips; numbers are places in its own list."""

    def __init__(self, corpora: Corpora, clips: list[Clip], mix: Mix, distortion: Distortion, seed: int) -> None:
        self.corpora, self.clips, self.mix, self.distortion = corpora, clips, mix, distortion
        self.random, self.dice = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        self.bounds = [speech_bounds(corpora.clip(clip)) for clip in clips]
        self.by_voice: dict[str, list[int]] = defaultdict(list)
        for number, clip in enumerate(clips):
            self.by_voice[clip.speaker].append(number)

    def whole(self) -> list[Recording]:
        """Every clip as it is, silent ends included."""
        made: list[Recording] = [[(self.corpora.clip(c).astype(np.float32), k)] for k, c in enumerate(self.clips)]
        return by_length(made)

    def once(self) -> list[Recording]:
        """Every clip once, alone or at the head of a spliced recording."""
        numbers = range(len(self.clips))
        return by_length([self.splice(self.gather(k)) if self.mix.spliced else [(self.take(k), k)] for k in numbers])

    def gather(self, number: int) -> list[int]:
        """A clip and one or two others of the same voice, of other emotions where there are any."""
        clip = self.clips[number]
        others = [k for k in self.by_voice[clip.speaker] if self.clips[k].label != clip.label] or [number]
        chosen = [number, *(int(k) for k in self.random.choice(others, int(self.random.integers(1, 3))))]
        return [chosen[k] for k in self.random.permutation(len(chosen))]

    def splice(self, numbers: list[int]) -> Recording:
        """Clips one after the other, mostly with pauses of up to half a second."""
        parts: Recording = []
        for number in numbers:
            block = self.take(number, limit=160)
            if parts and self.random.random() < 0.7:
                pause = np.percentile(block, 5, axis=0) + 0.3 * self.random.standard_normal(
                    (int(self.random.integers(1, 26)), WIDTH)
                )
                pause[:, -2] = np.clip(pause[:, -2], 0, 1)  # voicing
                parts.append((pause.astype(np.float32), GAP))
            parts.append((block, number))
        return parts

    def take(self, number: int, limit: int = 0) -> NDArray[np.float32]:
        """One version of a clip, with more or less of its silent ends, at another pace."""
        clip, (first, last) = self.clips[number], self.bounds[number]
        version = int(self.random.choice(len(self.mix.versions), p=self.mix.versions))
        sound = self.corpora.clip(clip, version)
        share = len(sound) / (clip.spans[0][1] - clip.spans[0][0])  # versions run at another tempo
        ends = self.random.random(2) ** 3  # mostly trimmed, now and then whole
        start = int(share * first * (1 - ends[0]))
        stop = max(start + 10, int(len(sound) - (len(sound) - share * last) * (1 - ends[1])))
        rows = stretch(len(sound[start:stop]), self.random.uniform(*self.mix.pace), 10_000)
        limit = limit or self.mix.longest
        offset = int(self.random.integers(0, max(len(rows) - limit, 0) + 1))
        return sound[start:stop][rows[offset : offset + limit]].astype(np.float32)

    def collate(self, recordings: list[Recording]) -> Batch:
        """Pad to the longest; number the segments; distort."""
        longest = max(map(length, recordings))
        sound = np.full((len(recordings), longest, WIDTH), -20, np.float32)
        segment = np.full((len(recordings), longest), GAP, np.int64)
        mask = np.zeros((len(recordings), longest), bool)
        clips: list[int] = []
        for row, recording in enumerate(recordings):
            place = 0
            for block, number in recording:
                here = slice(place, place + len(block))
                sound[row, here], mask[row, here] = block, True
                if number != GAP:
                    segment[row, here] = len(clips)
                    clips.append(number)
                place += len(block)
        distorted = self.distortion(torch.from_numpy(sound), self.dice)
        return Batch(distorted, torch.from_numpy(mask), torch.from_numpy(segment), clips)


def length(recording: Recording) -> int:
    """Frames."""
    return sum(len(block) for block, _ in recording)


def by_length(recordings: list[Recording]) -> list[Recording]:
    """Shortest first, so that batches need little padding."""
    return sorted(recordings, key=length)
