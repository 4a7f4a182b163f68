"""Where a network calculates."""

import torch

from emoscope.errors import OptionError


def find_device(name: str) -> torch.device:
    """Return "cpu", "cuda", "cuda:1", or for "auto" the best there is; raises OptionError for one that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):  # PyTorch without CUDA asserts
        raise OptionError(f"The device “{name}” is not there. Set EMOSCOPE_DEVICE to auto, cpu or cuda.") from None
    return device
