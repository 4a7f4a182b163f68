"""The network of Emotion2Vec+, for inference.

    wave (N,) ─ normalised by the whole file ─ convolutions, a frame every 20 ms ─> (T, 512) ─ linear ─> (T, D)
      + positional convolutions ─ extra tokens in front ─ blocks of attention and perceptron ─> features (T, D)
      ─ proj ─> frame logits (T, C)

After Ma et al., "emotion2vec" (arXiv:2312.15185), and data2vec 2.0 (Baevski et al., arXiv:2212.07525). It equals the
class of that name in FunASR 1.4.16 to rounding; `tests/test_emotion2vec.py` holds it to that.

B clips, N samples, T frames, E extra tokens, L = E + T, D width, H heads, C classes; R frames of all clips one behind
the other, S the same with the extra tokens in front of every clip.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emoscope.speech.architecture import Architecture
from emoscope.timeline import HOP, WINDOW

STRETCH = 50  # frames: a second of sound passes the convolutions at a time, so that what they make stays in the cache
CHUNK = 1 << 20  # samples measured at a time: 8 MB in double precision
EPSILON = 1e-5  # PyTorch's default for a layer norm, which FunASR leaves as it is where the config says nothing


class Emotion2vec(nn.Module):
    """Waves in, features and frame logits out, 50 times a second."""

    def __init__(self, shape: Architecture, classes: int) -> None:
        """Build the network with weights that mean nothing yet; `checkpoint.load` fills them in."""
        super().__init__()
        self.dim, self.heads, self.normalise = shape.dim, shape.heads, shape.normalise
        channels = [1, *(channels for channels, _, _ in shape.convolutions)]
        self.convolutions = nn.ModuleList(
            Convolution(before, after, kernel, stride)
            for before, (after, kernel, stride) in zip(channels, shape.convolutions, strict=False)
        )
        self.project_norm = nn.LayerNorm(channels[-1])
        self.project = nn.Linear(channels[-1], shape.dim)
        self.positions = nn.ModuleList(
            nn.Conv1d(shape.dim, shape.dim, kernel, padding=kernel // 2, groups=shape.position_groups)
            for kernel in [shape.position_kernel] * shape.position_layers
        )
        self.gap = shape.position_kernel // 2  # frames that a positional convolution reaches to either side
        self.extra_tokens = nn.Parameter(torch.zeros(1, shape.extra_tokens, shape.dim))
        self.alibi_scale = nn.Parameter(torch.ones(1, 1, shape.heads if shape.scale_per_head else 1, 1, 1))
        self.norm = nn.LayerNorm(shape.dim, eps=shape.eps)
        self.prenet = nn.ModuleList(Block(shape) for _ in range(shape.prenet))
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.depth))
        self.proj = nn.Linear(shape.dim, classes)

    def statistics(self, wave: Tensor) -> Tensor:
        """Return what the whole file is normalised by, its mean and deviation: (N,) -> (2,)."""
        if not self.normalise:
            return torch.tensor([0.0, 1.0], device=wave.device)
        # sums as Python's floats: small tensors kept between the large ones would make the heap grow with the file
        mean = sum(part.double().sum().item() for part in torch.split(wave, CHUNK)) / len(wave)
        squares = sum((part.double() - mean).square().sum().item() for part in torch.split(wave, CHUNK))
        return torch.tensor([mean, math.sqrt(squares / len(wave) + EPSILON)], device=wave.device)

    def forward(self, waves: Tensor, lengths: Tensor, statistics: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N) zero-padded, (B,) samples, (B, 2) -> features (B, T, D), frame logits (B, T, C).

        Clips lie in one row, one behind the other: nothing is padded, and a clip never meets another one.
        """
        samples = lengths.tolist()
        clips = [wave[:count] for wave, count in zip(waves, samples, strict=True)]
        frames = [(count - WINDOW) // HOP + 1 for count in samples]
        heard = [self.hear((clip - mean) / spread) for clip, (mean, spread) in zip(clips, statistics, strict=True)]
        x = self.project(self.project_norm(torch.cat(heard)))  # (R, 512) -> (R, D), R frames of all clips
        x = x + self.place(x, frames)
        extra = self.extra_tokens[0].to(x.dtype)  # (E, D)
        x = torch.cat([rows for clip in torch.split(x, frames) for rows in (extra, clip)])  # (R + B E, D)
        spans = [len(extra) + count for count in frames]
        bias = self.alibi(max(frames)).to(x.dtype)
        x = self.norm(x)
        for block in (*self.prenet, *self.blocks):
            x = block(x, spans, bias)
        own = [span[len(extra) :].float() for span in torch.split(x, spans)]
        features = torch.nn.utils.rnn.pad_sequence(own, batch_first=True)  # (B, T, D)
        return features, self.proj(features)

    def hear(self, wave: Tensor) -> Tensor:
        """Turn sound into frames, a stretch at a time: (N,) -> (T, 512).

        A frame depends on its own 400 samples only, so stretches give what one pass gives. The first layer makes 200 MB
        of half a minute, which nobody has to hold at once.
        """
        frames = (len(wave) - WINDOW) // HOP + 1
        step = STRETCH if wave.is_cpu else frames
        stretches = []
        for first in range(0, frames, step):
            last = min(first + step, frames)
            x = wave[first * HOP : (last - 1) * HOP + WINDOW, None]  # (samples, 1)
            for convolution in self.convolutions:
                x = convolution(x)
            stretches.append(x)  # (last - first, 512)
        return torch.cat(stretches)

    def place(self, x: Tensor, frames: list[int]) -> Tensor:
        """Tell every frame where it stands among its neighbours: (R, D) -> (R, D), the clips having so many frames.

        Zeros between the clips, as wide as a kernel reaches, are what a clip meets at its ends when it is alone.
        """
        own = torch.cat([torch.arange(count + self.gap, device=x.device) < count for count in frames])  # (G,)
        x = torch.cat([F.pad(clip, (0, 0, 0, self.gap)) for clip in torch.split(x, frames)])  # (G, D)
        for position in self.positions:
            seen = position(x.T[None])[0, :, : len(x)].T  # (G, D); an even kernel makes one frame too many
            x = F.gelu(F.layer_norm(seen, (self.dim,), eps=EPSILON)) * own[:, None]
        return x[own]

    def alibi(self, frames: int) -> Tensor:
        """Weigh down what is far away: (H, L, L) for the longest clip, whose corner is right for a shorter one.

        The bias falls with the distance in frames, in both directions, at another slope for every head (Press et al.,
        arXiv:2108.12409), times a learned scale. The extra tokens are near to everything.
        """
        extra = self.extra_tokens.shape[1]
        place = torch.arange(frames, device=self.extra_tokens.device)
        distance = F.pad((place[:, None] - place).abs().float(), (extra, 0, extra, 0))  # (L, L)
        slopes = torch.tensor(alibi_slopes(self.heads), device=distance.device)[:, None, None]  # (H, 1, 1)
        return (-slopes * self.alibi_scale[0, 0].clamp_min(0)) * distance


class Convolution(nn.Module):
    """One step of the front end: convolution, layer norm over the channels, GELU."""

    def __init__(self, before: int, after: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.product = nn.Linear(kernel * before, after, bias=False)
        self.norm = nn.LayerNorm(after)

    def forward(self, x: Tensor) -> Tensor:
        """(steps, C) -> (fewer steps, C').

        k steps of C channels are k C numbers in a row, so the convolution is one matrix product over overlapping rows.
        With the channels last, that and the norm need no transposed copies, and take 0.8 of the time.
        """
        rows = x.flatten().unfold(0, self.product.in_features, self.stride * x.shape[1])  # (fewer steps, k C), no copy
        return F.gelu(self.norm(self.product(rows)))


class Block(nn.Module):
    """Attention, then a perceptron; each is added to what came in, and normalised."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.attn = Attention(shape.dim, shape.heads)
        self.norm1 = nn.LayerNorm(shape.dim, eps=shape.eps)
        self.fc1 = nn.Linear(shape.dim, shape.hidden)
        self.fc2 = nn.Linear(shape.hidden, shape.dim)
        self.norm2 = nn.LayerNorm(shape.dim, eps=shape.eps)

    def forward(self, x: Tensor, spans: list[int], bias: Tensor) -> Tensor:
        """(S, D), clips of so many rows, (H, L, L) -> (S, D)."""
        x = self.norm1(x + self.attn(x, spans, bias))
        thought: Tensor = self.norm2(x + self.fc2(F.gelu(self.fc1(x))))
        return thought


class Attention(nn.Module):
    """Self-attention with a bias added to the scores."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, spans: list[int], bias: Tensor) -> Tensor:
        """(S, D), clips of so many rows, (H, L, L) -> (S, D); every clip attends to itself only."""
        seen = []
        for clip in torch.split(self.qkv(x), spans):
            length = len(clip)
            q, k, v = clip.view(length, 3, self.heads, -1).permute(1, 2, 0, 3)[:, None]  # each (1, H, L, D / H)
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None, :, :length, :length])
            seen.append(mixed[0].transpose(0, 1).flatten(1))  # (L, D)
        joined: Tensor = self.proj(torch.cat(seen))
        return joined


def alibi_slopes(heads: int) -> list[float]:
    """Return how fast each head's attention falls with distance, as the ALiBi paper sets it for any number of heads."""
    power = 2 ** math.floor(math.log2(heads))
    slopes = [2 ** (-8 * (head + 1) / power) for head in range(power)]
    if power < heads:  # the rest lie between: every second slope of twice as many heads
        slopes += alibi_slopes(2 * power)[0::2][: heads - power]
    return slopes
