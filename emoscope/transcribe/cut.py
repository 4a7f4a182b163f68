"""Which stretches of a recording are written down at a time."""

from collections.abc import Iterator, Sequence

import numpy as np

from emoscope.timeline import HOP, RATE, Floats
from emoscope.transcript import Seconds

LONGEST = 30.0  # seconds; SenseVoice was trained on utterances of up to this length
SHORTEST = 0.1  # seconds; there is no word in less


def pieces(samples: Floats, longest: float = LONGEST, silences: Sequence[Seconds] = ()) -> list[Seconds]:
    """Cut a sound into pieces of at most `longest` seconds, which together are all of it.

    A cut is in the middle of the last known silence in the second half of a piece's reach, or else where it is quietest
    there.
    """
    return list(_pieces(samples, longest, silences))


def _pieces(samples: Floats, longest: float, silences: Sequence[Seconds]) -> Iterator[Seconds]:
    start, end = 0.0, len(samples) / RATE
    while end - start > longest:
        earliest, latest = start + longest / 2, start + longest
        middles = [(a + b) / 2 for a, b in silences if earliest <= (a + b) / 2 <= latest]
        cut = middles[-1] if middles else _quietest(samples, earliest, latest)
        yield start, cut
        start = cut
    yield start, end


def _quietest(samples: Floats, earliest: float, latest: float) -> float:
    """Return the middle of the quietest 20 ms between two times."""
    first = round(earliest * RATE)
    frames = samples[first : round(latest * RATE)]
    frames = frames[: len(frames) // HOP * HOP].reshape(-1, HOP)  # (T, 320)
    powers = np.square(frames, dtype=np.float64).mean(axis=1)
    return (first + (int(powers.argmin()) + 0.5) * HOP) / RATE


def part(samples: Floats, time: Seconds) -> Floats:
    """Return the samples of a stretch."""
    return samples[round(time[0] * RATE) : round(time[1] * RATE)]


def batches(times: Sequence[Seconds], room: float) -> Iterator[list[int]]:
    """Yield places of stretches of similar length, as many as fit into `room` seconds with their padding."""
    batch: list[int] = []
    for place in sorted(range(len(times)), key=lambda place: times[place][1] - times[place][0]):
        if batch and (len(batch) + 1) * (times[place][1] - times[place][0]) > room:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
