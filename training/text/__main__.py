"""From the corpora to the shipped model, with one command.

    python -m training.text --data ../shared/data/text --out models/compact-text
    python -m training.text --data ../shared/data/text --tiers permissive --out models/permissive-text

Tokens and checkpoints stay in --cache, so an interrupted training goes on where it stopped.
"""

import argparse
import json
import logging
from dataclasses import asdict
from pathlib import Path

import torch

from training.text import tokens
from training.text.batches import Batches
from training.text.data import CACHE, LABELS, PERMISSIVE, TIERS, VERSIONS, masks, prepare, read
from training.text.evaluate import beaten, calibration_error, logits_of, offsets, scores, temperature
from training.text.export import export
from training.text.taught import linear_opinions, network_opinions, taught
from training.text.train import AGAIN, Config, fresh, shorter, train
from training.text.vectors import begun

CHOICES = {"all": TIERS, "permissive": PERMISSIVE}  # licences


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

    first, second = (shorter(config, arguments.share) for config in (Config(), AGAIN))
    vectors = begun(versions[0], len(tokenizer), first.shape.width, cache=cache)
    texts = Batches(taught(versions, first.taught, linear), first.drawing)
    model = train(texts, fresh(vectors, first), first, checkpoint=cache / f"first-{arguments.share:g}.pt")

    before = network_opinions(model, versions, cache=cache)
    texts = Batches(taught(versions, second.taught, linear, before), second.drawing)
    network = train(texts, model, second, checkpoint=cache / f"second-{arguments.share:g}.pt").classifier

    dev, test = (prepare(arguments.data, split, tokenizer, cache=cache) for split in ("dev", "test"))
    said_dev = logits_of(network, dev)
    added = offsets(said_dev, dev)
    divisor = temperature(said_dev + added, dev)
    with torch.no_grad():
        network.classifier.bias.add_(torch.from_numpy(added))
        network.classifier.weight.div_(divisor)
        network.classifier.bias.div_(divisor)
    said = logits_of(network, test)
    found = scores(said, test)
    metrics = {
        "tiers": arguments.tiers,
        "texts": len(versions[0]),
        "languages": len(set(versions[0].language)),
        "parameters": network.num_parameters(),
        "temperature": divisor,
        "offsets": dict(zip(LABELS, added.tolist(), strict=True)),
        "calibration_error": calibration_error(said, test),
        "yardstick": beaten(found),
        "scores": {part: asdict(one) for part, one in found.items()},
        "datasets": sorted(masks(arguments.data).keys() & set(versions[0].dataset)),
        "licences": table.groupby("dataset").licence.first().to_dict(),
        "tiers_of": table.groupby("dataset").tier.first().to_dict(),
        "first": asdict(first),
        "second": asdict(second),
    }
    if arguments.beside:
        variant = json.loads((arguments.beside / "metrics.json").read_text("utf-8"))
        metrics["variant"] = {
            name: variant[name] for name in ("tiers", "texts", "languages", "first", "second", "yardstick", "scores")
        }
    export(network, tokenizer, metrics, arguments.out)
    for part, one in metrics["yardstick"].items():
        logging.info("%s: %.3f / %.3f, yardstick %.3f / %.3f", part, one["accuracy"], one["f1"], *one["yardstick"])


if __name__ == "__main__":
    main()
