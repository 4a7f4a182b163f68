"""The trainings behind the shipped model: the model itself, its open twin, and five that leave two corpora out."""

import logging
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from emoscope.speech.compact import CompactSpeech
from training.speech.data import NONSPEECH, Corpora, prepare
from training.speech.ear import EarConfig, train_ear
from training.speech.observations import observe_all
from training.speech.train import Config, train

OPEN = ("crema_d", "banglaser", "emogator")  # may be used commercially
LEFT_OUT = (
    ("crema_d", "emotiontts_ko"),
    ("ravdess", "aesdd"),
    ("savee", "nemo"),
    ("casia", "ased"),
    ("banglaser", "emogator"),
)

SHIPPED: dict[str, Any] = {  # arguments of CompactSpeech
    "members": 4,
    "hidden": 256,
    "width": 96,
    "ear": 192,
    "channels": [96, 160],
    "layers": 3,
    "reaches": [8, 24],
}
COMMITTEE, EAR = Config(model={"members": SHIPPED["members"]}), EarConfig()
SHORT_COMMITTEE = replace(COMMITTEE, steps=800, model={"members": 2})  # for comparison
SHORT_EAR = replace(EAR, steps=1000)


@dataclass(frozen=True)
class Run:
    """A training: what it is called, what it hears, and how long its halves learn."""

    name: str
    corpora: tuple[str, ...]
    committee: Config = SHORT_COMMITTEE
    ear: EarConfig = SHORT_EAR


def plan(names: list[str]) -> list[Run]:
    """All runs; the ones for comparison are short."""
    runs = [Run("final", tuple(names), COMMITTEE, EAR)]
    runs += [Run("without-" + "-".join(out), tuple(name for name in names if name not in out)) for out in LEFT_OUT]
    return [*runs, Run("open", OPEN)]


def carry_out(job: tuple[Run, str], *, data: Path, cache: Path) -> Path:
    """Train one half and keep the weights, unless they are there; runs in a process of its own, on one core."""
    run, half = job
    path = cache / "runs" / f"{run.name}-{half}.pt"
    if path.exists():
        return path
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {run.name} {half} %(message)s", force=True)
    corpora = prepare(data, cache)
    clips = corpora.select({*run.corpora, NONSPEECH}, "train")
    if half == "ear":
        model, conf = train_ear(corpora, clips, run.ear), {"members": 0}
    else:
        observed = observe_all(list(run.committee.passes), data=data, cache=cache, workers=1)
        model, conf = train(corpora, observed, clips, run.committee), {**run.committee.model, "ear": 0}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"conf": conf, "state": model.state_dict()}, path)
    return path


def carry_out_all(
    runs: list[Run], *, data: Path, cache: Path, workers: int
) -> dict[str, tuple[CompactSpeech, CompactSpeech]]:
    """All runs, a few trainings at a time: committee and ear of each."""
    observe_all(list(COMMITTEE.passes), data=data, cache=cache, workers=workers)
    jobs = [(run, half) for run in runs for half in ("ear", "committee")]
    with ProcessPoolExecutor(workers, max_tasks_per_child=1) as pool:
        list(pool.map(partial(carry_out, data=data, cache=cache), jobs))
    folder = cache / "runs"
    return {
        run.name: (restore(folder / f"{run.name}-committee.pt"), restore(folder / f"{run.name}-ear.pt")) for run in runs
    }


def join(committee: CompactSpeech, ear: CompactSpeech) -> CompactSpeech:
    """One network whose logits are the mean of two."""
    model = CompactSpeech(**SHIPPED)
    state = ear.state_dict() | {k: v for k, v in committee.state_dict().items() if not k.startswith("proj.")}
    state["proj.weight"] = torch.cat([committee.proj.weight, ear.proj.weight], 1) / 2  # (9, dim), the members first
    state["proj.bias"] = (committee.proj.bias + ear.proj.bias) / 2
    model.load_state_dict(state)
    return model.eval()


def restore(path: Path) -> CompactSpeech:
    """A trained network from a run's file."""
    kept = torch.load(path, weights_only=True)
    model = CompactSpeech(**kept["conf"])
    model.load_state_dict(kept["state"])
    return model.eval()


def unseen_by(run: Run, corpora: Corpora) -> list[str]:
    """The corpora that a run did not hear."""
    return [name for name in corpora.names if name not in run.corpora]
