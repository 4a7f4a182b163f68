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
    "ears": 2,
    "ear": 192,
    "channels": [96, 160],
    "layers": 3,
    "reaches": [8, 24],
}
COMMITTEE = Config(model={"members": SHIPPED["members"]})
EARS = (EarConfig(), EarConfig(steps=3500, seed=2))
SHORT_COMMITTEE = replace(  # for comparison
    COMMITTEE, steps=800, model={"members": 2}, passes={"whole": 3.0, "spliced": 1.0, "noisy": 0.3, "far": 0.3}
)
SHORT_EARS = (EarConfig(steps=1000),)
Parts = tuple[CompactSpeech, ...]  # a committee, and one or two ears


@dataclass(frozen=True)
class Run:
    """A training: what it is called, what it hears, and how long its parts learn."""

    name: str
    corpora: tuple[str, ...]
    committee: Config = SHORT_COMMITTEE
    ears: tuple[EarConfig, ...] = SHORT_EARS

    @property
    def parts(self) -> list[str]:
        """Names of its parts: committee, ear0, ear1..."""
        return ["committee", *(f"ear{number}" for number in range(len(self.ears)))]


def plan(names: list[str]) -> list[Run]:
    """All runs; the ones for comparison are short."""
    runs = [Run("final", tuple(names), COMMITTEE, EARS)]
    runs += [Run("without-" + "-".join(out), tuple(name for name in names if name not in out)) for out in LEFT_OUT]
    return [*runs, Run("open", OPEN)]


def carry_out(job: tuple[Run, str], *, data: Path, cache: Path) -> Path:
    """Train one part and keep the weights, unless they are there; runs in a process of its own, on one core."""
    run, part = job
    path = cache / "runs" / f"{run.name}-{part}.pt"
    if path.exists():
        return path
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {run.name} {part} %(message)s", force=True)
    corpora = prepare(data, cache)
    clips = corpora.select({*run.corpora, NONSPEECH}, "train")
    if part == "committee":
        observed = observe_all(list(run.committee.passes), data=data, cache=cache, workers=1)
        model, conf = train(corpora, observed, clips, run.committee), {**run.committee.model, "ears": 0}
    else:
        model, conf = train_ear(corpora, clips, run.ears[int(part.removeprefix("ear"))]), {"members": 0}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"conf": conf, "state": model.state_dict()}, path)
    return path


def carry_out_all(runs: list[Run], *, data: Path, cache: Path, workers: int) -> dict[str, Parts]:
    """All runs, a few trainings at a time: the parts of each."""
    observe_all(list(COMMITTEE.passes), data=data, cache=cache, workers=workers)
    jobs = [(run, part) for run in runs for part in run.parts]
    with ProcessPoolExecutor(workers, max_tasks_per_child=1) as pool:
        list(pool.map(partial(carry_out, data=data, cache=cache), jobs))
    return {run.name: tuple(restore(cache / "runs" / f"{run.name}-{part}.pt") for part in run.parts) for run in runs}


def join(committee: CompactSpeech, *ears: CompactSpeech) -> CompactSpeech:
    """One network whose logits are the mean of its parts' logits."""
    parts = [committee, *ears]
    model = CompactSpeech(**{**SHIPPED, "members": len(committee.members), "ears": len(ears)})
    state = {name: tensor for name, tensor in committee.state_dict().items() if not name.startswith("proj.")}
    for number, ear in enumerate(ears):
        state |= {f"ears.{number}.{name}": tensor for name, tensor in ear.ears[0].state_dict().items()}
    state["proj.weight"] = torch.cat([part.proj.weight for part in parts], 1) / len(parts)  # (9, dim)
    state["proj.bias"] = sum(part.proj.bias for part in parts) / len(parts)
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
