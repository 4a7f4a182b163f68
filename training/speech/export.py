"""A trained network becomes the folder that the program loads: weights, configuration, tokens, figures, card."""

import json
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import save_file

from emoscope.speech.checkpoint import sha256
from emoscope.speech.compact import CompactSpeech
from training.speech.card import card
from training.speech.data import CHINESE, LABELS

VERSION = "1.0"
LICENCE = "CC-BY-NC-SA-4.0"
TOKENS = [f"{chinese}/{label}" for chinese, label in zip(CHINESE[:-1], LABELS[:-1], strict=True)] + ["<unk>"]


def export(model: CompactSpeech, conf: dict[str, Any], metrics: dict[str, Any], folder: Path) -> None:
    """Write models/compact-speech."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "model.safetensors")
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in conf.items()}
    config = {
        "name": "compact-speech",
        "version": VERSION,
        "licence": LICENCE,
        "model": "CompactSpeech",
        "model_conf": plain,
        "temperature": metrics["calibration"]["temperature"],
        "temperature_note": "already divided into proj.weight and proj.bias",
        "sample_rate": 16000,
        "hop": 320,
        "window": 400,
        "parameters": metrics["parameters"],
        "sha256": sha256(folder / "model.safetensors"),  # so that a damaged file is told from a whole one
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    (folder / "tokens.txt").write_text("\n".join(TOKENS) + "\n", encoding="utf-8")
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    size = (folder / "model.safetensors").stat().st_size / 1e6
    (folder / "MODEL_CARD.md").write_text(card(metrics, size), encoding="utf-8")
