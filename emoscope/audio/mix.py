"""Decoded frames become one mono waveform at 16 kHz: mixed, resampled by soxr, and watched for length and range."""

import ctypes
from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np
import soxr
from numpy.typing import NDArray

from emoscope.audio.words import length
from emoscope.errors import AudioError, TooLargeError
from emoscope.timeline import RATE, Floats

BATCH = 1 << 18  # values mixed and resampled at once: about 3 s of stereo at 48 kHz
SLOWEST, FASTEST = 1_000, 768_000  # Hz; a rate outside is a broken header, and resampling from it a bomb
LARGEST = 1e10  # float files may use any scale (that of 32-bit integers reaches 2e9), but this is no sound
FULL_SCALE = 0.999  # at and above, a sample counts as clipped when it is not alone
JITTER = 0.1  # seconds by which a time stamp may be off before it means that sound is missing
LONGEST_GAP = 3600.0  # seconds; a larger jump is a broken clock and not a pause
SAFE_PLANES = 7  # channels; PyAV 18 looks for more planes than there are when a frame has eight or more, and crashes
SCALES = {"u8": 2.0**-7, "s16": 2.0**-15, "s32": 2.0**-31, "flt": 1.0, "dbl": 1.0}  # sample format -> full scale is 1


@dataclass(frozen=True)
class Limits:
    """How much a recording may hold; nothing beyond is decoded."""

    seconds: float
    bytes: int


@dataclass
class Mixer:
    """Grows a mono waveform at 16 kHz from decoded frames, and watches length and sample values."""

    name: str
    limits: Limits
    stated: float | None = None
    seconds: float = 0.0  # taken in so far
    peak: float = 0.0
    rate: int = 0
    channels: int = 0
    _clipped: float = 0.0
    _values: int = 0
    _kind: tuple[str, int, int] = ("", 0, 0)  # sample format, rate, channels of the batch
    _batch: list[NDArray[Any]] = field(default_factory=list)
    _waiting: int = 0  # values in the batch
    _slip: float = 0.0  # seconds by which the stream's clock is not ours
    _soxr: Any = None
    _packer: Any = None
    _packs: tuple[str, int, str] = ("", 0, "")  # sample format, rate, layout of the packer
    _pieces: list[Floats] = field(default_factory=list)

    @property
    def clipped(self) -> float:
        """Return the share of clipped samples."""
        return self._clipped / self._values if self._values else 0.0

    def add(self, frame: Any, time: float | None) -> bool:
        """Take in a frame that belongs at `time` seconds; say whether a batch was worked off."""
        if frame.format.is_planar and frame.layout.nb_channels > SAFE_PLANES:
            packed = self._interleaved(frame)
            return packed is not None and self.add(packed, time)
        kind = (frame.format.name, frame.sample_rate, frame.layout.nb_channels)
        if kind != self._kind:
            self._change(kind)
        if time is not None:
            self._fill(time)
        self._count(frame.samples / self._kind[1])
        self._batch.append(frame.to_ndarray())
        self._waiting += self._batch[-1].size
        if self._waiting < BATCH:
            return False
        self._work()
        return True

    def finish(self) -> Floats:
        """Return the whole waveform, (N,) float32."""
        self._end()
        whole = np.concatenate(self._pieces) if self._pieces else np.zeros(0, dtype=np.float32)
        self._pieces.clear()
        return whole

    def _interleaved(self, frame: Any) -> Any:
        """Return a frame with its channels interleaved, None when it is empty."""
        now = (frame.format.name, frame.sample_rate, frame.layout.name)
        if now != self._packs:
            self._packer = av.AudioResampler(format="flt", layout=frame.layout.name, rate=frame.sample_rate)
            self._packs = now
        packed = self._packer.resample(frame)  # nothing stays in it: neither rate nor frame size change
        for one in packed:
            keep_alive(one.layout)
        return packed[0] if packed else None

    def _count(self, seconds: float) -> None:
        self.seconds += seconds
        if self.seconds > self.limits.seconds:
            raise too_long(self.name, self.stated, self.limits)

    def _change(self, kind: tuple[str, int, int]) -> None:
        """Begin sound of another rate, format or number of channels; broadcasts and joined files change on the way."""
        self._work()
        form, rate, channels = kind
        if not SLOWEST <= rate <= FASTEST or form.removesuffix("p") not in SCALES or not channels:
            raise AudioError(f"{self.name} states a sample rate of {rate} Hz, which no recording has: it is damaged.")
        if rate != self._kind[1]:
            self._end()
            self._soxr = None if rate == RATE else soxr.ResampleStream(rate, RATE, 1, dtype="float32", quality="HQ")
        self._kind = kind
        self.rate, self.channels = self.rate or rate, self.channels or channels

    def _fill(self, time: float) -> None:
        """Put silence where time stamps say that sound is missing, so that our clock stays the player's clock.

        Silence codecs send nothing in pauses, streams lose packets, and damaged packets were left out.
        """
        gap = time - self._slip - self.seconds
        if abs(gap) <= JITTER:
            return
        if not 0 < gap < LONGEST_GAP:
            self._slip += gap
            return
        self._work()
        rate = self._kind[1]
        missing = round(gap * rate)
        while missing > 0:
            step = min(missing, BATCH)
            self._count(step / rate)
            self._resample(np.zeros(step, dtype=np.float32))
            missing -= step

    def _work(self) -> None:
        """Mix and resample the batch."""
        if not self._batch:
            return
        form, _, channels = self._kind
        raw = np.concatenate(self._batch, axis=1)
        self._batch.clear()
        self._waiting = 0
        self._resample(self._mix(raw if form.endswith("p") else raw.reshape(-1, channels).T, form.removesuffix("p")))

    def _mix(self, raw: NDArray[Any], form: str) -> Floats:
        """Return the mean of all channels, (C, N) of any sample format -> (N,) float32."""
        with np.errstate(over="ignore", invalid="ignore"):  # what is no number is found below
            sound: Floats = raw.astype(np.float32)
            if form == "u8":
                sound -= 128
            sound *= np.float32(SCALES[form])
            loud = np.abs(sound)
        peak = float(loud.max(initial=0.0))
        if not peak < LARGEST:  # NaN too
            raise AudioError(
                f"{self.name} holds samples that are no sound (NaN, infinite, or absurdly large). Export it again."
            )
        self.peak = max(self.peak, peak)
        self._values += loud.size
        if peak >= FULL_SCALE:
            self._clipped += _in_runs(loud >= FULL_SCALE)
        mono: Floats = sound[0].copy()
        for channel in sound[1:]:  # much faster than a mean over the short axis
            mono += channel
        mono *= np.float32(1 / len(sound))
        return mono

    def _resample(self, mono: Floats) -> None:
        self._pieces.append(mono if self._soxr is None else self._soxr.resample_chunk(mono))

    def _end(self) -> None:
        """Bring out what the resampler still holds."""
        self._work()
        if self._soxr is not None:
            self._pieces.append(self._soxr.resample_chunk(np.zeros(0, dtype=np.float32), last=True))
            self._soxr = None


def _in_runs(flags: NDArray[np.bool_]) -> int:
    """Count the flags that stand in rows of three or more, (C, N): a lone peak at full scale is no clipping."""
    three = flags[:, 2:] & flags[:, 1:-1] & flags[:, :-2]
    rows = np.zeros_like(flags)
    for shift in range(3):
        rows[:, shift : rows.shape[1] - 2 + shift] |= three
    return int(rows.sum())


def keep_alive(layout: Any) -> bool:
    """Never let go of a channel layout that lists its channels one by one; say whether this is one.

    PyAV 18 copies such a layout without its list and frees the list with every copy, so the second kills the process.
    Some 100 bytes are lost instead, and only for such files: MOV, CAF and AIFF may list channels in any order.
    """
    try:
        listed = "(" in layout.name or layout.name.startswith("ambisonic")
    except (RuntimeError, UnicodeDecodeError):
        listed = True
    if listed:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(layout))
    return listed


def too_long(name: str, stated: float | None, limits: Limits) -> TooLargeError:
    """Return the error that names the limit, and the length where the file states it."""
    limit = length(limits.seconds)
    if stated is None or stated <= limits.seconds:
        what = f"{name} is longer than the limit of {limit}."
    else:
        just = "just over " if length(stated) == limit else ""
        what = f"{name} is {just}{length(stated)} long; the limit is {limit}."
    return TooLargeError(f"{what} Cut it, or set EMOSCOPE_MAX_MINUTES.")
