"""FunASR's own Emotion2vec class: what ours is compared with, and what serves where ours differs."""

import contextlib
import io
import logging
import random
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from emoscope.errors import ModelError
from emoscope.timeline import HOP, WINDOW, Floats

EPSILON = 1e-5  # FunASR normalises the wave with PyTorch's layer norm, whose default this is


class Reference(nn.Module):
    """FunASR's network behind the same interface as ours: slower, and one clip at a time.

    Raises ModelError when the checkpoint does not hold all of its weights.
    """

    def __init__(self, folder: Path, classes: int) -> None:
        """Let FunASR build the network and load a folder's `model.pt`; importing FunASR takes seconds."""
        super().__init__()
        file, config = folder / "model.pt", _config(folder)
        with kept_to_itself() as said:
            from funasr.models.emotion2vec.model import Emotion2vec
            from funasr.train_utils.load_pretrained_model import load_pretrained_model
            from torch.utils.serialization import config as reading

            self.funasr = Emotion2vec(model_conf=config["model_conf"], vocab_size=classes)
            scopes = list(config.get("scope_map") or [])  # a copy, because FunASR adds to it
            # Mapped, the file is in memory once, as FunASR's copy of it, and not twice.
            with reading.patch({"load.mmap": zipfile.is_zipfile(file)}):  # type: ignore[attr-defined]
                load_pretrained_model(str(file), self.funasr, scope_map=scopes)
        if "miss key" in said.getvalue():
            raise ModelError(
                f"{file} does not hold all the weights that FunASR's network needs. Fetch the model again."
            )
        self.dim: int = self.funasr.proj.in_features
        self.normalise = bool(config["model_conf"]["normalize"])
        self.eval().requires_grad_(False)

    def statistics(self, wave: Tensor) -> Tensor:
        """Return what the whole file is normalised by, its mean and deviation: (N,) -> (2,)."""
        if not self.normalise:
            return torch.tensor([0.0, 1.0], device=wave.device)
        mean = wave.mean(dtype=torch.float64)
        variance = (wave - mean.float()).square().mean(dtype=torch.float64)
        return torch.stack([mean, (variance + EPSILON).sqrt()]).float()

    def forward(self, waves: Tensor, lengths: Tensor, statistics: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N) zero-padded, (B,) samples, (B, 2) -> features (B, T, D), frame logits (B, T, C); no clip sees padding.

        FunASR has no mask for padding in a batch of normalised waves, so every clip is heard by itself.
        """
        features = waves.new_zeros(len(waves), (waves.shape[1] - WINDOW) // HOP + 1, self.dim)
        for clip, (wave, length) in enumerate(zip(waves, lengths.tolist(), strict=True)):
            source = (wave[:length] - statistics[clip, 0]) / statistics[clip, 1]  # (N,)
            found = self.funasr.extract_features(source[None])["x"][0]  # (T, D)
            features[clip, : len(found)] = found
        return features, self.funasr.proj(features)

    def answer(self, samples: Floats) -> tuple[Floats, Floats]:
        """Return what FunASR's own `inference` finds in 16 kHz mono samples: features (T, D), frame logits (T, C)."""
        with torch.inference_mode(), kept_to_itself():
            [found], _ = self.funasr.inference([samples], key=["clip"], granularity="frame", device="cpu")
            features: Floats = found["feats"]
            logits: Floats = self.funasr.proj(torch.from_numpy(features)).numpy()
        return features, logits


def _config(folder: Path) -> dict[str, Any]:
    """Read config.yaml as FunASR does, through OmegaConf: to it `1e-05` is a number."""
    from omegaconf import OmegaConf

    config: Any = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"), resolve=True)
    return dict(config)


@contextlib.contextmanager
def kept_to_itself() -> Iterator[io.StringIO]:
    """Take what FunASR prints, drop its warnings, and undo what it does to logging and to random numbers."""
    root, said = logging.getLogger(), io.StringIO()
    handlers, level, chance, numbers = root.handlers[:], root.level, random.getstate(), np.random.get_state()
    root.addFilter(_never)  # FunASR logs there, and nobody else does: others have loggers of their own
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(said), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")
            yield said
    finally:
        root.removeFilter(_never)
        root.handlers[:], root.level = handlers, level
        random.setstate(chance)
        np.random.set_state(numbers)


def _never(_record: logging.LogRecord) -> bool:
    return False
