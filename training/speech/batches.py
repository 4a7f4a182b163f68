"""Training batches: single clips, and two or three clips spliced into one recording."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.speech.augment import Distortion, stretch
from training.speech.data import LABELS, NONSPEECH, OTHER, UNKNOWN, WIDTH, Clip, Corpora, speech_bounds

GAP = -1  # segment number of a frame between clips
Recording = list[tuple[NDArray[np.float32], int]]  # stretches of sound features, each with its clip's number or GAP


@dataclass(frozen=True)
class Mix:
    """What the batches are made of."""

    size: int = 64  # clips per batch, whether they stand alone or not
    spliced: float = 0.5  # share of clips that meet others in one recording
    same_voice: float = 0.7  # share of recordings whose clips come from one speaker
    longest: int = 240  # frames of one clip, 4.8 s
    pace: tuple[float, float] = (0.88, 1.14)  # time-stretch
    versions: tuple[float, ...] = (0.4, 0.3, 0.3)  # shares of clean, noisy, far
    corpus_power: float = 0.5  # a corpus is drawn as often as its clips to this power; its classes equally
    nonspeech: float = 0.05  # share of sounds without a voice
    votes: float = 0.3  # weight of CREMA-D's listeners beside the label
    smoothing: float = 0.1  # of the target, over the classes of its corpus


@dataclass(frozen=True)
class Batch:
    """Recordings of about the same length, and the truth about their segments."""

    sound: Tensor  # (B, T, 66)
    mask: Tensor  # (B, T)
    segment: Tensor  # (B, T), GAP or the segment's number in this batch
    target: Tensor  # (S, 9), distributions
    allowed: Tensor  # (S, 9), the classes that compete
    clips: list[int]  # (S,), the sampler's number of the clip


class Sampler:
    """Draws clips by corpus, class and clip, and makes batches of them."""

    def __init__(self, corpora: Corpora, clips: list[Clip], mix: Mix, distortion: Distortion, seed: int) -> None:
        self.corpora, self.clips, self.mix, self.distortion = corpora, clips, mix, distortion
        self.random, self.dice = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        self.classes = {name: corpora.classes(name) for name in {clip.corpus for clip in clips}}
        self.bounds = [speech_bounds(corpora.clip(clip)) for clip in clips]
        self.weight = balance(clips, mix)
        self.by_voice = defaultdict(list)
        for number, clip in enumerate(clips):
            self.by_voice[clip.speaker].append(number)

    def __iter__(self) -> Iterator[Batch]:
        """Batches without end, eight at a time sorted by length so that little is padding."""
        while True:
            recordings = self.recordings(8 * self.mix.size)
            recordings.sort(key=lambda recording: sum(len(block) for block, _ in recording))
            batches, batch, clips = [], [], 0
            for recording in recordings:
                batch.append(recording)
                clips += sum(number >= 0 for _, number in recording)
                if clips >= self.mix.size:
                    batches.append(batch)
                    batch, clips = [], 0
            for number in self.random.permutation(len(batches)):
                yield self.collate(batches[number])

    def recordings(self, count: int) -> list[Recording]:
        """About `count` clips as recordings: lists of (frames, clip number), gaps numbered -1."""
        drawn = self.random.choice(len(self.clips), count, p=self.weight)
        made, start = [], 0
        while start < count:
            if self.random.random() < self.mix.spliced / 2.5 / (1 - self.mix.spliced * 0.6):
                numbers = list(drawn[start : start + int(self.random.integers(2, 4))])
                start += len(numbers)
                made.append(self.splice(self.gather(numbers)))
            else:
                made.append([(self.take(drawn[start]), int(drawn[start]))])
                start += 1
        return made

    def gather(self, numbers: list[int]) -> list[int]:
        """Often replace all but the first by other clips of the same voice, of other emotions where there are any."""
        if self.random.random() > self.mix.same_voice:
            return numbers
        first = self.clips[numbers[0]]
        others = [k for k in self.by_voice[first.speaker] if self.clips[k].label != first.label] or [numbers[0]]
        return [numbers[0], *(int(k) for k in self.random.choice(others, len(numbers) - 1))]

    def splice(self, numbers: list[int]) -> Recording:
        """Clips one after the other with pauses of up to half a second; strangers at like levels."""
        strangers = len({self.clips[k].speaker for k in numbers}) > 1
        parts: Recording = []
        for number in numbers:
            block = self.take(number, limit=160)
            if strangers:
                block[:, :-2] += self.random.normal(0, 0.7) - 4 - np.log(np.exp(block[:, :-2]).sum(1).mean())
            if parts and self.random.random() < 0.7:
                pause = np.percentile(block, 5, axis=0) + 0.3 * self.random.standard_normal(
                    (int(self.random.integers(1, 26)), WIDTH)
                )
                pause[:, -2] = np.clip(pause[:, -2], 0, 1)
                parts.append((pause.astype(np.float32), GAP))
            parts.append((block, int(number)))
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
        sound = sound[start:stop]
        limit = limit or self.mix.longest
        rows = stretch(len(sound), self.random.uniform(*self.mix.pace), 10_000)
        offset = int(self.random.integers(0, max(len(rows) - limit, 0) + 1))
        return sound[rows[offset : offset + limit]].astype(np.float32)

    def collate(self, recordings: list[Recording]) -> Batch:
        """Pad to the longest; number the segments."""
        longest = max(sum(len(block) for block, _ in recording) for recording in recordings)
        sound = np.full((len(recordings), longest, WIDTH), -20, np.float32)
        segment = np.full((len(recordings), longest), GAP, np.int64)
        mask = np.zeros((len(recordings), longest), bool)
        numbers: list[int] = []
        for row, recording in enumerate(recordings):
            place = 0
            for block, number in recording:
                here = slice(place, place + len(block))
                sound[row, here], mask[row, here] = block, True
                if number != GAP:
                    segment[row, here] = len(numbers)
                    numbers.append(number)
                place += len(block)
        targets = [self.truth(self.clips[number]) for number in numbers]
        return Batch(
            self.distortion(torch.from_numpy(sound), self.dice),
            torch.from_numpy(mask),
            torch.from_numpy(segment),
            torch.tensor(np.stack([target for target, _ in targets]), dtype=torch.float32),
            torch.from_numpy(np.stack([allowed for _, allowed in targets])),
            numbers,
        )

    def truth(self, clip: Clip) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The target distribution of a clip, and the classes that compete for it.

        A corpus cannot teach what it did not ask for: its missing emotions stay out of the sum. `other` and `unknown`
        always compete, so that they learn to stay low on voices; against sounds without a voice everything competes.
        """
        target = np.zeros(len(LABELS))
        target[clip.label] = 1
        if clip.votes:
            target = (1 - self.mix.votes) * target + self.mix.votes * np.array(clip.votes)
        allowed = np.zeros(len(LABELS), bool)
        if clip.corpus == NONSPEECH:
            allowed[:] = True
            return target, allowed
        own = self.classes[clip.corpus]
        target *= 1 - self.mix.smoothing
        target[own] += self.mix.smoothing / len(own)
        allowed[[*own, OTHER, UNKNOWN]] = True
        return target, allowed


def balance(clips: list[Clip], mix: Mix) -> NDArray[np.float64]:
    """How often each clip is drawn: corpora by a power of their size, the classes of a corpus equally."""
    sizes = Counter(clip.corpus for clip in clips)
    cells = Counter((clip.corpus, clip.label) for clip in clips)
    labels = Counter(corpus for corpus, _ in cells)
    share = {name: size**mix.corpus_power for name, size in sizes.items() if name != NONSPEECH}
    total = sum(share.values())
    share = {name: (1 - mix.nonspeech) * part / total for name, part in share.items()} | {NONSPEECH: mix.nonspeech}
    weight = np.array([share[c.corpus] / labels[c.corpus] / cells[c.corpus, c.label] for c in clips])
    return weight / weight.sum()
