"""Measure how many files per second a batch hears, against a plain loop over FunASR's `generate`.

    python -m benchmarks.batch                          # 200 clips, the size of large, random weights
    python -m benchmarks.batch --size small --clips 50 --json figures.json

Both read the same WAV files with the same weights and the same number of threads, alternating in one run; models are
loaded before the clock starts. Then the same batch with more and more decoding processes. Needs requirements-test.txt.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from emoscope import batch
from emoscope.analyzer import Analyzer
from emoscope.labels import LABELS
from emoscope.settings import Options, Settings

SIZES = ("small", "large")
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


def funasr_loop(model: Any, files: list[Path]) -> dict[str, list[float]]:
    """Hear files as FunASR's documentation shows it: one after the other, each by its name."""
    from tests import standins

    found = {}
    for file in files:
        with standins.third_party():
            [answer] = model.generate(str(file), granularity="utterance", extract_embedding=False)
        found[str(file)] = [float(score) for score in answer["scores"]]
    return found


def batch_run(folder: Path, out: Path, analyzer: Analyzer, model: Path, workers: int) -> dict[str, list[float]]:
    """Hear files as `./run.sh batch` does, rows on disk included."""
    from pyarrow import parquet

    out.unlink(missing_ok=True)
    job = batch.Job(out, Options(model=str(model)), workers=workers)
    batch.run(batch.find([str(folder)]), job, analyzer.settings, analyzer=analyzer)
    return {row["path"]: [row[label] for label in LABELS] for row in parquet.read_table(out).to_pylist()}


def timed(work: Callable[[], dict[str, list[float]]], threads: int) -> tuple[float, dict[str, list[float]]]:
    """Return how many seconds it took with so many threads, and the answer."""
    import torch

    torch.set_num_threads(threads)
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def measure(args: argparse.Namespace, place: Path) -> dict[str, Any]:
    """Return every figure."""
    seconds = write_clips(place / "clips", args.clips)
    folder = write_model(place / "model", args.size)
    oracle = funasr(folder, args.threads)
    analyzer = Analyzer(Settings(threads=args.threads, device="cpu"))
    analyzer.load(str(folder))
    files = sorted((place / "clips").iterdir())
    funasr_loop(oracle, files[:2])  # it imports its audio libraries at the first call
    runs: dict[str, list[float]] = {"funasr": [], **{f"batch, {count} decoding": [] for count in args.workers}}
    answers: dict[str, dict[str, list[float]]] = {}
    for _ in range(args.rounds):
        for name, took in runs.items():
            count = 0 if name == "funasr" else int(name.split()[1])
            spent, answers[name] = timed(
                lambda count=count: (  # type: ignore[misc]
                    batch_run(place / "clips", place / "rows.parquet", analyzer, folder, count)
                    if count
                    else funasr_loop(oracle, files)
                ),
                args.threads,
            )
            took.append(spent)
    difference = max(
        abs(ours - theirs)
        for name, found in answers.items()
        for path, scores in found.items()
        for ours, theirs in zip(scores, answers["funasr"][path], strict=True)
    )
    return {
        "size": args.size, "clips": args.clips, "seconds": seconds, "threads": args.threads, "rounds": args.rounds,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores", "took": runs, "largest_difference": difference,
    }  # fmt: skip


def show(figures: dict[str, Any]) -> None:
    """Print a table."""
    base = median(figures["took"]["funasr"])
    print(
        f"{figures['clips']} clips, {figures['seconds']:.0f} s of sound, {figures['size']}, {figures['threads']} "
        f"threads, {figures['machine']}; median of {figures['rounds']} rounds\n"
    )
    print("| | seconds | spread | files per second | hours of sound per minute | times FunASR |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, took in figures["took"].items():
        middle = median(took)
        print(
            f"| {name} | {middle:.2f} | {min(took):.2f} to {max(took):.2f} | {figures['clips'] / middle:.1f} | "
            f"{figures['seconds'] / 60 / middle:.3f} | {base / middle:.2f} |"
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
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        figures = measure(args, Path(place))
    show(figures)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
