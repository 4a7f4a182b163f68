"""An Emotion2vec network as one ONNX graph, for programs without PyTorch; ONNX Runtime holds it to the network.

    waves (B, N) float32, 16 kHz, zero-padded ──┐
    lengths (B,) int64, samples ────────────────┴─> features (B, T, D), logits (B, T, C)

Batch and length are free. What `listen` does outside of the network is inside of the graph: every clip is normalised by
its own samples, and only the outputs that say one of our labels are kept, in the labels' order.
"""

import contextlib
import io
import logging
import math
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emoscope import __version__
from emoscope.errors import ModelError, OptionError, StorageError
from emoscope.labels import LABELS
from emoscope.results import Progress, Waveform, quiet
from emoscope.speech.certify import synthetic_clips
from emoscope.speech.emotion2vec import EPSILON, Attention, Convolution, Emotion2vec, alibi_slopes
from emoscope.speech.listen import SpeechModel
from emoscope.timeline import HOP, RATE, WINDOW, Floats

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

LIMIT = 1e-3  # the largest difference of a feature or a logit from PyTorch's
OPSET = 20
MISSING = (
    "Exporting needs ONNX and ONNX Runtime, which are an extra: "
    ".venv/bin/pip install -c constraints.txt -r requirements-onnx.txt"
)
WHY_NOT = {  # kinds of networks that are not exported
    "CompactSpeech": (
        "ONNX Runtime rounds its spectra otherwise than PyTorch does, which moves its answers by more than a graph may "
        "differ"
    ),
    "Reference": "FunASR's own network serves for these weights, and a graph would be of Emoscope's, which differs",
}


@dataclass(frozen=True)
class Exported:
    """A graph on disk, and how far its answers are from PyTorch's."""

    file: Path
    labels: tuple[str, ...]  # of its logits, in their order
    difference: float  # the largest of any feature or logit


def export(model: SpeechModel, file: Path, *, threads: int = 0, progress: Progress = quiet) -> Exported:
    """Write a model as one ONNX file, and compare what ONNX Runtime makes of it with what the model hears.

    `threads` are ONNX Runtime's, 0 leaves its number. The file is there whole and compared, or not at all. Raises
    OptionError without the libraries or where the file is there already, ModelError for a network that is not exported
    or a graph that differs by more than `LIMIT`, StorageError.
    """
    if not isinstance(model.network, Emotion2vec):
        why = WHY_NOT.get(model.info.kind, "it is no Emotion2vec network")
        raise ModelError(f"The model {model.info.name} cannot be exported: {why}.")
    _libraries()
    if file.exists():
        raise OptionError(f"{file} exists. Move it away, or choose another name with --out.")
    labels = tuple(label for label, column in zip(LABELS, model.columns, strict=True) if column is not None)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        progress("Translating the network", 0.0)
        _write(model, labels, unfinished)
        progress("Loading the graph", 0.5)
        difference = _compare(model, _session(unfinished, threads), progress)
        if not difference <= LIMIT:  # also when it is no number
            raise ModelError(
                f"The graph of {model.info.name} answers otherwise than PyTorch does: {difference:.1e} apart, over "
                f"{LIMIT:.0e}. It was not kept."
            )
        unfinished.replace(file)
    except OSError as error:
        raise StorageError(
            f"The graph cannot be written to {file}: {error.strerror or error}. Choose another place with --out."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
    return Exported(file, labels, difference)


class Graph(nn.Module):
    """The network as a padded batch sees it, in one straight line: no lists of clips, no branch that looks at the data.

    L = E + T: the extra tokens come in front of the frames.
    """

    def __init__(self, network: Emotion2vec, columns: list[int]) -> None:
        """Share the network's weights; `columns` are the outputs to keep."""
        super().__init__()
        self.network = network
        self.weight, self.bias = network.proj.weight[columns], network.proj.bias[columns]  # (C, D), (C,)

    def forward(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N) zero-padded, (B,) samples -> features (B, T, D), frame logits (B, T, C)."""
        network = self.network
        x = self.hear(self.normalised(waves, lengths) if network.normalise else waves)  # (B, T, D)
        own = torch.arange(x.shape[1]) < ((lengths - WINDOW) // HOP + 1)[:, None]  # (B, T)
        x = x + self.place(x, own)
        x = torch.cat([network.extra_tokens.expand(x.shape[0], -1, -1), x], dim=1)  # (B, L, D)
        x, bias = network.norm(x), self.alibi(own)
        for block in (*network.prenet, *network.blocks):
            x = block.norm1(x + self.attend(block.attn, x, bias))
            x = block.norm2(x + block.fc2(F.gelu(block.fc1(x))))
        features = x[:, network.extra_tokens.shape[1] :]  # (B, T, D)
        return features, F.linear(features, self.weight, self.bias)

    def normalised(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """Normalise every clip by its own samples: (B, N), (B,) -> (B, N)."""
        inside, count = torch.arange(waves.shape[1]) < lengths[:, None], lengths[:, None].double()
        mean = (waves.double() * inside).sum(1, keepdim=True) / count  # (B, 1)
        variance = ((waves.double() - mean) * inside).square().sum(1, keepdim=True) / count
        return (waves - mean.float()) / (variance + EPSILON).sqrt().float()

    def hear(self, waves: Tensor) -> Tensor:
        """Turn sound into frames: (B, N) -> (B, T, D)."""
        x = waves[:, None]  # (B, 1, N)
        for layer in self.network.convolutions:
            assert isinstance(layer, Convolution)
            kernels = layer.product.weight.view(layer.product.out_features, -1, x.shape[1])  # (C', k C) -> (C', k, C)
            x = F.conv1d(x, kernels.transpose(1, 2), stride=layer.stride)
            x = F.gelu(layer.norm(x.transpose(1, 2))).transpose(1, 2)
        frames: Tensor = self.network.project(self.network.project_norm(x.transpose(1, 2)))
        return frames

    def place(self, x: Tensor, own: Tensor) -> Tensor:
        """Tell every frame where it stands among its neighbours: (B, T, D), (B, T) -> (B, T, D)."""
        for position in self.network.positions:
            alone = (x * own[..., None]).transpose(1, 2)  # a clip in a batch ends in zeros, as it does by itself
            seen = position(alone)[..., : x.shape[1]]  # an even kernel makes one frame too many
            x = F.gelu(F.layer_norm(seen.transpose(1, 2), (self.network.dim,), eps=EPSILON))
        return x

    def alibi(self, own: Tensor) -> Tensor:
        """Weigh down what is far away, and hide what is not a clip's own: (B, T) -> (B, H, L, L)."""
        extra, place = self.network.extra_tokens.shape[1], torch.arange(own.shape[1])
        distance = F.pad((place[:, None] - place).abs().float(), (extra, 0, extra, 0))  # (L, L)
        slopes = torch.tensor(alibi_slopes(self.network.heads))[:, None, None]  # (H, 1, 1)
        bias = (-slopes * self.network.alibi_scale[0].clamp_min(0)) * distance  # (1, H, L, L)
        return bias.masked_fill(~F.pad(own, (extra, 0), value=True)[:, None, None], -math.inf)

    def attend(self, attention: Attention, x: Tensor, bias: Tensor) -> Tensor:
        """Attend as `Attention` does, but in a padded batch: (B, L, D), (B, H, L, L) -> (B, L, D)."""
        qkv = attention.qkv(x).unflatten(2, (3, attention.heads, -1))  # (B, L, 3, H, D / H)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind()  # each (B, H, L, D / H)
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        joined: Tensor = attention.proj(seen.transpose(1, 2).flatten(2))
        return joined


def _libraries() -> None:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime reports to its maker otherwise
    try:
        import onnxruntime  # noqa: F401 — only to see that they are there
        import onnxscript  # noqa: F401
    except ImportError:
        raise OptionError(MISSING) from None


def _write(model: SpeechModel, labels: tuple[str, ...], file: Path) -> None:
    """Translate the network and write it with what a program must know to use it."""
    import onnx_ir

    assert isinstance(model.network, Emotion2vec)
    graph = Graph(model.network, [column for column in model.columns if column is not None])
    batch, samples = torch.export.Dim("batch"), torch.export.Dim("samples", min=WINDOW)
    example = (torch.zeros(2, 2 * RATE), torch.tensor([2 * RATE, RATE]))  # sizes of 1 would become constants
    with _kept_to_itself():
        program = torch.onnx.export(
            graph.eval(), example, dynamo=True, opset_version=OPSET, verbose=False,
            input_names=["waves", "lengths"], output_names=["features", "logits"],
            dynamic_shapes=({0: batch, 1: samples}, {0: batch}),
        )  # fmt: skip
        assert program is not None
        for output, width in zip(program.model.graph.outputs, (model.network.dim, len(labels)), strict=True):
            output.shape = onnx_ir.Shape(("batch", "frames", width))  # else a formula of the samples
        program.model.metadata_props.update(_about(model, labels))
        program.save(str(file), external_data=False)


def _about(model: SpeechModel, labels: tuple[str, ...]) -> dict[str, str]:
    """Return what the file says of itself; every value is a text."""
    return {
        "model": model.info.name,
        "weights": model.info.weights,
        "licence": model.info.licence,
        "labels": ",".join(labels),
        "sample_rate": str(RATE),
        "hop": str(HOP),
        "window": str(WINDOW),
        "made_by": f"Emoscope {__version__}",
    }


def _session(file: Path, threads: int) -> "InferenceSession":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _compare(model: SpeechModel, session: "InferenceSession", progress: Progress) -> float:
    """Return the largest difference over clips of several lengths, each alone and then all in one batch."""
    clips = [samples for _, samples in synthetic_clips()]
    clips.append(clips[0][:WINDOW])  # the shortest that makes a frame
    said = [label for label, column in enumerate(model.columns) if column is not None]
    expected = []
    for clip in clips:
        heard = model.listen(Waveform(clip), features=True, progress=quiet)
        assert heard.features is not None
        expected.append((heard.features, heard.timeline.logits[:, said]))
    differences = []
    for step, batch in enumerate([*([index] for index in range(len(clips))), list(range(len(clips)))]):
        progress("Comparing with PyTorch", 0.6 + 0.4 * step / (len(clips) + 1))
        found = run(session, [clips[index] for index in batch])
        for ours, theirs in zip(found, (expected[index] for index in batch), strict=True):
            differences += [float(np.abs(mine - other).max()) for mine, other in zip(ours, theirs, strict=True)]
    return float(np.max(differences))  # not max(), which may pass over what is no number


def run(session: Any, clips: list[Floats]) -> list[tuple[Floats, Floats]]:
    """Let a graph hear clips (N,) in one padded batch; each has its own features (T, D) and logits (T, C)."""
    lengths = np.array([len(clip) for clip in clips])
    waves = np.zeros((len(clips), lengths.max()), dtype=np.float32)
    for row, clip in zip(waves, clips, strict=True):
        row[: len(clip)] = clip
    features, logits = session.run(None, {"waves": waves, "lengths": lengths})
    own = (lengths - WINDOW) // HOP + 1
    return [(features[clip, :frames], logits[clip, :frames]) for clip, frames in enumerate(own)]


@contextlib.contextmanager
def _kept_to_itself() -> Iterator[None]:
    """Keep the exporter's progress, warnings and notices to itself."""
    notices = logging.getLogger("torch.onnx")
    level = notices.level
    notices.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        notices.setLevel(level)
