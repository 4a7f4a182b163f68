"""Sounds without a voice, for the ninth class: silence, noises, machines, tones, chords."""

from collections.abc import Callable

import numpy as np

from emoscope.speech.compact import SAMPLE_RATE
from training.speech.augment import Random, Wave, band_limit, coloured_noise


def _time(seconds: float) -> np.ndarray:
    return np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def silence(seconds: float, random: Random) -> Wave:
    """Digital silence, or a noise floor at -75 dBFS and below."""
    level = 0.0 if random.random() < 0.3 else 10 ** random.uniform(-5.5, -3.8)
    return np.float32(level) * coloured_noise(len(_time(seconds)), random.uniform(0, 1.5), random)


def noise(seconds: float, random: Random) -> Wave:
    """Steady noise of some colour."""
    return coloured_noise(len(_time(seconds)), random.uniform(-0.5, 2.2), random)


def gusts(seconds: float, random: Random) -> Wave:
    """Noise that swells: wind, waves, passing cars."""
    time = _time(seconds)
    swell = 1.2 + np.sin(2 * np.pi * random.uniform(0.1, 1.5) * time + random.uniform(0, 6))
    return (coloured_noise(len(time), random.uniform(0.5, 2.2), random) * swell).astype(np.float32)


def fan(seconds: float, random: Random) -> Wave:
    """A machine: steady low harmonics in coloured noise."""
    time, base = _time(seconds), random.uniform(25, 180)
    strength, phase = random.uniform(0, 1, 8), random.uniform(0, 6, 8)
    hum = sum(strength[k - 1] / k * np.sin(2 * np.pi * base * k * time + phase[k - 1]) for k in range(1, 9))
    return (hum * random.uniform(0.1, 2) + coloured_noise(len(time), random.uniform(0.5, 2), random)).astype(np.float32)


def tone(seconds: float, random: Random) -> Wave:
    """A steady tone, pure or with harmonics."""
    time, base = _time(seconds), 2 ** random.uniform(6, 11.5)
    overtones = range(1, 1 + int(random.integers(1, 8)))
    sound = sum(np.sin(2 * np.pi * base * k * time) / k ** random.uniform(0.5, 2) for k in overtones if base * k < 7500)
    return np.asarray(sound, dtype=np.float32)


def sweep(seconds: float, random: Random) -> Wave:
    """A siren or glide between two pitches."""
    time = _time(seconds)
    low, high = sorted(2 ** random.uniform(6.5, 12, 2))
    path = low + (high - low) * 0.5 * (1 + np.sin(2 * np.pi * random.uniform(0.05, 1) * time + random.uniform(0, 6)))
    return np.sin(2 * np.pi * np.cumsum(path) / SAMPLE_RATE).astype(np.float32)


def chords(seconds: float, random: Random) -> Wave:
    """Music of a sort: chords, struck or held, two to four a second."""
    time = _time(seconds)
    sound, beat = np.zeros(len(time)), random.uniform(0.25, 0.8)
    decay = random.choice([0.5, 2.0, 6.0])
    for start in np.arange(0, seconds, beat):
        since = time - start
        root = 110 * 2 ** (int(random.integers(0, 24)) / 12)
        for interval in (0, int(random.choice([3, 4])), 7, 12)[: int(random.integers(1, 5))]:
            pitch = root * 2 ** (interval / 12)
            wave = sum(np.sin(2 * np.pi * pitch * k * since) / k**1.5 for k in range(1, 6))
            sound += np.where((since >= 0) & (since < 2 * beat), np.exp(-decay * np.maximum(since, 0)) * wave, 0)
    return sound.astype(np.float32)


def beats(seconds: float, random: Random) -> Wave:
    """Drums and knocks: short bursts of filtered noise in a rhythm."""
    time, period = _time(seconds), random.uniform(0.12, 0.7)
    since = time % period
    burst = np.exp(-since * random.uniform(10, 60)) * coloured_noise(len(time), random.uniform(0, 2), random)
    return burst.astype(np.float32)


def clicks(seconds: float, random: Random) -> Wave:
    """Rain, crackle, typing: many short clicks at random times."""
    samples = len(_time(seconds))
    hits = (random.random(samples) < random.uniform(3, 400) / SAMPLE_RATE) * random.standard_normal(samples)
    return band_limit(hits.astype(np.float32), random.uniform(50, 1500), random.uniform(2500, 7500))


KINDS: dict[str, Callable[[float, Random], Wave]] = {
    "silence": silence, "noise": noise, "gusts": gusts, "fan": fan, "tone": tone,
    "sweep": sweep, "chords": chords, "beats": beats, "clicks": clicks,
}  # fmt: skip


def sound(kind: str, random: Random) -> Wave:
    """One to five seconds of a kind, at -55 to -8 dBFS, now and then over a faint noise floor."""
    wave = KINDS[kind](random.uniform(1, 5), random)
    if kind == "silence":
        return wave
    wave = wave / max(float(np.std(wave)), 1e-6) * 10 ** (random.uniform(-55, -8) / 20)
    floor = coloured_noise(len(wave), random.uniform(0, 2), random) * 10 ** random.uniform(-5, -3)
    return np.clip(wave + floor * (random.random() < 0.7), -1, 1).astype(np.float32)
