"""From the corpora to the shipped model, with one command.

    python -m training.text --data ../shared/data/text --out models/compact-text
    python -m training.text --data ../shared/data/text --tiers permissive --out models/permissive-text

Tokens and checkpoints stay in --cache, so an interrupted training goes on where it stopped.
"""

import argparse
import json
import logging
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from training.text import grams, tokens
from training.text.batches import Batches
from training.text.calibrate import GROUPS, calibrate
from training.text.data import CACHE, LABELS, PERMISSIVE, TIERS, VERSIONS, Rows, masks, prepare, read
from training.text.evaluate import beaten, calibration_error, logits_of, scores
from training.text.export import export
from training.text.network import Reader
from training.text.taught import leanings, linear_opinions, network_opinions, taught
from training.text.train import GENERATIONS, Config, fresh, mean, shorter, train
from training.text.vectors import begun

CHOICES = {"all": TIERS, "permissive": PERMISSIVE}  # licences


def learned(versions: list[Rows], loose: list[Rows], linear: NDArray[np.float32], tokenizer: PreTrainedTokenizerFast,
            generations: list[list[Config]], *, cache: Path, name: str) -> Reader:  # fmt: skip
    """Train one generation after the other, each from the mean of the networks of the one before."""
    (first,), parts, opinions = generations[0], grams.parts(tokenizer), [linear]
    lean = leanings(linear[0], versions[0])
    model = fresh(begun(versions[0], len(tokenizer), first.shape.width, cache=cache), first)
    for number, configs in enumerate(generations):
        states = []
        for twin, config in enumerate(configs):
            texts = taught([*versions, *loose], config.taught, *opinions, lean=config.lean * lean)
            batches = Batches(texts, config.drawing)
            checkpoint = cache / f"generation-{number}-{twin}-{name}.pt"
            states.append(train(batches, deepcopy(model), parts, config, checkpoint=checkpoint).state_dict())
        model.load_state_dict(mean(states))
        if number == 0:
            opinions.append(network_opinions(model, versions, cache=cache))
    return model


def main() -> None:
    """Parse, train, measure, export."""
    parser = argparse.ArgumentParser(prog="python -m training.text", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.tsv.xz and class_masks.json")
    parser.add_argument("--out", type=Path, default=Path("models/compact-text"))
    parser.add_argument("--cache", type=Path, default=CACHE, help="not in the repository")
    parser.add_argument("--tiers", choices=CHOICES, default="all", help="licences to learn from")
    parser.add_argument("--share", type=float, default=1.0, help="share of the steps; 0.01 tries everything out")
    parser.add_argument("--beside", type=Path, help="folder of a variant, whose figures the card gives too")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(arguments.threads)

    tiers, cache = CHOICES[arguments.tiers], arguments.cache / arguments.tiers
    table = read(arguments.data, "train", tiers)
    tokenizer = tokens.prepare(table, cache=cache)
    versions = [
        prepare(arguments.data, "train", tokenizer, cache=cache, tiers=tiers, version=name) for name in VERSIONS
    ]
    linear = linear_opinions(table, versions, cache=cache)

    loose = [
        prepare(arguments.data, "train", tokenizer, cache=cache, tiers=tiers, version=name, loose=True)
        for name in VERSIONS
    ]
    generations = [[shorter(config, arguments.share) for config in configs] for configs in GENERATIONS]
    network = learned(
        versions, loose, linear, tokenizer, generations, cache=cache, name=f"{arguments.share:g}"
    ).classifier

    dev, test = (prepare(arguments.data, split, tokenizer, cache=cache) for split in ("dev", "test"))
    added, divisor = calibrate(network, dev)
    said = logits_of(network, test)
    found = scores(said, test)
    metrics = {
        "tiers": arguments.tiers,
        "texts": len(versions[0]),
        "languages": len(set(versions[0].language)),
        "parameters": network.num_parameters(),
        "temperature": divisor,
        "offsets": {group: dict(zip(LABELS, row, strict=True)) for group, row in zip(GROUPS, added, strict=True)},
        "calibration_error": calibration_error(said, test),
        "yardstick": beaten(found),
        "scores": {part: asdict(one) for part, one in found.items()},
        "datasets": sorted(masks(arguments.data).keys() & set(versions[0].dataset)),
        "licences": table.groupby("dataset").licence.first().to_dict(),
        "tiers_of": table.groupby("dataset").tier.first().to_dict(),
        "generations": [[asdict(config) for config in configs] for configs in generations],
    }
    if arguments.beside:
        variant = json.loads((arguments.beside / "metrics.json").read_text("utf-8"))
        metrics["variant"] = {
            name: variant[name] for name in ("tiers", "texts", "languages", "generations", "yardstick", "scores")
        }
    export(network, tokenizer, metrics, arguments.out)
    for part, one in metrics["yardstick"].items():
        logging.info("%s: %.3f / %.3f, yardstick %.3f / %.3f", part, one["accuracy"], one["f1"], *one["yardstick"])


if __name__ == "__main__":
    main()
