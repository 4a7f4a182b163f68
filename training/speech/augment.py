"""Other rooms, microphones, voices and noises: what keeps the model from learning a corpus instead of an emotion.

On waveforms, once (`NOISY`, `FAR`), and on sound features, anew in every step (`stretch`, `Distortion`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emoscope.speech.compact import BANDS, SAMPLE_RATE

Wave = NDArray[np.float32]
Random = np.random.Generator


def resample(wave: Wave, rate: float) -> Wave:
    """Play faster (rate > 1): tempo, pitch and formants all move, as with another speaker."""
    positions = np.arange(0, len(wave) - 1, rate)
    return np.interp(positions, np.arange(len(wave)), wave).astype(np.float32)


def coloured_noise(samples: int, slope: float, random: Random) -> Wave:
    """Noise whose power falls with frequency^slope: 0 white, 1 pink, 2 brown; mean square 1."""
    spectrum = np.fft.rfft(random.standard_normal(samples))
    frequency = np.maximum(np.arange(len(spectrum)) * SAMPLE_RATE / samples, 40.0)
    noise = np.fft.irfft(spectrum * frequency ** (-slope / 2), samples)
    return (noise / max(float(np.std(noise)), 1e-9)).astype(np.float32)


def add_noise(wave: Wave, noise: Wave, snr: float) -> Wave:
    """Mix at a signal-to-noise ratio in dB, measured over the whole clip."""
    noise = np.resize(noise, len(wave))
    scale = math.sqrt(float(np.mean(wave**2)) / max(float(np.mean(noise**2)), 1e-12) / 10 ** (snr / 10))
    return wave + np.float32(scale) * noise


def room(wave: Wave, random: Random) -> Wave:
    """A simulated room: noise that dies away over .15 to .8 s, behind the direct sound."""
    reverberation_time = random.uniform(0.15, 0.8)  # seconds to fall by 60 dB
    samples = int(reverberation_time * SAMPLE_RATE)
    tail = random.standard_normal(samples) * 10 ** (-3 * np.arange(samples) / samples)
    tail /= math.sqrt(float(np.sum(tail**2)))
    tail *= 10 ** (-random.uniform(-3, 12) / 20)  # direct-to-reverberant ratio, dB
    tail[0] += 1.0
    size = 1 << (len(wave) + samples).bit_length()
    wet = np.fft.irfft(np.fft.rfft(wave, size) * np.fft.rfft(tail, size), size)
    return wet[: len(wave)].astype(np.float32)


def band_limit(wave: Wave, low: float, high: float) -> Wave:
    """A channel that passes only part of the spectrum, with soft edges: low and high in Hz."""
    spectrum = np.fft.rfft(wave)
    frequency = np.arange(len(spectrum)) * SAMPLE_RATE / len(wave)
    gain = 1 / (1 + (low / np.maximum(frequency, 1.0)) ** 8) / (1 + (frequency / high) ** 16)
    return np.fft.irfft(spectrum * gain, len(wave)).astype(np.float32)


def noisy(wave: Wave, babble: Wave, random: Random) -> Wave:
    """Another tempo and voice, in noise or babble at 3 to 25 dB."""
    wave = resample(wave, random.uniform(0.9, 1.11))
    noise = babble if random.random() < 0.4 else coloured_noise(len(wave), random.uniform(0, 2), random)
    return add_noise(wave, noise, random.uniform(3, 25))


def clean(wave: Wave, _babble: Wave, _random: Random) -> Wave:
    """As it is."""
    return wave


def far(wave: Wave, _babble: Wave, random: Random) -> Wave:
    """Another voice in a room, then often a telephone or a cheap microphone, with a little noise."""
    wave = room(resample(wave, random.uniform(0.9, 1.11)), random)
    choice = random.random()
    if choice < 0.25:
        wave = band_limit(wave, random.uniform(200, 400), random.uniform(3200, 3700))
    elif choice < 0.6:
        wave = band_limit(wave, random.uniform(30, 200), random.uniform(3500, 7500))
    return add_noise(wave, coloured_noise(len(wave), random.uniform(0, 2), random), random.uniform(15, 40))


VERSIONS: dict[str, Callable[[Wave, Wave, Random], Wave]] = {
    "clean": clean,
    "noisy": noisy,
    "far": far,
}


# --- on sound features -------------------------------------------------------------------------------------------


def stretch(frames: int, rate: float, limit: int) -> NDArray[np.int64]:
    """Which frames to take so that a clip runs `rate` times as fast, `limit` frames at most."""
    return np.minimum(np.arange(0, frames - 0.5, rate) + 0.5, frames - 1).astype(np.int64)[:limit]


@dataclass(frozen=True)
class Distortion:
    """How strongly a batch of sound features is bent, anew in every step."""

    warp: float = 0.08  # formants up or down by this share at most, as other vocal tracts would
    equaliser: float = 0.6  # nat, deviation of a smooth random gain curve over the bands: other microphones
    noise: float = 0.4  # share of clips that get stationary noise of a random spectrum
    time_mask: int = 12  # frames, the longest of two masks
    band_mask: int = 10  # bands, the widest of two masks
    pitch: float = 0.15  # octaves, deviation of a shift of the whole pitch track

    def __call__(self, sound: Tensor, random: torch.Generator) -> Tensor:
        """(B, T, 66) -> (B, T, 66)."""
        batch = len(sound)
        mel = self.colour(self.bend(sound[..., :BANDS], random), random)
        voicing, pitch = sound[..., BANDS:-1], sound[..., -1:]
        pitch = pitch + self.pitch * torch.randn(batch, 1, 1, generator=random)
        sound = torch.cat([self.blur(mel, random), voicing, pitch], -1)
        return self.cut(sound, random)

    def bend(self, mel: Tensor, random: torch.Generator) -> Tensor:
        """Shift the bands by linear interpolation: one warp per clip."""
        factor = 1 + self.warp * (2 * torch.rand(len(mel), 1, generator=random) - 1)
        source = (torch.arange(BANDS) * factor).clamp(0, BANDS - 1.001)  # (B, bands)
        low = source.long()
        share = source - low
        matrix = torch.zeros(len(mel), BANDS, BANDS)
        matrix.scatter_add_(1, low[:, None], (1 - share)[:, None])
        matrix.scatter_add_(1, low[:, None] + 1, share[:, None])
        return mel @ matrix

    def colour(self, mel: Tensor, random: torch.Generator) -> Tensor:
        """A smooth gain curve and a level per clip."""
        knots = self.equaliser * torch.randn(len(mel), 1, 6, generator=random)
        curve = torch.nn.functional.interpolate(knots, BANDS, mode="linear", align_corners=True)
        return mel + curve + torch.randn(len(mel), 1, 1, generator=random)

    def blur(self, mel: Tensor, random: torch.Generator) -> Tensor:
        """Stationary noise under some clips, 13 to 43 dB below their loudest frames and falling with frequency."""
        knots = torch.randn(len(mel), 1, 5, generator=random)
        shape = torch.nn.functional.interpolate(knots, BANDS, mode="linear", align_corners=True)
        peak = mel.amax((1, 2), keepdim=True)
        depth = 3.0 + 7.0 * torch.rand(len(mel), 1, 1, generator=random)
        shape = shape - 6 * torch.rand(len(mel), 1, 1, generator=random) * torch.linspace(0, 1, BANDS)
        quiet = torch.rand(len(mel), 1, 1, generator=random) > self.noise
        floor = (peak - depth + shape).masked_fill(quiet, -30.0)
        ripple = 0.4 * torch.randn(mel.shape, generator=random)
        return torch.logaddexp(mel, floor + ripple)

    def cut(self, sound: Tensor, random: torch.Generator) -> Tensor:
        """SpecAugment: two bands of frequency and two of time fall to the clip's mean."""
        batch, frames, _ = sound.shape
        mel = sound[..., :BANDS]
        hole = torch.zeros(batch, frames, BANDS, dtype=torch.bool)
        for _ in range(2):
            width = torch.rand(batch, 1, generator=random) * self.band_mask
            start = torch.rand(batch, 1, generator=random) * (BANDS - width)
            bands = torch.arange(BANDS)
            hole |= ((bands >= start) & (bands < start + width))[:, None]
            width = torch.rand(batch, 1, generator=random) * self.time_mask
            start = torch.rand(batch, 1, generator=random) * (frames - width).clamp_min(0)
            times = torch.arange(frames)
            hole |= ((times >= start) & (times < start + width))[:, :, None]
        return torch.cat([torch.where(hole, mel.mean((1, 2), keepdim=True), mel), sound[..., BANDS:]], -1)
