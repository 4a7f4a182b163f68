"""From the corpora to the shipped model, with one command.

    python -m training.speech --data ../shared/data/audio --out models/compact-speech

Decoded features and finished trainings stay in --cache, so an interrupted run goes on where it stopped.
"""

import argparse
import json
import logging
from dataclasses import asdict
from pathlib import Path

from training.speech.data import CACHE, prepare
from training.speech.export import export
from training.speech.report import measure
from training.speech.runs import COMMITTEE, EARS, SHIPPED, SHORT_COMMITTEE, SHORT_EARS, carry_out_all, join, plan


def main() -> None:
    """Parse, train, measure, export."""
    parser = argparse.ArgumentParser(prog="python -m training.speech", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv and the clips")
    parser.add_argument("--out", type=Path, default=Path("models/compact-speech"))
    parser.add_argument("--cache", type=Path, default=CACHE, help="not in the repository")
    parser.add_argument("--workers", type=int, default=2, help="trainings at a time, one core each")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    corpora = prepare(arguments.data, arguments.cache, workers=arguments.workers)
    runs = plan(corpora.names)
    parts = carry_out_all(runs, data=arguments.data, cache=arguments.cache, workers=arguments.workers)
    model = join(*parts["final"])
    metrics = measure(model, parts, runs, corpora)
    metrics["steps"] = {"committee": COMMITTEE.steps, "ear": EARS[0].steps}
    metrics["short_steps"] = {"committee": SHORT_COMMITTEE.steps, "ear": SHORT_EARS[0].steps}
    metrics["ears"] = len(EARS)
    metrics["config"] = {"committee": asdict(COMMITTEE), "ears": [asdict(ear) for ear in EARS]}
    export(model, SHIPPED, metrics, arguments.out)
    logging.info("%s", json.dumps({k: v for k, v in metrics.items() if k.endswith(("six", "ten"))}))


if __name__ == "__main__":
    main()
