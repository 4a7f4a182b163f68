"""Ideas against each other: equal short trainings, judged on unseen speakers, on four corpora left out, along time.

python -m training.speech.ideas --data ../shared/data/audio [name ...]
"""

import argparse
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from emoscope.speech.compact import CompactSpeech
from training.speech.augment import Distortion
from training.speech.data import CACHE, NONSPEECH, Clip, Corpora, prepare
from training.speech.ear import EarConfig, train_ear
from training.speech.evaluate import along_time, by_corpus
from training.speech.observations import Observations, observe_all
from training.speech.recordings import Mix
from training.speech.train import Config, train

UNSEEN = ("ravdess", "casia", "banglaser", "aesdd")
COMMITTEE = Config(steps=800, model={"members": 2})
EAR = EarConfig(steps=800)
HARD = Distortion(warp=0.08, equaliser=0.6, noise=0.4, time_mask=12, band_mask=10, pitch=0.15)

IDEAS: dict[str, Config] = {
    "committee": COMMITTEE,
    "committee-whole-only": replace(COMMITTEE, passes={"whole": 1.0}),
    "committee-no-splice": replace(COMMITTEE, passes={"whole": 3.0, "noisy": 0.3, "far": 0.3}),
    "committee-much-noise": replace(COMMITTEE, passes={"whole": 1.0, "spliced": 1.0, "noisy": 1.0, "far": 1.0}),
    "committee-shift": replace(COMMITTEE, shift=0.6),
    "committee-votes": replace(COMMITTEE, votes=0.3),
    "committee-flat": replace(COMMITTEE, corpus_power=0.0),
    "ear": EAR,
    "ear-plain": replace(EAR, mix=Mix(longest=150), distortion=Distortion(0, 0, 0, 0, 0, 0), spliced=0.0),
    "ear-hard": replace(EAR, mix=Mix(versions=(0.4, 0.3, 0.3), longest=150), distortion=HARD),
}


def sample(clips: list[Clip], most: int = 400) -> list[Clip]:
    """At most so many clips of each corpus."""
    random = np.random.default_rng(0)
    chosen = []
    for name in dict.fromkeys(clip.corpus for clip in clips):
        part = [clip for clip in clips if clip.corpus == name]
        chosen += [part[k] for k in random.permutation(len(part))[:most]]
    return chosen


def learn(corpora: Corpora, observed: Callable[[], dict[str, Observations]], config: Config) -> CompactSpeech:
    """Train a half without the unseen corpora."""
    clips = corpora.select({*corpora.names, NONSPEECH} - set(UNSEEN), "train")
    return (
        train_ear(corpora, clips, config)
        if isinstance(config, EarConfig)
        else train(corpora, observed(), clips, config)
    )


def judge(corpora: Corpora, model: CompactSpeech) -> dict[str, object]:
    """Development speakers, unseen corpora, the timeline; test speakers take no part."""
    known = by_corpus(model, corpora, sample(corpora.select(set(corpora.names) - set(UNSEEN), "dev")))
    unseen = by_corpus(model, corpora, sample(corpora.select(set(UNSEEN), "train", "dev")))
    return {
        "speakers": round(float(np.mean(list(known.values()))), 3),
        "corpora": round(float(np.mean(list(unseen.values()))), 3),
        "time": along_time(model, corpora, sample(corpora.select({"crema_d", "ased"}, "dev"))),
        "known": known,
        "unseen": unseen,
    }


def main() -> None:
    """Try the named ideas, or all."""
    parser = argparse.ArgumentParser(prog="python -m training.speech.ideas", description=__doc__)
    parser.add_argument("names", nargs="*", default=list(IDEAS))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=CACHE)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    corpora = prepare(arguments.data, arguments.cache)

    def observed() -> dict[str, Observations]:
        names = sorted({name for idea in IDEAS.values() for name in idea.passes})
        return observe_all(names, data=arguments.data, cache=arguments.cache, workers=1)

    for name in arguments.names:
        result = judge(corpora, learn(corpora, observed, IDEAS[name]))
        logging.info("idea %s: %s", name, json.dumps(result))


if __name__ == "__main__":
    main()
