"""Frame logits along time, and what can be read from them: probabilities, segments, turning points, shares."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from emoscope.labels import COUNT, INDEX, LABELS

Floats: TypeAlias = NDArray[np.float32]
Flags: TypeAlias = NDArray[np.bool_]

RATE = 16_000  # samples per second
HOP = 320  # samples, 20 ms: one frame starts this far after the one before it
WINDOW = 400  # samples, 25 ms: what one frame hears
HOP_SECONDS = HOP / RATE
SILENCE = "silence"  # the label of a segment without sound
MIN_SEGMENT = 0.3  # seconds; nothing shorter can be heard as an emotion of its own
SMOOTHING = 0.5  # seconds; about two syllables


def frame_count(samples: int) -> int:
    """Return how many whole 25 ms windows fit, one every 20 ms."""
    return max(0, (samples - WINDOW) // HOP + 1)


def frame_centres(frames: int) -> NDArray[np.float64]:
    """Return the middle of every frame's window in seconds after the first sample, (T,)."""
    return (HOP * np.arange(frames, dtype=np.float64) + WINDOW / 2) / RATE


def softmax(logits: Floats) -> Floats:
    """Return probabilities along the last axis; -inf logits get exactly 0."""
    wide: NDArray[np.float64] = logits.astype(np.float64)
    wide = np.exp(wide - wide.max(axis=-1, keepdims=True))  # (..., 9)
    wide = wide / wide.sum(axis=-1, keepdims=True)
    return wide.astype(np.float32)


@dataclass(frozen=True)
class Segment:
    """A stretch of time with one dominant emotion, or silence."""

    label: str
    start: float  # seconds on the clock of the uploaded file
    end: float  # seconds
    probability: float  # mean probability of the label within; 0 for silence

    @property
    def seconds(self) -> float:
        """Return the length in seconds."""
        return self.end - self.start


@dataclass(frozen=True)
class TurningPoint:
    """A moment at which the dominant emotion changes."""

    time: float  # seconds: where the new emotion begins
    before: str
    after: str


@dataclass(frozen=True, eq=False)
class Timeline:
    """The logits of nine emotions every 20 ms, and where the recording is silent.

    `logits` is (T, 9) float32 in the order of `labels.LABELS`, T at least 1; a class that the model cannot say is -inf
    in every frame. `silent` is (T,) bool. Frame i begins at `start + 0.02 * i` seconds on the uploaded file's clock.
    """

    logits: Floats
    silent: Flags = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    start: float = 0.0

    def __post_init__(self) -> None:
        logits = np.ascontiguousarray(self.logits, dtype=np.float32)
        if logits.ndim != 2 or logits.shape[1] != COUNT or not len(logits):
            raise ValueError(f"a timeline needs (T, {COUNT}) logits with T at least 1, not {logits.shape}")
        if np.isnan(logits).any() or np.isposinf(logits).any():
            raise ValueError("a timeline's logits must be numbers")
        silent = np.asarray(self.silent, dtype=np.bool_) if len(self.silent) else np.zeros(len(logits), dtype=np.bool_)
        if silent.shape != (len(logits),):
            raise ValueError(f"silence is marked for {len(silent)} frames, but there are {len(logits)}")
        object.__setattr__(self, "logits", logits)
        object.__setattr__(self, "silent", silent)

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def times(self) -> NDArray[np.float64]:
        """Return the start of every frame in seconds, (T,)."""
        return self.start + HOP_SECONDS * np.arange(len(self), dtype=np.float64)

    @property
    def end(self) -> float:
        """Return where the last frame gives way, in seconds."""
        return self.start + HOP_SECONDS * len(self)

    def probabilities(self, smooth: float = 0.0) -> Floats:
        """Return (T, 9) probabilities, each the mean of the frames within a centred window of `smooth` seconds.

        Silent frames do not colour their neighbours: they are left out of every mean that has a sounding frame in it.
        """
        raw = softmax(self.logits)
        reach = round(smooth / HOP_SECONDS) // 2  # frames on either side
        if reach == 0:
            return raw
        weights = np.where(self.silent, 1e-6, 1.0)[:, None]  # (T, 1)
        sums = np.cumsum(np.vstack([np.zeros((1, COUNT + 1)), np.hstack([raw * weights, weights])]), axis=0)
        index = np.arange(len(raw))
        window = sums[np.minimum(index + reach + 1, len(raw))] - sums[np.maximum(index - reach, 0)]  # (T, 10)
        smoothed: NDArray[np.float64] = np.clip(window[:, :COUNT], 0.0, None)
        smoothed /= smoothed.sum(axis=1, keepdims=True)
        return smoothed.astype(np.float32)

    def scores(self) -> Floats:
        """Return the verdict's nine probabilities: the softmax of the mean logits, which is exact for a linear head."""
        return softmax(self.logits.mean(axis=0, dtype=np.float64).astype(np.float32))

    def segments(self, smooth: float = SMOOTHING, shortest: float = MIN_SEGMENT) -> tuple[Segment, ...]:
        """Return the stretches of one dominant emotion or of silence, in order, without gaps.

        A stretch shorter than `shortest` seconds joins the longer of its neighbours, the shortest first.
        """
        probabilities = self.probabilities(smooth)
        winners = np.where(self.silent, COUNT, probabilities.argmax(axis=1))  # (T,), 9 means silence
        runs = _merge_short(_runs(winners), round(shortest / HOP_SECONDS))
        return tuple(self._segment(probabilities, *run) for run in runs)

    def _segment(self, probabilities: Floats, winner: int, first: int, last: int) -> Segment:
        start, end = self.start + HOP_SECONDS * first, self.start + HOP_SECONDS * last
        if winner == COUNT:
            return Segment(SILENCE, start, end, 0.0)
        return Segment(LABELS[winner], start, end, float(probabilities[first:last, winner].mean()))

    def turning_points(self, smooth: float = SMOOTHING, shortest: float = MIN_SEGMENT) -> tuple[TurningPoint, ...]:
        """Return the moments at which the dominant emotion changes; silence in between does not count as a change."""
        sounding = [segment for segment in self.segments(smooth, shortest) if segment.label != SILENCE]
        return tuple(
            TurningPoint(after.start, before.label, after.label)
            for before, after in pairwise(sounding)
            if before.label != after.label
        )

    def shares(self, smooth: float = SMOOTHING, shortest: float = MIN_SEGMENT) -> dict[str, float]:
        """Return the share of the sounding time that each emotion dominates; all are 0 when there is only silence."""
        seconds = dict.fromkeys(LABELS, 0.0)
        for segment in self.segments(smooth, shortest):
            if segment.label != SILENCE:
                seconds[segment.label] += segment.seconds
        total = sum(seconds.values())
        return {label: part / total if total else 0.0 for label, part in seconds.items()}

    def contributions(self, label: str, against: str | None = None) -> NDArray[np.float64]:
        """Return each frame's exact share of the verdict's logit for `label`, (T,); their sum is that logit.

        With `against` it is the share of the difference between the two logits: the log-odds of `label` over `against`.
        """
        logits = self.logits[:, INDEX[label]].astype(np.float64)
        if against is not None:
            logits = logits - self.logits[:, INDEX[against]]
        return logits / len(self)


def _runs(winners: NDArray[np.intp]) -> Iterator[tuple[int, int, int]]:
    """Yield (class, first frame, frame after the last) of every stretch with the same class."""
    first = 0
    for winner, group in groupby(winners.tolist()):
        last = first + sum(1 for _ in group)
        yield winner, first, last
        first = last


def _merge_short(runs: Iterator[tuple[int, int, int]], shortest: int) -> list[tuple[int, int, int]]:
    """Give every stretch under `shortest` frames to its longer neighbour, the shortest stretch first."""
    merged = list(runs)
    while len(merged) > 1:
        lengths = [last - first for _, first, last in merged]
        index = min(range(len(merged)), key=lengths.__getitem__)
        if lengths[index] >= shortest:
            break
        neighbours = [at for at in (index - 1, index + 1) if 0 <= at < len(merged)]
        winner = merged[max(neighbours, key=lengths.__getitem__)][0]
        merged[index] = (winner, *merged[index][1:])
        merged = _joined(merged)
    return merged


def _joined(runs: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Join neighbours of the same class."""
    joined: list[tuple[int, int, int]] = []
    for winner, first, last in runs:
        if joined and joined[-1][0] == winner:
            first = joined.pop()[1]
        joined.append((winner, first, last))
    return joined
