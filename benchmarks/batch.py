"""Measure how many files per second a batch hears, against a plain loop over FunASR's `generate`.

    python -m benchmarks.batch                          # 200 clips, the size of large, random weights
    python -m benchmarks.batch --size small --clips 50 --workers 1 2 --json figures.json
    python -m benchmarks.batch --actors 1 2 4           # also on a Ray of this machine, the threads shared among models

All read the same WAV files with the same weights and the same number of threads, taking turns in one run. The batch is
measured with more and more decoding processes. Models are loaded before the clock starts, but for Ray, whose start and
loading are in its time. Needs requirements-test.txt, and requirements-ray.txt for Ray.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from emoscope import batch
from emoscope.analyzer import Analyzer
from emoscope.labels import LABELS
from emoscope.settings import PRECISIONS, Options, Settings

Scores: TypeAlias = dict[str, list[float]]  # the nine of every file

SIZES = ("small", "large")
FUNASR = "FunASR, one by one"
SHORTEST, LONGEST = 1.0, 4.0  # seconds of a clip


def write_clips(folder: Path, count: int) -> float:
    """Write clips as 16 kHz WAV, so that FunASR need not resample, and return their seconds in all."""
    import soundfile

    from tests import standins

    random = np.random.default_rng(0)
    folder.mkdir()
    total = 0.0
    for number in range(count):
        seconds = float(random.uniform(SHORTEST, LONGEST))
        soundfile.write(folder / f"clip{number:05d}.wav", standins.clip(seconds, seed=number), 16_000)
        total += seconds
    return total


def write_model(folder: Path, size: str) -> Path:
    """Write a model folder as FunASR publishes them, with random weights in FunASR's own class."""
    from tests import standins

    conf = standins.model_conf(**{"small": standins.SMALL, "large": standins.LARGE}[size])
    return standins.write_folder(folder, conf, standins.oracle_network(conf).state_dict())


def funasr(folder: Path, threads: int) -> Any:
    """Open a model folder as FunASR's documentation shows it; it would take four threads by itself, in every call."""
    from tests import standins

    with standins.third_party():
        from funasr import AutoModel

        return AutoModel(
            model=str(folder), device="cpu", ncpu=threads, disable_update=True, disable_pbar=True, log_level="ERROR"
        )


def funasr_loop(model: Any, files: list[Path]) -> Scores:
    """Hear files as FunASR's documentation shows it: one after the other, each by its name."""
    from tests import standins

    found = {}
    for file in files:
        with standins.third_party():
            [answer] = model.generate(str(file), granularity="utterance", extract_embedding=False)
        found[str(file)] = [float(score) for score in answer["scores"]]
    return found


def batch_run(place: Path, job: batch.Job, settings: Settings, analyzer: Analyzer | None) -> Scores:
    """Hear files as `./run.sh batch` does, rows on disk included."""
    from pyarrow import parquet

    job.out.unlink(missing_ok=True)
    batch.run(batch.find([str(place)]), job, settings, analyzer=analyzer)
    return {row["path"]: [row[label] for label in LABELS] for row in parquet.read_table(job.out).to_pylist()}


def candidates(args: argparse.Namespace, place: Path) -> dict[str, Callable[[], Scores]]:
    """Return what is measured by its name; models of this process are loaded, those of Ray are part of its time."""
    clips, folder = place / "clips", write_model(place / "model", args.size)
    files = sorted(clips.iterdir())
    oracle = funasr(folder, args.threads)
    funasr_loop(oracle, files[:2])  # it imports its audio libraries at the first call
    settings = Settings(threads=args.threads, device="cpu")
    analyzer = Analyzer(settings)
    analyzer.load(str(folder), args.precision)
    job = batch.Job(place / "rows.parquet", Options(model=str(folder), precision=args.precision))
    found: dict[str, Callable[[], Scores]] = {FUNASR: partial(funasr_loop, oracle, files)}
    for count in args.workers:
        found[f"batch, {count} decoding"] = partial(batch_run, clips, replace(job, workers=count), settings, analyzer)
    for count in args.actors:
        share = replace(settings, threads=max(1, args.threads // count))
        chosen = replace(job, workers=count, engine="ray", together=max(1, args.clips // (4 * count)))
        found[f"Ray, {count} models"] = partial(batch_run, clips, chosen, share, None)
    return found


def timed(work: Callable[[], Scores], threads: int) -> tuple[float, Scores]:
    """Return how many seconds it took with so many threads, and the answer."""
    import torch

    torch.set_num_threads(threads)
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def measure(args: argparse.Namespace, place: Path) -> dict[str, Any]:
    """Return every figure; the candidates take turns, so that what else the machine does meets all of them."""
    seconds = write_clips(place / "clips", args.clips)
    works = candidates(args, place)
    took: dict[str, list[float]] = {name: [] for name in works}
    answers: dict[str, Scores] = {}
    for _ in range(args.rounds):
        for name, work in works.items():
            spent, answers[name] = timed(work, args.threads)
            took[name].append(spent)
    difference = max(
        abs(ours - theirs)
        for found in answers.values()
        for path, scores in found.items()
        for ours, theirs in zip(scores, answers[FUNASR][path], strict=True)
    )
    return {
        "size": args.size, "precision": args.precision, "clips": args.clips, "seconds": seconds,
        "threads": args.threads, "rounds": args.rounds, "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "took": took, "largest_difference": difference,
    }  # fmt: skip


def show(figures: dict[str, Any]) -> None:
    """Print a table; growth is beside the first of its kind, such as batches with one decoding process."""
    base = median(figures["took"][FUNASR])
    first: dict[str, float] = {}
    print(
        f"{figures['clips']} clips, {figures['seconds']:.0f} s of sound, {figures['size']} in {figures['precision']}, "
        f"{figures['threads']} threads, {figures['machine']}; median of {figures['rounds']} rounds\n"
    )
    print("| | seconds | spread | files per second | hours of sound per minute | times FunASR | growth |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, took in figures["took"].items():
        middle = median(took)
        growth = first.setdefault(name.split(",")[0], middle) / middle
        print(
            f"| {name} | {middle:.2f} | {min(took):.2f} to {max(took):.2f} | {figures['clips'] / middle:.1f} | "
            f"{figures['seconds'] / 60 / middle:.3f} | {base / middle:.2f} | {growth:.2f} |"
        )
    print(f"\nLargest difference of a score from FunASR's: {figures['largest_difference']:.1e}")


def main() -> None:
    """Measure, print a table, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="large", help="of the network with random weights")
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch, for both")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4], help="decoding processes to try")
    parser.add_argument("--actors", type=int, nargs="+", default=[], help="models on Ray to try")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of ours; FunASR calculates in fp32")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        figures = measure(args, Path(place))
    show(figures)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
