"""How loud a waveform is along time, and what follows: its silences, its noise, and warnings in whole sentences."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from emoscope.audio.words import length
from emoscope.results import Quality, Waveform
from emoscope.timeline import RATE, Flags

BLOCK = 80  # samples, 5 ms: levels are known this finely
REACH = 2  # blocks on either side: a level is that of 25 ms, long enough for the lowest voice
FLOOR = -100.0  # dBFS; digital silence has no logarithm
DIGITAL = -90.0  # dBFS; less than the last bit of 16: not noise, but nothing

SILENT = -60.0  # dBFS; a steady sound below is silence, whatever it is
SILENT_WHEN_QUIET = -75.0  # dBFS; the same for a quiet recording of something that is not steady
STEADY = 15.0  # dB between floor and loud parts; less is one sound all the time, with nothing to tell apart
ABOVE_NOISE = 6.0  # dB over the noise floor, noise rarely gets
BELOW_SOUND = 20.0  # dB under the loud parts, speech in a noisy room rarely gets
FAR_BELOW_SOUND = 25.0  # dB; no silence is nearer to the loud parts in a clean recording
SHORTEST_SILENCE = 0.2  # seconds; stops within words are shorter
SHORTEST_SOUND = 0.1  # seconds; between two silences, less is a click

SHORT = 1.0  # seconds
LONG = 30.0  # seconds; above, windows
CLIPPED = 0.001  # share of samples
QUIET = -55.0  # dBFS of the loud parts
NOISY = 10.0  # dB

Interval = tuple[float, float]


def levels(wave: Waveform) -> NDArray[np.float64]:
    """Return the level of every 5 ms in dBFS, each measured over the 25 ms around it, (B,).

    The mean of those 25 ms does not count, so that a microphone's constant offset is no sound.
    """
    samples = wave.samples
    whole = len(samples) // BLOCK * BLOCK
    blocks = samples[:whole].reshape(-1, BLOCK)  # (B, 80)
    powers = np.einsum("bs,bs->b", blocks, blocks).astype(np.float64) / BLOCK
    means = blocks.mean(axis=1, dtype=np.float64)
    power = _around(powers) - _around(means) ** 2
    return 10 * np.log10(np.maximum(power, 10 ** (FLOOR / 10)))


def _around(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of every value and its neighbours within reach."""
    ones = np.ones(2 * REACH + 1)
    return np.convolve(values, ones, "same") / np.convolve(np.ones(len(values)), ones, "same")


def silences(wave: Waveform) -> tuple[Interval, ...]:
    """Return where a waveform is silent, as (start, end) seconds.

    pydub's own search takes minutes for an hour of sound, because it measures every millisecond anew in Python.
    """
    return _intervals(levels(wave), wave)


def _intervals(level: NDArray[np.float64], wave: Waveform) -> tuple[Interval, ...]:
    silent = level < _threshold(level)
    if not silent.all():
        silent = _without_short(silent, SHORTEST_SILENCE)
        silent = ~_without_short(~silent, SHORTEST_SOUND)
    last = len(level) * BLOCK  # the samples after it are fewer than a block
    return tuple(
        (first * BLOCK / RATE, wave.seconds if after * BLOCK == last else after * BLOCK / RATE)
        for first, after in _runs(silent)
    )


def _threshold(level: NDArray[np.float64]) -> float:
    """Return the level in dBFS under which this recording is silent.

    A floor of noise is silence when the rest stands out from it; the same noise alone is a sound like any other.
    """
    noise, loud = float(np.percentile(level, 10)), _loud(level)
    if loud - noise < STEADY:
        return SILENT
    relative = min(noise + ABOVE_NOISE, loud - BELOW_SOUND)
    return max(relative, min(SILENT, loud - FAR_BELOW_SOUND), SILENT_WHEN_QUIET)


def _loud(level: NDArray[np.float64]) -> float:
    """Return the level of the loud parts in dBFS: a hundredth of the time is louder, and at least a quarter second."""
    return float(np.percentile(level, 100 - min(50.0, max(1.0, 25 * RATE / BLOCK / len(level)))))


def _without_short(flags: Flags, seconds: float) -> Flags:
    """Clear the rows of flags that are shorter than this, unless nothing else is there."""
    kept = flags.copy()
    for first, after in _runs(flags):
        if (after - first) * BLOCK < seconds * RATE and after - first < len(flags):
            kept[first:after] = False
    return kept


def _runs(flags: Flags) -> Iterable[tuple[int, int]]:
    """Return (first, after the last) of every row of flags."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False]))))
    return zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def noise_ratio(level: NDArray[np.float64]) -> float | None:
    """Estimate the signal-to-noise ratio in dB, or None where a recording has no quiet and loud parts to compare.

    The quietest tenth of the 25 ms frames is taken for the noise, the louder half for signal and noise; digital silence
    is left out. On speech with white noise of 0 to 20 dB the median was within 2 dB. Noise that varies reads up to 5 dB
    too high, and a clip without any pause too low, for then its faintest sounds count as noise.
    """
    heard = level[level > DIGITAL]
    if len(heard) * BLOCK < SHORTEST_SILENCE * RATE:
        return None
    noise, middle, loud = np.percentile(heard, (10, 50, 95))
    if loud - noise < 4.0:  # dB; also steady noise varies by three
        return None
    power = 10 ** (heard / 10)
    ratio = power[heard >= middle].mean() / power[heard <= noise].mean() - 1
    return float(10 * np.log10(max(ratio, 0.1)))


def measure(wave: Waveform, *, peak: float, clipped: float) -> tuple[Quality, tuple[Interval, ...]]:
    """Return how good a decoded waveform is, with its warnings, and its silences.

    `peak` and `clipped` were seen in the file's own samples, which resampling changes.
    """
    level = levels(wave)
    found = _intervals(level, wave)
    ratio = noise_ratio(level)
    silent = min(1.0, sum(end - start for start, end in found) / wave.seconds)
    quality = Quality(
        duration=wave.seconds,
        peak=peak,
        clipped=clipped,
        snr=ratio,
        silence=silent,
        warnings=tuple(_warnings(wave.seconds, clipped, _loud(level), ratio)),
    )
    return quality, found


def _warnings(seconds: float, clipped: float, loud: float, ratio: float | None) -> Iterable[str]:
    if seconds < SHORT:
        yield f"The recording is only {seconds:.2f} s long; give at least 1 s, better 3 s, for a verdict to rely on."
    if seconds > LONG:
        yield f"The recording is {length(seconds)} long, so it is heard in windows; that is fine, only slower."
    if clipped >= CLIPPED:
        yield f"{clipped:.1%} of the samples are clipped; record with a lower input level if you can."
    if loud < QUIET:
        yield "The recording is nearly silent; check that the right microphone was on, and go closer to it."
    elif ratio is not None and ratio < NOISY:
        yield (
            f"The recording is noisy (signal-to-noise ratio about {ratio:.0f} dB); "
            "record closer to the mouth, or try noise reduction."
        )
