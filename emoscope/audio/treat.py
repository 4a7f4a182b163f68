"""What may be done to a waveform when a person asks for it: trim, reduce noise, normalise loudness."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from emoscope.audio.levels import BLOCK, DIGITAL, Interval, levels
from emoscope.results import Waveform
from emoscope.timeline import RATE, WINDOW, Floats

MARGIN = 0.1  # seconds of silence kept at both ends: breath and soft onsets live there
PIECE = 30 * RATE  # samples cleaned at once, so that an hour needs no more memory than a minute
OVERLAP = RATE  # samples heard on either side of a piece; far more than the filter reaches
PROFILE = 0.1  # seconds of each of the quiet stretches that show the noise
PROFILE_TOTAL = 1.5  # seconds of them together
LOUDNESS = -23.0  # LUFS, EBU R 128
PEAK = 10 ** (-1 / 20)  # no sample gets louder than -1 dBFS, EBU R 128
GATING_BLOCK = 0.4  # seconds; ITU-R BS.1770 measures no shorter sound
METERED = 600 * RATE  # samples measured at once; the filters are settled after some hundred of them


def trim(wave: Waveform, silences: Sequence[Interval]) -> tuple[Waveform, float, tuple[Interval, ...]]:
    """Cut silence off both ends.

    Returns the rest, the seconds cut from the front, and the silences within the rest. A recording that is silent all
    through stays as it is. The cut is a slice: pydub would round every sample to an integer first.
    """
    length = len(wave.samples)
    first, last = 0, length
    for start, end in silences:
        if start == 0:
            first = round((end - MARGIN) * RATE)
        if end >= wave.seconds:
            last = round((start + MARGIN) * RATE)
    if last <= first:
        return wave, 0.0, tuple(silences)
    first, last = max(0, first), min(length, last)
    missing = max(0, WINDOW - (last - first))
    first = max(0, first - missing)
    last = min(length, max(last, first + WINDOW))
    rest, offset = Waveform(wave.samples[first:last].copy()), first / RATE
    moved = ((max(0.0, start - offset), min(rest.seconds, end - offset)) for start, end in silences)
    return rest, offset, tuple((start, end) for start, end in moved if end > start)


def denoise(wave: Waveform, progress: Callable[[float], None]) -> Waveform:
    """Lower steady noise by spectral gating; the length stays.

    The quietest stretches of the recording show what its noise is. noisereduce's own default takes everything steady
    for noise, and on clean speech that did more harm than it did good on noisy speech; see `docs/audio.md`.
    """
    noise = _noise(wave)
    if noise is None:
        return wave
    from noisereduce import reduce_noise  # takes a second: it imports torch

    cleaned = np.empty_like(wave.samples)
    for start in range(0, len(cleaned), PIECE):
        progress(start / len(cleaned))
        before = min(start, OVERLAP)
        piece = wave.samples[start - before : start + PIECE + OVERLAP]
        done = reduce_noise(
            y=piece,
            sr=RATE,
            stationary=True,
            y_noise=noise,
            prop_decrease=0.9,  # what is left of the noise hides the gaps that gating makes
            n_fft=512,  # 32 ms, usual for speech
            chunk_size=None,  # the pieces are ours: its own go through a file
            padding=2 * WINDOW,
        )
        cleaned[start : start + PIECE] = done[before : before + PIECE]
    return Waveform(cleaned)


def _noise(wave: Waveform) -> Floats | None:
    """Return the quietest stretches, at most a fifth of the recording; None where it is too short, or has no noise."""
    step = round(PROFILE * RATE)
    count = len(wave.samples) // step
    level = levels(wave)[: count * step // BLOCK].reshape(count, step // BLOCK)  # (C, 20)
    power = (10 ** (level / 10)).mean(axis=1)
    power[level.min(axis=1) <= DIGITAL] = np.inf  # digital silence shows no noise
    order = np.argsort(power)[: min(round(PROFILE_TOTAL / PROFILE), count // 5)]
    order = order[np.isfinite(power[order])]
    if not len(order):
        return None
    quiet: Floats = wave.samples[: count * step].reshape(count, step)[order].ravel()
    return quiet


def normalise(wave: Waveform) -> Waveform:
    """Bring the loudness to -23 LUFS, as far as the peaks allow; the length stays.

    Sound under 0.4 s has no loudness by the standard, and gets the highest peak instead. Silence stays silence.
    """
    loudest = peak(wave.samples)
    if not loudest:
        return wave
    gain = PEAK / loudest
    if wave.seconds >= GATING_BLOCK:
        loudness = measure_loudness(wave)
        if not np.isfinite(loudness):
            return wave
        gain = min(gain, 10 ** ((LOUDNESS - loudness) / 20))
    return Waveform(wave.samples * np.float32(gain))


def peak(samples: Floats) -> float:
    """Return the largest absolute sample, without a copy of them all."""
    return max(float(samples.max()), -float(samples.min()))


def measure_loudness(wave: Waveform) -> float:
    """Return the integrated loudness in LUFS by ITU-R BS.1770-4, -inf for silence; needs at least 0.4 s.

    pyloudnorm measures the blocks, in pieces so that memory stays bounded; the two gates are applied here to all.
    """
    from pyloudnorm import Meter  # imports scipy

    blocks: list[NDArray[np.float64]] = []
    for start in range(0, len(wave.samples), METERED):
        piece = wave.samples[start : start + METERED].astype(np.float64)
        if len(piece) < GATING_BLOCK * RATE:
            break
        meter = Meter(RATE, block_size=GATING_BLOCK)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # it takes the logarithm of silence
            meter.integrated_loudness(piece)
        blocks.append(np.asarray(meter.blockwise_loudness, dtype=np.float64))
    loudness = np.concatenate(blocks)
    loud = loudness[loudness >= -70]  # LUFS: the absolute gate
    if not len(loud):
        return -np.inf
    loud = loud[loud > _mean(loud) - 10]  # LU: the relative gate
    return _mean(loud)


def _mean(loudness: NDArray[np.float64]) -> float:
    """Return the loudness of the mean power."""
    return float(10 * np.log10(np.mean(10 ** (loudness / 10))))
