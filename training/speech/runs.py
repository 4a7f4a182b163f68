"""The trainings behind the shipped model: the model itself, its open twin, and five that leave two corpora out."""

import logging
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from emoscope.speech.compact import CompactSpeech
from training.speech.data import NONSPEECH, Corpora, prepare
from training.speech.observations import PASSES, observe_all
from training.speech.train import Config, train

log = logging.getLogger(__name__)

OPEN = ("crema_d", "banglaser", "emogator")  # may be used commercially
LEFT_OUT = (
    ("crema_d", "emotiontts_ko"),
    ("ravdess", "aesdd"),
    ("savee", "nemo"),
    ("casia", "ased"),
    ("banglaser", "emogator"),
)

CONFIG = Config()
SHORT = 2000  # steps of the runs for comparison


@dataclass(frozen=True)
class Run:
    """A training: what it is called, what it hears, and how."""

    name: str
    corpora: tuple[str, ...]
    config: Config


def plan(names: list[str], config: Config, *, short: int) -> list[Run]:
    """All runs; the ones for comparison make `short` steps."""
    brief = replace(config, steps=short)
    runs = [Run("final", tuple(names), config)]
    runs += [Run("without-" + "-".join(out), tuple(n for n in names if n not in out), brief) for out in LEFT_OUT]
    return [*runs, Run("open", OPEN, brief)]


def carry_out(run: Run, *, data: Path, cache: Path) -> Path:
    """Train and keep the weights, unless they are there; runs in a process of its own, on one core."""
    path = cache / "runs" / f"{run.name}.pt"
    if path.exists():
        return path
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {run.name} %(message)s", force=True)
    corpora = prepare(data, cache)
    observed = observe_all(list(run.config.passes), data=data, cache=cache, workers=1)
    model = train(corpora, observed, corpora.select({*run.corpora, NONSPEECH}, "train"), run.config)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"conf": run.config.model, "state": model.state_dict()}, path)
    return path


def carry_out_all(runs: list[Run], *, data: Path, cache: Path, workers: int) -> dict[str, CompactSpeech]:
    """All runs, a few at a time."""
    observe_all(list(PASSES), data=data, cache=cache, workers=workers)
    with ProcessPoolExecutor(workers, max_tasks_per_child=1) as pool:
        paths = list(pool.map(partial(carry_out, data=data, cache=cache), runs))
    return {run.name: restore(path) for run, path in zip(runs, paths, strict=True)}


def restore(path: Path) -> CompactSpeech:
    """A trained network from a run's file."""
    kept = torch.load(path, weights_only=True)
    model = CompactSpeech(**kept["conf"])
    model.load_state_dict(kept["state"])
    return model.eval()


def unseen_by(run: Run, corpora: Corpora) -> list[str]:
    """The corpora that a run did not hear."""
    return [name for name in corpora.names if name not in run.corpora]
