"""How many bits a network calculates with: 32, or fewer where the machine is faster with them.

Only what multiplies by weights is changed, and what stands between: the head, which tells the emotions apart, stays in
float32, and so does everything that is measured of a whole file.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from emoscope.errors import OptionError

HEAD = "proj"  # of every network; a thousandth of the work
HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
NARROWED = (nn.Linear, nn.Conv1d, nn.LayerNorm)
LARGEST, MIDDLE = 127, 128  # of a signed byte; the unsigned byte that stands for 0
TINY = 1e-12  # a row of zeros divided by its largest number stays a row of zeros
SLOW = "This machine has no units for bf16, so it is slower than fp32 here."


def choose(wanted: str, device: torch.device, *, large: bool) -> tuple[str, str]:
    """Return the precision to calculate with, and a sentence where the person should know more.

    "auto" is float32 unless the machine multiplies halves much faster (a GPU; a processor with AMX) and the network is
    `large` enough for it to matter. Raises OptionError for what the device cannot do.
    """
    if wanted == "auto":
        return (_quickest(device) if large else "fp32"), ""
    if wanted == "fp16" and device.type == "cpu":
        raise OptionError("The precision fp16 is for GPUs; on a processor choose bf16, int8 or fp32.")
    if wanted == "int8" and device.type != "cpu":
        raise OptionError("The precision int8 is for processors; on a GPU choose bf16, fp16 or fp32.")
    if wanted == "int8" and not _has("avx512_vnni", "avx_vnni"):
        raise OptionError("The precision int8 needs a processor with VNNI, which this one lacks; choose fp32.")
    if wanted == "bf16" and device.type == "cpu" and not _has("amx_bf16", "avx512_bf16"):
        return wanted, SLOW
    return wanted, ""


def _quickest(device: torch.device) -> str:
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    # AVX512-BF16 without AMX is no quicker than float32 on the processors that were measured: docs/performance.md
    return "bf16" if device.type == "cpu" and _has("amx_bf16") else "fp32"


def _has(*features: str) -> bool:
    found = torch.cpu.get_capabilities()
    return any(found.get(feature) for feature in features)


def lower(network: nn.Module, precision: str) -> None:
    """Change a network in place, so that it calculates with that precision; "fp32" changes nothing."""
    for parent, name, module in list(_weighted(network)):
        if precision in HALVES:
            _narrow(module, HALVES[precision])
        elif precision == "int8" and isinstance(module, nn.Linear):
            setattr(parent, name, Int8Linear(module))


def _weighted(network: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """Yield what is to be changed, each with its parent and its name there."""
    for path, module in network.named_modules():
        parent, _, name = path.rpartition(".")
        if isinstance(module, NARROWED) and path != HEAD:
            yield network.get_submodule(parent), name, module


def _narrow(module: nn.Module, dtype: torch.dtype) -> None:
    """Let a module calculate in `dtype`, whatever it is given."""
    module.to(dtype)
    module.register_forward_pre_hook(lambda _module, given: (given[0].to(dtype),))


class Int8Linear(nn.Module):
    """A linear layer whose weights and inputs are rounded to 8 bits; the products are added up in 32.

    Every row of weights has a scale of its own, and so has every row of the input: a clip's answer does not depend on
    how loud its neighbours in a batch are. Products of unsigned and signed bytes are what VNNI and AMX calculate.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach()  # (O, K)
        self.in_features = linear.in_features
        self.scales = (weight.abs().amax(1) / LARGEST).clamp_min(TINY)  # (O,)
        self.zeros = torch.zeros(len(weight), dtype=torch.int64)
        rounded = (weight / self.scales[:, None]).round().to(torch.int8)
        self.packed = torch.ops.onednn.qlinear_prepack(rounded, None)
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """(..., K) -> (..., O)."""
        size = x.abs().amax(-1, keepdim=True).clamp_min(TINY)  # (..., 1)
        rounded = (x * (LARGEST / size)).round_().add_(MIDDLE).to(torch.uint8)
        y: Tensor = torch.ops.onednn.qlinear_pointwise(
            rounded, 1 / LARGEST, MIDDLE, self.packed, self.scales, self.zeros,
            None, 1.0, 0, torch.float32, "none", [], "none",  # no bias, no scale of the output, nothing after it
        )  # fmt: skip
        return y.mul_(size) if self.bias is None else torch.addcmul(self.bias, y, size)
