"""Sound that arrives in pieces: brought to 16 kHz without a click between them, and its newest seconds at hand."""

from typing import Any

import numpy as np
import soxr

from emoscope.audio.mix import FASTEST, SLOWEST
from emoscope.errors import AudioError
from emoscope.timeline import RATE, Floats


class Resampler:
    """Turns pieces of mono sound at any rate into one sound at 16 kHz; it remembers what it needs between pieces."""

    def __init__(self, rate: int) -> None:
        """`rate` is that of the pieces in Hz. Raises AudioError when no recording has it."""
        if not SLOWEST <= rate <= FASTEST:
            raise AudioError(f"The microphone states a sample rate of {rate} Hz, which no recording has. Use another.")
        self._soxr: Any = None
        if rate != RATE:
            self._soxr = soxr.ResampleStream(rate, RATE, 1, dtype="float32", quality="HQ")

    def take(self, piece: Floats, *, last: bool = False) -> Floats:
        """Return what is finished with this piece, (N,) -> (M,); some milliseconds stay within until the `last` one."""
        if self._soxr is None:
            return piece
        found: Floats = self._soxr.resample_chunk(piece, last=last)
        if last:
            self._soxr = None
        return found


class Recent:
    """Keeps the newest samples of a sound that grows; memory and the time of an `add` stay the same for ever."""

    def __init__(self, most: int) -> None:
        """`most` is how many samples can be had back."""
        self.total = 0  # samples that were ever added
        self._most = most
        self._room = np.zeros(2 * most, dtype=np.float32)  # filled to the end, then its second half moves to the front
        self._used = 0

    @property
    def oldest(self) -> int:
        """Return the number of the first sample that is still there."""
        return max(0, self.total - self._most)

    def add(self, piece: Floats) -> None:
        """Take in more samples, (N,)."""
        self.total += len(piece)
        piece = piece[-self._most :]
        if self._used + len(piece) > len(self._room):
            kept = self._room[self._used - self._most : self._used].copy()
            self._room[: self._most], self._used = kept, self._most
        self._room[self._used : self._used + len(piece)] = piece
        self._used += len(piece)

    def since(self, first: int) -> Floats:
        """Return a copy of the samples from number `first` on, (N,)."""
        if not self.oldest <= first <= self.total:
            raise ValueError(f"sample {first} is not among those from {self.oldest} to {self.total}")
        return self._room[self._used - (self.total - first) : self._used].copy()
