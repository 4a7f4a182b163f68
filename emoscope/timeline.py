"""Frame logits along time, and what can be read from them: probabilities, segments, turning points, shares."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emoscope.labels import COUNT, INDEX, LABELS

Floats: TypeAlias = NDArray[np.float32]
Flags: TypeAlias = NDArray[np.bool_]
Run: TypeAlias = tuple[int, int, int]  # class, first frame, frame after the last

RATE = 16_000  # samples per second
HOP = 320  # samples, 20 ms: one frame starts this far after the one before it
WINDOW = 400  # samples, 25 ms: what one frame hears
HOP_SECONDS = HOP / RATE
SILENCE = "silence"  # the label of a segment without sound
SILENT = COUNT  # its class, after the nine emotions
NAMES = (*LABELS, SILENCE)  # of all ten
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
    """A stretch of time with one dominant emotion, or silence.

    `probability` is the mean probability of the label over the sounding frames within, after smoothing: what the
    timeline shows is what is averaged. For silence it is 0.
    """

    label: str
    start: float  # seconds on the clock of the uploaded file
    end: float  # seconds
    probability: float

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
    `seconds` is the length of the sound: the last window ends 5 ms after the last frame gives way and up to 20 ms more
    are too short for another one, so the last frame lasts until the sound ends. Without it the last frame lasts 20 ms.
    The arrays are read-only.
    """

    logits: Floats
    silent: Flags = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    start: float = 0.0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        logits = np.ascontiguousarray(self.logits, dtype=np.float32)
        if logits.ndim != 2 or logits.shape[1] != COUNT or not len(logits):
            raise ValueError(f"a timeline needs (T, {COUNT}) logits with T at least 1, not {logits.shape}")
        if np.isnan(logits).any() or not np.isfinite(logits.max(axis=1)).all():
            raise ValueError("a timeline's logits must be numbers, or -inf for some classes of a frame")
        silent = np.asarray(self.silent, dtype=np.bool_) if len(self.silent) else np.zeros(len(logits), dtype=np.bool_)
        if silent.shape != (len(logits),):
            raise ValueError(f"silence is marked for {len(silent)} frames, but there are {len(logits)}")
        covered = HOP * len(logits) / RATE
        seconds = self.seconds or covered
        if not (math.isfinite(self.start) and covered - 1e-6 <= seconds <= covered + 2 * HOP_SECONDS):
            raise ValueError(f"{len(logits)} frames do not fit {seconds} seconds from {self.start} on")
        object.__setattr__(self, "logits", _read_only(logits))
        object.__setattr__(self, "silent", _read_only(silent))
        object.__setattr__(self, "seconds", seconds)

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def times(self) -> NDArray[np.float64]:
        """Return the start of every frame in seconds, (T,)."""
        return self.start + HOP * np.arange(len(self), dtype=np.float64) / RATE

    @property
    def end(self) -> float:
        """Return where the sound ends, in seconds."""
        return self.start + self.seconds

    def probabilities(self, smooth: float = 0.0) -> Floats:
        """Return (T, 9) probabilities, each the mean of the frames within a centred window of about `smooth` seconds.

        The window is an odd number of frames and is cut at both ends of the recording; under 0.03 s it is one frame,
        so 0 gives the raw frames. Silent frames do not colour their neighbours: a mean is taken over the sounding
        frames of its window, and over all of them only where none sounds.
        """
        raw = softmax(self.logits)
        reach = round(smooth / HOP_SECONDS) // 2  # frames on either side
        if reach <= 0:
            return raw
        wide = raw.astype(np.float64)
        sums = _window_sums(np.where(self.silent[:, None], 0.0, wide), reach)  # (T, 9)
        if self.silent.any():
            deaf = _window_sums(np.where(self.silent, 0.0, 1.0), reach) < 0.5  # (T,): no sounding frame within reach
            sums[deaf] = _window_sums(wide, reach)[deaf]
        smoothed: Floats = (sums / sums.sum(axis=1, keepdims=True)).astype(np.float32)
        return smoothed

    def scores(self) -> Floats:
        """Return the verdict's nine probabilities: the softmax of the mean logits, which is exact for a linear head.

        Silent frames count, because they count in the model's own verdict; smoothing has no part in it.
        """
        return softmax(self.logits.mean(axis=0, dtype=np.float64).astype(np.float32))

    def dominant(self, smooth: float = SMOOTHING) -> NDArray[np.intp]:
        """Return the class that wins each frame after smoothing, (T,), and `SILENT` (9) where the frame is silent."""
        return self.winners(self.probabilities(smooth))

    def winners(self, probabilities: Floats) -> NDArray[np.intp]:
        """Do the same with probabilities (T, 9) that are there already."""
        return np.where(self.silent, SILENT, probabilities.argmax(axis=1))

    def segments(self, smooth: float = SMOOTHING, shortest: float = MIN_SEGMENT) -> tuple[Segment, ...]:
        """Return the stretches of one dominant emotion or of silence; they cover the time from `start` to `end`.

        First the probabilities are smoothed, then every frame goes to its likeliest emotion, or to silence where it is
        marked. Then stretches under `shortest` seconds join the longer of their neighbours (the one before, if both are
        as long), the shortest stretch first: a breath within a word disappears in the word, and a click within silence
        disappears in the silence. What remains is at least `shortest` long, unless the whole recording is shorter.
        """
        probabilities = self.probabilities(smooth)
        runs = _merge_short(_runs(self.winners(probabilities)), round(shortest / HOP_SECONDS))
        return tuple(
            Segment(NAMES[winner], self._time(first), self._time(last), mean)
            for (winner, first, last), mean in zip(runs, self._means(probabilities, runs), strict=True)
        )

    def turning_points(self, smooth: float = SMOOTHING, shortest: float = MIN_SEGMENT) -> tuple[TurningPoint, ...]:
        """Return where the dominant emotion changes; who has the segments already asks the function of this name."""
        return turning_points(self.segments(smooth, shortest))

    def shares(self, smooth: float = SMOOTHING, shortest: float = MIN_SEGMENT) -> dict[str, float]:
        """Return each emotion's share of the sounding time; who has the segments asks the function of this name."""
        return shares(self.segments(smooth, shortest))

    def contributions(self, label: str, against: str | None = None) -> NDArray[np.float64]:
        """Return each frame's exact share of the verdict's logit for `label`, (T,); their sum is that logit.

        With `against` it is the share of the difference between the two logits: the log-odds of `label` over `against`.
        A label that the model cannot say gives -inf; two of them have no odds, which raises ValueError.
        """
        logits = self.logits[:, INDEX[label]].astype(np.float64)
        if against is not None:
            others = self.logits[:, INDEX[against]]
            if (np.isinf(logits) & np.isinf(others)).any():
                raise ValueError(f"the model says neither {label} nor {against}, so there are no odds between them")
            logits = logits - others
        return logits / len(self)

    def _means(self, probabilities: Floats, runs: list[Run]) -> list[float]:
        """Return the mean probability of each run's class over its sounding frames; 0 for silence."""
        winners, firsts, lasts = (np.array(column) for column in zip(*runs, strict=True))
        classes = np.repeat(winners, lasts - firsts)  # (T,)
        counted = ~self.silent & (classes != SILENT)
        own = np.where(counted, probabilities[np.arange(len(self)), np.minimum(classes, COUNT - 1)], 0.0)
        sums, counts = (np.add.reduceat(values, firsts, dtype=np.float64) for values in (own, counted))
        means: list[float] = (sums / np.maximum(counts, 1)).tolist()
        return means

    def _time(self, frame: int) -> float:
        """Return where a frame begins, to the microsecond, so that 0.7 s is not 0.7000000000000001 s."""
        return round(self.end if frame == len(self) else self.start + HOP * frame / RATE, 6)


def turning_points(segments: Iterable[Segment]) -> tuple[TurningPoint, ...]:
    """Return the moments at which the dominant emotion changes; silence in between does not count as a change."""
    sounding = [segment for segment in segments if segment.label != SILENCE]
    return tuple(
        TurningPoint(after.start, before.label, after.label)
        for before, after in pairwise(sounding)
        if before.label != after.label
    )


def shares(segments: Iterable[Segment]) -> dict[str, float]:
    """Return the share of the sounding time that each emotion dominates; all are 0 when there is only silence."""
    seconds = dict.fromkeys(LABELS, 0.0)
    for segment in segments:
        if segment.label != SILENCE:
            seconds[segment.label] += segment.seconds
    total = sum(seconds.values())
    return {label: part / total if total else 0.0 for label, part in seconds.items()}


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()  # the caller's own array stays as it is
    view.flags.writeable = False
    return view


def _window_sums(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Return the sum of each frame and up to `reach` frames on either side, along the first axis."""
    sums = np.zeros((len(values) + 1, *values.shape[1:]))
    np.cumsum(values, axis=0, out=sums[1:])
    index = np.arange(len(values))
    window: NDArray[np.float64] = sums[np.minimum(index + reach + 1, len(values))] - sums[np.maximum(index - reach, 0)]
    return window.clip(0.0)  # a difference of two long sums may miss 0 by 1e-11


def _runs(winners: NDArray[np.intp]) -> list[Run]:
    """Return every stretch with the same class."""
    bounds = [0, *(np.flatnonzero(np.diff(winners)) + 1).tolist(), len(winners)]
    return [(int(winners[first]), first, last) for first, last in pairwise(bounds)]


@dataclass(eq=False, slots=True)
class _Link:
    """A run in a chain of runs."""

    index: int
    winner: int
    first: int
    last: int
    before: "_Link | None" = None
    after: "_Link | None" = None
    taken: bool = False  # it is part of another link now

    @property
    def length(self) -> int:
        return self.last - self.first

    def take(self, other: "_Link") -> None:
        """Make a neighbour part of this one."""
        other.taken = True
        if other is self.before:
            self.first, self.before = other.first, other.before
            if self.before:
                self.before.after = self
        else:
            self.last, self.after = other.last, other.after
            if self.after:
                self.after.before = self


def _merge_short(runs: list[Run], shortest: int) -> list[Run]:
    """Give every stretch under `shortest` frames to its longer neighbour, the shortest stretch first.

    Neighbours that have the same class afterwards are one stretch. Of equals, the earlier one is meant. The short
    stretches wait in a heap, and each step takes one link out of the chain: n log n for n stretches.
    """
    links = [_Link(index, *run) for index, run in enumerate(runs)]
    for before, after in pairwise(links):
        before.after, after.before = after, before
    waiting = [(link.length, link.index) for link in links if link.length < shortest]
    heapify(waiting)
    while waiting:
        length, index = heappop(waiting)
        link = links[index]
        neighbours = [neighbour for neighbour in (link.before, link.after) if neighbour]
        if link.taken or link.length != length or not neighbours:  # it has grown since, or is all there is
            continue
        host = max(neighbours, key=lambda neighbour: neighbour.length)
        host.take(link)
        for other in (host.before, host.after):
            if other and other.winner == host.winner:
                host.take(other)
        if host.length < shortest:
            heappush(waiting, (host.length, host.index))
    return [(link.winner, link.first, link.last) for link in links if not link.taken]
