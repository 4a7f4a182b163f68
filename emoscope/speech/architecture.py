"""What an Emotion2vec network is built like, read from the `model_conf` of a FunASR checkpoint's config.yaml."""

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from emoscope.errors import ModelError
from emoscope.timeline import HOP, WINDOW

Convolutions: TypeAlias = tuple[tuple[int, int, int], ...]  # (channels, kernel, stride) of each layer

# Switches of FunASR's class that no published Emotion2Vec+ checkpoint sets otherwise, so only one way is built here.
BUILT = {
    "layer_norm_first": False,
    "norm_affine": True,
    "modalities.audio.extractor_mode": "layer_norm",
    "modalities.audio.conv_pos_pre_ln": False,
    "modalities.audio.use_alibi_encoder": True,
    "modalities.audio.learned_alibi": False,
    "modalities.audio.learned_alibi_scale_per_layer": False,
}
MOST_LAYERS = 100  # a longer list of convolutions is a mistake, or an attack on the memory


@dataclass(frozen=True)
class Architecture:
    """The sizes of one Emotion2vec network."""

    dim: int
    heads: int
    hidden: int  # width of the perceptron in a block
    prenet: int  # blocks before the main ones; they differ in name only
    depth: int  # main blocks
    eps: float  # of the blocks' layer norms
    normalise: bool  # layer-norm the whole wave first
    extra_tokens: int  # learned tokens in front of the frames
    convolutions: Convolutions
    position_layers: int
    position_kernel: int
    position_groups: int
    scale_per_head: bool  # one learned ALiBi scale per head, or one for all

    @classmethod
    def from_config(cls, conf: Mapping[str, Any]) -> "Architecture":
        """Read FunASR's `model_conf`; raises ModelError for what is missing, impossible, or not built here."""
        for key, built in BUILT.items():
            if (found := _value(conf, key)) != built:
                raise ModelError(f"The model's config.yaml sets {key} to {found}; only {built} is supported.")
        dim, heads = _number(conf, "embed_dim"), _number(conf, "num_heads")
        groups, layers = (_number(conf, f"modalities.audio.conv_pos_{name}") for name in ("groups", "depth"))
        if (alibi_heads := _number(conf, "modalities.audio.num_alibi_heads")) != heads:
            raise ModelError(
                f"The model's config.yaml has {heads} heads but {alibi_heads} ALiBi heads; they must agree."
            )
        if dim % heads or dim % groups:
            raise ModelError(
                f"The model's config.yaml has embed_dim {dim}, which {heads} heads and {groups} groups cannot share."
            )
        return cls(
            dim=dim,
            heads=heads,
            hidden=int(dim * _real(conf, "mlp_ratio")),
            prenet=_number(conf, "modalities.audio.prenet_depth", least=0),
            depth=_number(conf, "depth", least=0),
            eps=_real(conf, "norm_eps"),
            normalise=bool(_value(conf, "normalize")),
            extra_tokens=_number(conf, "modalities.audio.num_extra_tokens"),
            convolutions=_on_our_clock(parse_convolutions(_value(conf, "modalities.audio.feature_encoder_spec"))),
            position_layers=layers,
            position_kernel=max(3, _number(conf, "modalities.audio.conv_pos_width") // layers),
            position_groups=groups,
            scale_per_head=bool(_value(conf, "modalities.audio.learned_alibi_scale_per_head")),
        )


def parse_convolutions(spec: object) -> Convolutions:
    """Read `[(512, 10, 5)] + [(512, 3, 2)] * 4`, which FunASR evaluates as Python, without evaluating anything.

    Raises ModelError for anything but lists of three numbers, `+`, and `*` with a number.
    """
    try:
        layers = _layers(ast.parse(str(spec), mode="eval").body)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        raise ModelError(
            f"The model's config.yaml has a feature_encoder_spec that cannot be read: {spec!s:.200}"
        ) from None
    return layers


def _layers(node: ast.expr) -> Convolutions:
    """Read a list, a sum of two, or a list times a number."""
    match node:
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            layers = _layers(left) + _layers(right)
        case ast.BinOp(left=left, op=ast.Mult(), right=ast.Constant(value=int(times))) if times <= MOST_LAYERS:
            layers = _layers(left) * times
        case _:
            layers = tuple(_layer(layer) for layer in ast.literal_eval(node))
    if len(layers) > MOST_LAYERS:
        raise ValueError("too many layers")
    return layers


def _layer(layer: object) -> tuple[int, int, int]:
    match layer:
        case (int(channels), int(kernel), int(stride)) if min(channels, kernel, stride) > 0:
            return channels, kernel, stride
    raise ValueError("a layer is (channels, kernel, stride)")


def _on_our_clock(convolutions: Convolutions) -> Convolutions:
    """Check that one frame hears 25 ms, and the next one starts 20 ms later."""
    hop, window = 1, 1
    for _, kernel, stride in convolutions:
        window += (kernel - 1) * hop
        hop *= stride
    if (hop, window) != (HOP, WINDOW):
        raise ModelError(
            f"The model's convolutions hear {window} samples every {hop}; only {WINDOW} every {HOP} are supported."
        )
    return convolutions


def _value(conf: Mapping[str, Any], path: str) -> Any:
    """Follow `modalities.audio.num_alibi_heads` into the nested mapping."""
    found: Any = conf
    for key in path.split("."):
        if not isinstance(found, Mapping) or key not in found:
            raise ModelError(f"The model's config.yaml does not say {path}.")
        found = found[key]
    return found


def _number(conf: Mapping[str, Any], path: str, *, least: int = 1) -> int:
    number = _real(conf, path)
    if number != int(number) or not least <= number <= 1_000_000:
        raise ModelError(f"The model's config.yaml sets {path} to {number:g}, which is not a whole number it can have.")
    return int(number)


def _real(conf: Mapping[str, Any], path: str) -> float:
    """Read a number; YAML 1.1 takes `1e-05`, as the published files write it, for a text."""
    value = _value(conf, path)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ModelError(f"The model's config.yaml sets {path} to {value}, which is not a number.")
    return number
