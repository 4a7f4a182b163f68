"""CompactSpeech: a small speech emotion network that hears spectrum and pitch, 50 frames a second.

    wave ──log_mel──> features of sound (T, 66) ──encode──> features (T, D) ──proj──> frame logits (T, 9)
              └──────> statistics (K,) of the whole file ──┘

The front end measures 64 log-mel bands, how voiced a frame is, and its pitch. The body is a small U-Net along time:
most of the work happens at 12.5 frames a second, where a step is cheap and a few layers span seconds, and skip
connections bring the answer back to 50. The head is one linear layer, so the mean of the frame logits is the logits of
the mean feature: the timeline and the verdict come from one pass and cannot contradict each other.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SAMPLE_RATE = 16_000  # Hz
HOP = 320  # samples, 20 ms
WINDOW = 400  # samples, 25 ms: frame i covers 20 i ... 20 i + 25 ms
FFT = 512  # samples
PITCH_WINDOW = 1024  # samples, 64 ms, centred on the frame: four periods of a 62 Hz voice
PITCH_FFT = 1536  # samples, room for the window and the longest lag without wrapping round
PITCH_RANGE = (62.0, 500.0)  # Hz
MARGIN = (PITCH_WINDOW - WINDOW) // 2  # samples that the pitch window reaches beyond the frame, on either side
BANDS = 64  # mel bands
CHUNK = 3000  # frames, one minute: the step in which a long file is measured
BLOCK = 4  # frames, 80 ms: the step in which surroundings are described
CLASSES = 9

POWER_FLOOR = 1e-10  # added to a band's power before the logarithm
LEVEL_FLOOR = math.log(1e-7)  # nat, -70 dBFS: below this a file counts as silent, and is not amplified
RANGE = 15.0  # nat, 65 dB: how far below the file's level (all bands together) a single band is still told apart
ACTIVE = 3.5  # nat, 15 dB: frames down to this far below the file's level describe it


def frame_count(samples: int) -> int:
    """How many frames so many samples make."""
    return (samples - WINDOW) // HOP + 1


def mel_filters(bands: int = BANDS, low: float = 50.0, high: float = 7600.0) -> Tensor:
    """Triangles that gather FFT bins into mel bands: (FFT/2 + 1, bands)."""
    edges_mel = torch.linspace(2595 * math.log10(1 + low / 700), 2595 * math.log10(1 + high / 700), bands + 2)
    edges = 700 * (10 ** (edges_mel / 2595) - 1)  # Hz, (bands + 2,)
    bins = torch.linspace(0, SAMPLE_RATE / 2, FFT // 2 + 1)[:, None]  # Hz, (bins, 1)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp_min(0)


def masked_mean(x: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean along time, 0 where nothing has weight: (B, T, C), (B, T) -> (B, C)."""
    return (x * weight[..., None]).sum(1) / weight.sum(1).clamp_min(1e-6)[:, None]


def describe(sound: Tensor, mask: Tensor) -> Tensor:
    """What the frames of a whole file have in common: level, band means and deviations, pitch (B, K).

    sound (B, T, 66), mask (B, T) of the frames that exist. K = 131: the level in nat; each band's mean and deviation
    below that level over the frames that are not silent; mean and deviation of the pitch in octaves over voiced frames.
    """
    mel, voicing, pitch = sound[..., :BANDS], sound[..., BANDS], sound[..., BANDS + 1]
    energy = mel.logsumexp(-1)  # (B, T), nat
    valid = mask.to(sound.dtype)
    level = loudness(energy, valid)  # (B,)
    active = valid * (energy > level[:, None] - ACTIVE)
    level = loudness(energy, active).clamp_min(LEVEL_FLOOR)
    active = valid * (energy > level[:, None] - ACTIVE)
    shape = (mel - level[:, None, None]).clamp_min(-RANGE)
    mean = masked_mean(shape, active)
    deviation = (masked_mean((shape - mean[:, None]) ** 2, active) + 1e-4).sqrt()
    voiced = active * voiced_weight(voicing)
    tone = masked_mean(pitch[..., None], voiced)
    spread = (masked_mean((pitch[..., None] - tone[:, None]) ** 2, voiced) + 1e-4).sqrt()
    return torch.cat([level[:, None], mean, deviation, tone, spread], -1)


def loudness(energy: Tensor, weight: Tensor) -> Tensor:
    """Mean power of the weighted frames, in nat: (B, T), (B, T) -> (B,)."""
    return ((energy.exp() * weight).sum(1) / weight.sum(1).clamp_min(1) + POWER_FLOOR).log()


def voiced_weight(voicing: Tensor) -> Tensor:
    """From periodicity to trust in the pitch: 0 up to .4, 1 from .8."""
    return ((voicing - 0.4) / 0.4).clamp(0, 1)


class FrontEnd(nn.Module):
    """Waves become sound features: 64 log-mel bands, voicing, pitch. No learned part."""

    hann: Tensor
    filters: Tensor
    pitch_hann: Tensor
    lag_weight: Tensor
    lag_cost: Tensor

    def __init__(self) -> None:
        super().__init__()
        hann = torch.hann_window(WINDOW)
        pitch_hann = torch.hann_window(PITCH_WINDOW)
        self.shortest, longest = int(SAMPLE_RATE / PITCH_RANGE[1]), int(SAMPLE_RATE / PITCH_RANGE[0])
        window_power = torch.fft.rfft(pitch_hann, PITCH_FFT).abs() ** 2
        window_lags = torch.fft.irfft(window_power, PITCH_FFT)[self.shortest : longest + 1]
        lags = torch.arange(self.shortest, longest + 1)
        self.register_buffer("hann", hann, persistent=False)
        # scaled so that the bands of a frame add up to its mean square
        self.register_buffer("filters", mel_filters() * 2 / (FFT * float((hann**2).sum())), persistent=False)
        self.register_buffer("pitch_hann", pitch_hann, persistent=False)
        self.register_buffer("lag_weight", (pitch_hann**2).sum() / window_lags, persistent=False)
        # a period also repeats at its multiples: prefer the shortest lag (Boersma 1993, octave cost)
        self.register_buffer("lag_cost", 0.03 * torch.log2(lags / self.shortest), persistent=False)

    def forward(self, padded: Tensor) -> Tensor:
        """(B, MARGIN + N + MARGIN) -> (B, T, 66)."""
        frames = padded[:, MARGIN : padded.shape[1] - MARGIN].unfold(1, WINDOW, HOP)  # (B, T, 400)
        power = torch.fft.rfft(frames * self.hann, FFT).abs() ** 2  # (B, T, 257)
        mel = (power @ self.filters + POWER_FLOOR).log()
        voicing, pitch = self.pitch(padded.unfold(1, PITCH_WINDOW, HOP)[:, : mel.shape[1]])
        return torch.cat([mel, voicing[..., None], pitch[..., None]], -1)

    def pitch(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """How periodic (0..1), and at which pitch in octaves above 200 Hz: (B, T, 1024) -> (B, T), (B, T).

        Autocorrelation of the windowed frame over that of the window (Boersma 1993).
        """
        frames = frames - frames.mean(-1, keepdim=True)
        spectrum = torch.fft.rfft(frames * self.pitch_hann, PITCH_FFT).abs() ** 2
        lags = torch.fft.irfft(spectrum, PITCH_FFT)  # (B, T, 1536)
        zero = lags[..., :1] + 1e-6  # -90 dBFS or so of white noise: silence is not periodic
        tail = lags[..., self.shortest : self.shortest + self.lag_weight.numel()]
        r = tail / zero * self.lag_weight  # (B, T, lags)
        best = (r - self.lag_cost).argmax(-1, keepdim=True).clamp(1, r.shape[-1] - 2)
        left, peak, right = r.gather(-1, best - 1), r.gather(-1, best), r.gather(-1, best + 1)
        bend = (left - 2 * peak + right).clamp_max(-1e-6)
        shift = (0.5 * (left - right) / bend).clamp(-0.5, 0.5)
        lag = self.shortest + best + shift
        return peak[..., 0].clamp(0, 1), torch.log2(SAMPLE_RATE / lag / 200.0)[..., 0]


def blocks(x: Tensor, weight: Tensor) -> Tensor:
    """Weighted sums over blocks of 80 ms, and the sum of the weights: (B, T, C), (B, T) -> (B, S, C + 1)."""
    stacked = torch.cat([x * weight[..., None], weight[..., None]], -1)
    stacked = F.pad(stacked, (0, 0, 0, -x.shape[1] % BLOCK))
    return stacked.view(len(x), -1, BLOCK, stacked.shape[-1]).sum(2)


def around(sums: Tensor, reach: int) -> Tensor:
    """Weighted mean around each block, falling off in a triangle: (B, S, C + 1) -> (B, S, C).

    Blocks further than `reach` have no say, which is why windows of a long file agree.
    """
    place = torch.arange(sums.shape[1], device=sums.device, dtype=sums.dtype)
    triangle = (1 - (place[:, None] - place).abs() / (reach + 1)).clamp_min(0)  # (S, S)
    total = triangle @ sums
    return total[..., :-1] / total[..., -1:].clamp_min(1e-3)


def change(x: Tensor, mask: Tensor, step: int) -> Tensor:
    """How much a value moves within `step` frames, 0 where there is no such frame: (B, T, C) -> (B, T, C)."""
    both = mask & F.pad(mask, (0, step))[:, step:]  # (B, T)
    return (F.pad(x, (0, 0, 0, step))[:, step:] - x) * both[..., None]


def soft_bins(x: Tensor, centres: Tensor) -> Tensor:
    """A histogram that a mean can be taken of: (B, T, 1), (bins,) -> (B, T, bins)."""
    width = centres[1] - centres[0]
    return (1 - (x.clamp(float(centres[0]), float(centres[-1])) - centres).abs() / width).clamp_min(0)


class Member(nn.Module):
    """One small perceptron of the committee."""

    def __init__(self, inputs: int, hidden: int, width: int, dropout: float) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(inputs, hidden), nn.Linear(hidden, width)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., width)."""
        x = F.dropout(F.gelu(self.first(F.dropout(x, self.dropout / 4, self.training))), self.dropout, self.training)
        return F.dropout(F.gelu(self.second(x)), self.dropout, self.training)


class Layer(nn.Module):
    """Look around, then think: a depthwise convolution, then a small perceptron, added to what came in."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.near = nn.Conv1d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.5))
        self.dropout = dropout

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, W), (B, T) -> (B, T, W)."""
        near = self.near((x * mask[..., None]).transpose(1, 2)).transpose(1, 2)
        thought = drop_channels(F.gelu(self.widen(self.norm(near))), self.dropout, self.training)
        out: Tensor = x + self.scale * self.narrow(thought)
        return out


def drop_channels(x: Tensor, rate: float, training: bool) -> Tensor:
    """Dropout of whole channels of a clip: cheaper on a CPU than single values, and harder to get round."""
    if not training or rate == 0:
        return x
    keep = (torch.rand(len(x), 1, x.shape[-1], device=x.device) >= rate).to(x.dtype)
    return x * keep / (1 - rate)


class Ear(nn.Module):
    """Learn what to listen for: convolutions at 25 and 12.5 frames a second, then mean and deviation nearby."""

    def __init__(self, channels: tuple[int, int], layers: int, width: int, reaches: tuple[int, ...]) -> None:
        super().__init__()
        fine, coarse = channels
        self.reaches = reaches
        self.stem, self.stem_norm = nn.Linear(2 * VIEW, fine), nn.LayerNorm(fine)
        self.fine = Layer(fine, 0.15)
        self.down = nn.Linear(2 * fine, coarse)
        self.coarse = nn.ModuleList(Layer(coarse, 0.15) for _ in range(layers))
        self.norm = nn.LayerNorm(coarse)
        self.first, self.second = nn.Linear(2 * coarse * len(reaches), 256), nn.Linear(256, width)

    def forward(self, x: Tensor, mask: Tensor, active: Tensor) -> Tensor:
        """(B, 4 S, VIEW), (B, 4 S) frames that exist, (B, 4 S) how active -> (B, S, width)."""
        batch, frames, _ = x.shape
        mask2 = mask.view(batch, -1, 2).any(-1)
        mask4 = mask2.view(batch, -1, 2).any(-1)
        weight = active.view(batch, -1, BLOCK).mean(-1)[..., None]  # (B, S, 1)
        x = self.stem_norm(self.stem((x * mask[..., None]).reshape(batch, frames // 2, -1)))
        x = self.fine(x, mask2)
        x = self.down((x * mask2[..., None]).reshape(batch, frames // 4, -1))
        for layer in self.coarse:
            x = layer(x, mask4)
        x = self.norm(x).float()
        sums, seen, count = torch.cat([x * weight, x**2 * weight, weight], -1), [], x.shape[-1]
        for reach in self.reaches:
            near = around(sums, reach)
            seen += [near[..., :count], ((near[..., count:] - near[..., :count] ** 2).clamp_min(0) + 1e-3).sqrt()]
        x = F.gelu(self.first(F.dropout(torch.cat(seen, -1), 0.1, self.training)))
        return F.dropout(F.gelu(self.second(F.dropout(x, 0.3, self.training))), 0.3, self.training)


class CompactSpeech(nn.Module):
    """The emotion of a voice, 50 times a second: waves in, features (B, T, dim) and frame logits (B, T, 9) out.

    Its parts are trained apart and answer together. The *committee* reads classical measurements of a moment's
    surroundings (levels, spectra, pitch: their means, deviations, movements); the *ears* learn what to measure.

    members, hidden, width: perceptrons in the committee, their hidden and their feature size.
    ears, ear, channels, layers: ears, their features, channels at 25 and 12.5 frames a second, layers at 12.5.
    reaches: the neighbourhoods that are described, in blocks of 80 ms. dim = members * width + ears * ear.
    """

    centre: Tensor
    spread: Tensor

    def __init__(
        self,
        members: int = 4,
        hidden: int = 256,
        width: int = 96,
        ears: int = 1,
        ear: int = 192,
        channels: tuple[int, int] = (96, 160),
        layers: int = 3,
        reaches: tuple[int, ...] = (8, 24),
        dropout: float = 0.4,
    ) -> None:
        super().__init__()
        self.dim, self.reaches = members * width + ears * ear, tuple(reaches)
        self.front_end = FrontEnd()
        inputs = len(self.reaches) * LOCAL + FILE
        self.register_buffer("centre", torch.zeros(inputs))  # mean and deviation of the measurements in training
        self.register_buffer("spread", torch.ones(inputs))
        self.members = nn.ModuleList(Member(inputs, hidden, width, dropout) for _ in range(members))
        self.ears = nn.ModuleList(Ear((channels[0], channels[1]), layers, ear, self.reaches) for _ in range(ears))
        self.proj = nn.Linear(self.dim, CLASSES)

    def log_mel(self, waves: Tensor) -> Tensor:
        """Sound features of zero-padded waves: (B, N) -> (B, T, 66)."""
        sound: Tensor = self.front_end(F.pad(waves, (MARGIN, MARGIN)))
        return sound

    def statistics(self, wave: Tensor) -> Tensor:
        """What a whole file has in common, measured a minute at a time: (N,) -> (131,). See `describe`."""
        frames = frame_count(len(wave))
        parts = []
        for first in range(0, frames, CHUNK):
            count = min(CHUNK, frames - first)
            start, stop = first * HOP - MARGIN, (first + count - 1) * HOP + WINDOW + MARGIN
            inside = wave[max(start, 0) : stop]
            padded = F.pad(inside, (max(-start, 0), max(stop - len(wave), 0)))
            parts.append(self.front_end(padded[None]))
        sound = torch.cat(parts, 1)  # (1, T, 66): 48 MB for an hour
        return describe(sound, torch.ones(sound.shape[:2], dtype=torch.bool, device=sound.device))[0]

    def activity(self, sound: Tensor, mask: Tensor, statistics: Tensor) -> Tensor:
        """How much each frame takes part, by its loudness beside the file's: (B, T), 0 to 1."""
        energy = sound[..., :BANDS].logsumexp(-1) - statistics[:, :1]
        return mask * torch.sigmoid(2 * (energy + 4))

    def gate(self, active: Tensor, mask: Tensor) -> Tensor:
        """The share of activity in each block and its neighbours: (B, T), (B, T) -> (B, S, 1)."""
        return around(blocks(active[..., None], mask.to(active.dtype)), 2)

    def look(self, sound: Tensor, statistics: Tensor) -> Tensor:
        """What the ear is shown: bands below the file's level and beside its mean, voicing, pitch (B, T, VIEW)."""
        level, mean, tone = statistics[:, None, :1], statistics[:, None, 1 : 1 + BANDS], statistics[:, None, -2:-1]
        mel = (sound[..., :BANDS] - level).clamp(-RANGE, RANGE)
        voicing, pitch = sound[..., BANDS : BANDS + 1], sound[..., BANDS + 1 :]
        trust = voiced_weight(voicing)
        tune = [voicing * 2 - 1, trust, trust * (pitch - tone) * 2, trust * pitch]
        return torch.cat([(mel + 8) / 3, (mel - mean) / 2, *tune], -1)

    def observe(self, sound: Tensor, mask: Tensor, statistics: Tensor) -> Tensor:
        """What the committee reads about the surroundings of each block (B, S, inputs). No learned parts.

        sound (B, T, 66), mask (B, T), statistics (B, 131).
        """
        level, mean = statistics[:, None, :1], statistics[:, None, 1 : 1 + BANDS]
        deviation, tone = statistics[:, None, 1 + BANDS : 1 + 2 * BANDS], statistics[:, None, -2:-1]
        fine = (sound[..., :BANDS] - level).clamp(-RANGE, RANGE)
        mel = halves(fine)  # (B, T, 32)
        odd = halves((fine - mean) / deviation.clamp_min(0.3)).clamp(-4, 4)  # away from the file's usual sound
        energy = (sound[..., :BANDS].logsumexp(-1, keepdim=True) - level).clamp(-RANGE, RANGE)  # (B, T, 1)
        voicing, pitch = sound[..., BANDS : BANDS + 1], sound[..., BANDS + 1 :]
        active = self.activity(sound, mask, statistics)
        voiced = active * voiced_weight(voicing[..., 0])
        glide = change(pitch, voiced > 0.2, 2).clamp(-0.5, 0.5)
        spectral = torch.cat([mel, odd, voicing, energy], -1)  # described by mean, deviation and movement
        plain = [
            spectral,
            spectral**2,
            change(spectral, mask, 1).abs(),
            change(spectral, mask, 5).abs(),
            soft_bins(energy, torch.linspace(-4, 2, 7, device=sound.device)),
        ]
        sung = [
            pitch,
            pitch - tone,
            (pitch - tone) ** 2,
            glide,
            glide.abs(),
            soft_bins(pitch - tone, torch.linspace(-0.8, 0.8, 9, device=sound.device)),
            soft_bins(pitch, torch.linspace(-1.5, 1.2, 10, device=sound.device)),
        ]
        spoken = blocks(torch.cat(plain, -1), active)
        melody = blocks(torch.cat(sung, -1), voiced)
        shares = blocks(torch.stack([active, voiced], -1), mask.to(sound.dtype))
        count, seen = spectral.shape[-1], []
        for reach in self.reaches:
            near = around(spoken, reach)
            square = near[..., count : 2 * count] - near[..., :count] ** 2
            seen += [near[..., :count], (square.clamp_min(0) + 1e-3).sqrt(), near[..., 2 * count :]]
            seen += [around(melody, reach), around(shares, reach)]
        whole = torch.cat([halves(mean), halves(deviation), statistics[:, None, -2:]], -1)  # (B, 1, 66)
        return torch.cat([*seen, whole.expand(-1, spoken.shape[1], -1)], -1)

    def prepare(self, seen: Tensor) -> Tensor:
        """Measurements in their own deviations: (..., inputs) -> (..., inputs)."""
        return ((seen - self.centre) / self.spread).clamp(-4, 4)

    def encode(self, sound: Tensor, mask: Tensor, statistics: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, 66), (B, T), (B, 131) -> features (B, T, dim), frame logits (B, T, 9)."""
        frames = sound.shape[1]
        active = self.activity(sound, mask, statistics)
        parts = []
        if len(self.members):
            seen = self.prepare(self.observe(sound, mask, statistics))
            parts += [member(seen) for member in self.members]
        if len(self.ears):
            spare = -frames % BLOCK
            view = F.pad(self.look(sound, statistics), (0, 0, 0, spare))
            parts += [ear(view, F.pad(mask, (0, spare)), F.pad(active, (0, spare))) for ear in self.ears]
        # pauses say little, so they weigh little
        features = torch.cat(parts, -1) * self.gate(active, mask)  # (B, S, dim)
        features = features.repeat_interleave(BLOCK, 1)[:, :frames]
        return features, self.proj(features)

    def forward(self, waves: Tensor, lengths: Tensor, statistics: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N) zero-padded, (B,) samples, (B, 131) -> features (B, T, dim), frame logits (B, T, 9).

        Frames past a clip's own length mean nothing; `frame_count(length)` says how many are its own.
        """
        sound = self.log_mel(waves)
        own = (lengths.to(sound.device) - WINDOW) // HOP + 1
        mask = torch.arange(sound.shape[1], device=sound.device) < own[:, None]
        return self.encode(sound, mask, statistics)


def halves(bands: Tensor) -> Tensor:
    """Neighbouring bands in pairs: (..., 64) -> (..., 32)."""
    return bands.view(*bands.shape[:-1], -1, 2).mean(-1)


SPECTRAL = BANDS + 2  # 32 bands, 32 deviations from the usual, voicing, energy
LOCAL = 4 * SPECTRAL + 7 + (5 + 9 + 10) + 2  # numbers for one neighbourhood
FILE = BANDS + 2  # and for the file
VIEW = 2 * BANDS + 4  # numbers that the ear is shown of a frame
