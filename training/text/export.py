"""The trained network becomes a folder: weights, tokenizer, figures, card."""

import json
from pathlib import Path
from typing import Any

from transformers import ModernBertForSequenceClassification, PreTrainedTokenizerFast

from emoscope.speech.checkpoint import sha256
from training.text.card import card
from training.text.network import save

LICENCE = {"all": "CC BY-NC-SA 4.0", "permissive": "CC BY 4.0"}


def export(network: ModernBertForSequenceClassification, tokenizer: PreTrainedTokenizerFast, metrics: dict[str, Any],
           folder: Path) -> None:  # fmt: skip
    """Write everything that ships."""
    folder.mkdir(parents=True, exist_ok=True)
    licence = LICENCE[metrics["tiers"]]
    network.config.licence = licence  # the program shows it
    save(network, tokenizer, folder)
    network.config.sha256 = sha256(folder / "model.safetensors")  # so that a damaged file is told from a whole one
    network.config.save_pretrained(folder)
    megabytes = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "MODEL_CARD.md").write_text(card(metrics, megabytes, licence), encoding="utf-8")
