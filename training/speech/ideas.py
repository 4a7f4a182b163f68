"""Ideas against each other: equal short trainings, judged on unseen speakers and on corpora left out.

    python -m training.speech.ideas --data ../shared/data/audio --cache /tmp/train/cache [name ...]
"""

import argparse
import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from training.speech.augment import Distortion
from training.speech.batches import Mix
from training.speech.data import NONSPEECH, Clip, Corpora, prepare
from training.speech.evaluate import along_time, by_corpus
from training.speech.train import Config, train

UNSEEN = ("ravdess", "casia", "banglaser", "aesdd")
VIEW = {"view": ("level", "mean", "pitch")}
MILD = Distortion(warp=0.06, equaliser=0.4, noise=0.25, time_mask=8, band_mask=6, pitch=0.1)
BASE = Config(steps=600, model=VIEW, distortion=MILD, mix=Mix(versions=(0.6, 0.2, 0.2), spliced=0.3))

IDEAS: dict[str, Config] = {
    "base": BASE,
    "level": replace(BASE, model={"view": ("level", "pitch")}),
    "mean": replace(BASE, model={"view": ("mean", "pitch")}),
    "file": replace(BASE, model={"view": ("level", "mean", "pitch", "file")}),
    "deviation": replace(BASE, model={"view": ("deviation", "pitch")}),
    "no-pitch": replace(BASE, model={"view": ("level", "mean")}),
    "no-splice": replace(BASE, mix=replace(BASE.mix, spliced=0.0)),
    "no-distortion": replace(BASE, distortion=Distortion(0, 0, 0, 0, 0, 0)),
    "strong-distortion": replace(BASE, distortion=Distortion()),
    "clean-only": replace(BASE, mix=replace(BASE.mix, versions=(1.0, 0.0, 0.0))),
    "flat-corpora": replace(BASE, mix=replace(BASE.mix, corpus_power=0.0)),
    "no-votes": replace(BASE, mix=replace(BASE.mix, votes=0.0)),
    "large": replace(BASE, model={**VIEW, "widths": (64, 128, 256), "depth": 6, "dim": 192}),
    "fast": replace(BASE, rate=8e-3),
    "no-dropout": replace(BASE, model={**VIEW, "dropout": 0.05, "skip": 0.0}),
    "seed-2": replace(BASE, seed=2),
}


def sample(clips: list[Clip], most: int = 400) -> list[Clip]:
    """At most so many clips of each corpus."""
    random = np.random.default_rng(0)
    chosen = []
    for name in dict.fromkeys(clip.corpus for clip in clips):
        part = [clip for clip in clips if clip.corpus == name]
        chosen += [part[k] for k in random.permutation(len(part))[:most]]
    return chosen


def judge(corpora: Corpora, config: Config) -> dict[str, object]:
    """Train without the unseen corpora; test speakers take no part."""
    seen = {name for name in corpora.names if name not in UNSEEN} | {NONSPEECH}
    model = train(corpora, corpora.select(seen, "train"), config)
    known = by_corpus(model, corpora, sample(corpora.select(seen - {NONSPEECH}, "dev")))
    unseen = by_corpus(model, corpora, sample(corpora.select(set(UNSEEN), "train", "dev")))
    return {
        "speakers": float(np.mean(list(known.values()))),
        "corpora": float(np.mean(list(unseen.values()))),
        "time": along_time(model, corpora, sample(corpora.select({"crema_d", "nemo"}, "dev"))),
        "known": known,
        "unseen": unseen,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(IDEAS))
    parser.add_argument("--data", type=Path, default=Path("../shared/data/audio"))
    parser.add_argument("--cache", type=Path, default=Path("/tmp/train/cache"))
    parser.add_argument("--out", type=Path, default=Path("/tmp/train/ideas"))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    corpora = prepare(arguments.data, arguments.cache)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.names:
        logging.info("idea %s", name)
        result = judge(corpora, IDEAS[name])
        logging.info("idea %s: %s", name, json.dumps(result))
        (arguments.out / f"{name}.json").write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
