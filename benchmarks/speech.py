"""Measure the large network against FunASR's `AutoModel.generate`: speed, memory, start, and what fewer bits change.

    python -m benchmarks.speech                                  # the size of large, random weights
    python -m benchmarks.speech --parts clip clips --json figures.json
    python -m benchmarks.speech --parts length --plot docs/images/length.png
    python -m benchmarks.speech --parts agreement --audio FOLDER # a folder with labelled speech and its manifest.csv

    clip       a clip of 10 s in every precision       length     memory and time of longer and longer sound
    clips      64 clips of 1 to 4 s, in batches        start      from the start of the process to a verdict
    agreement  the compact model's labels in every precision

Both have the same weights, the same clips and the same number of threads, and take turns. `length` and `start` are
processes of their own; `length` gives each so much memory and no more. Needs requirements-test.txt.
"""

import argparse
import csv
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.batch import SIZES, funasr, write_model
from emoscope.results import Waveform, quiet
from emoscope.timeline import RATE

ROOT = Path(__file__).resolve().parent.parent
Figures = dict[str, Any]
PRECISIONS = ("fp32", "bf16", "int8")
LENGTHS = (10, 30, 60, 120, 240, 600, 1800, 3600)  # seconds
CLIP, SHORT, LONG = 10.0, 1.0, 4.0  # seconds of the clip, and of the shortest and longest of the many
FUNASR = "FunASR"


def sound(seconds: float, seed: int = 0) -> Any:
    """Return a voice-like sound, (N,) float32 at 16 kHz: one minute again and again, which takes no memory to make."""
    from tests import standins

    minute = standins.clip(min(seconds, 60.0), seed=seed)
    return np.resize(minute, round(seconds * RATE))


def open_slim(folder: Path, threads: int, precision: str) -> Any:
    """Open our network as it is after the download: slim weights."""
    from emoscope.speech import checkpoint

    return checkpoint.load(folder, threads=threads, precision=precision)


def write_slim(folder: Path) -> Path:
    """Write the slim weights of a model folder into a folder of their own beside it."""
    from emoscope.speech import checkpoint

    slim = folder.with_name("slim")
    slim.mkdir()
    for name in ("config.yaml", "tokens.txt"):
        (slim / name).write_bytes((folder / name).read_bytes())
    checkpoint.save_slim(checkpoint.load(folder).network, slim)  # type: ignore[arg-type]  # it is a module
    return slim


def generate(model: Any, samples: Any) -> list[float]:
    """Ask FunASR for the scores of one clip."""
    from tests import standins

    with standins.third_party():
        [answer] = model.generate(samples, granularity="utterance", extract_embedding=True)
    return [float(score) for score in answer["scores"]]


def taking_turns(works: dict[str, Callable[[], Any]], rounds: int) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Return the seconds of every round, and the last answers; a round before them is not counted."""
    took: dict[str, list[float]] = {name: [] for name in works}
    answers: dict[str, Any] = {}
    for turn in range(rounds + 1):
        for name, work in works.items():
            start = time.perf_counter()
            answers[name] = work()
            if turn:
                took[name].append(time.perf_counter() - start)
    return took, answers


def measure_clip(folder: Path, slim: Path, args: argparse.Namespace) -> Figures:
    """Hear a clip of 10 s with FunASR and in every precision."""
    samples = sound(CLIP)
    theirs, wave = funasr(folder, args.threads), Waveform(samples)
    works: dict[str, Callable[[], Any]] = {FUNASR: lambda: generate(theirs, samples)}
    for precision in args.precisions:
        model = open_slim(slim, args.threads, precision)
        works[precision] = lambda model=model: model.listen(wave, features=True, progress=quiet)  # type: ignore[misc]
    took, answers = taking_turns(works, args.rounds)
    exact = answers["fp32"].features
    off = {
        precision: {
            "scores": float(np.abs(answers[precision].scores - np.array(answers[FUNASR])).max()),
            "cosine": float(cosines(answers[precision].features, exact).min()),
        }
        for precision in args.precisions
    }
    return {"seconds": CLIP, "took": took, "off": off}


def cosines(one: Any, other: Any) -> Any:
    """Return how alike two rows of features point: (T, D), (T, D) -> (T,)."""
    return (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def measure_clips(folder: Path, slim: Path, args: argparse.Namespace) -> Figures:
    """Hear many short clips: FunASR one by one, as it does with any list, and ours in batches."""
    random = np.random.default_rng(0)
    samples = [sound(seconds, seed) for seed, seconds in enumerate(random.uniform(SHORT, LONG, args.clips))]
    theirs, waves = funasr(folder, args.threads), [Waveform(clip) for clip in samples]
    works: dict[str, Callable[[], Any]] = {FUNASR: lambda: [generate(theirs, clip) for clip in samples]}
    for precision in args.precisions:
        model = open_slim(slim, args.threads, precision)
        works[precision] = lambda model=model: model.listen_many(waves)  # type: ignore[misc]
    took, answers = taking_turns(works, args.rounds)
    expected = np.array(answers[FUNASR])
    off = {
        precision: {"scores": float(np.abs(np.array([each.scores for each in answers[precision]]) - expected).max())}
        for precision in args.precisions
    }
    return {"clips": args.clips, "seconds": sum(map(len, samples)) / RATE, "took": took, "off": off}


def measure_length(folder: Path, slim: Path, args: argparse.Namespace) -> Figures:
    """Hear longer and longer sound, each in a process of its own, until the memory is not enough."""
    found: Figures = {"limit": args.memory, "points": {}}
    for name, place in ((FUNASR, folder), ("fp32", slim), ("bf16", slim)):
        points = found["points"][name] = []
        for seconds in args.lengths:
            points.append({"seconds": seconds, **process("hear", name, place, seconds, args)})
            print(f"  {name}, {seconds} s: {points[-1]}", file=sys.stderr)
            if "error" in points[-1]:
                break
    return found


def measure_start(folder: Path, slim: Path, args: argparse.Namespace) -> Figures:
    """Start a process that hears 3 s with FunASR, and one with ours, again and again."""
    works = {FUNASR: lambda: process("hear", FUNASR, folder, 3, args)}
    for precision in args.precisions:
        works[precision] = lambda precision=precision: process("hear", precision, slim, 3, args)  # type: ignore[misc]
    took, _ = taking_turns(works, args.rounds)
    return {"took": took}


def process(what: str, name: str, folder: Path, seconds: float, args: argparse.Namespace) -> Figures:
    """Hear so many seconds in a new process; returns its seconds of hearing and its peak memory, or an error."""
    words = [what, name, str(folder), str(seconds), str(args.threads), str(args.memory)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.speech", "--child", *words], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1][:200]}
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def child(name: str, folder: Path, seconds: float, threads: int, memory: float) -> None:
    """Hear one sound and print the figures."""
    resource.setrlimit(resource.RLIMIT_DATA, (round(memory * 1e9), round(memory * 1e9)))
    samples = sound(seconds)
    if name == FUNASR:
        theirs = funasr(folder, threads)
        hear: Callable[[], Any] = lambda: generate(theirs, samples)  # noqa: E731 — one of two
    else:
        ours, wave = open_slim(folder, threads, name), Waveform(samples)
        hear = lambda: ours.listen(wave, progress=quiet)  # noqa: E731
    start = time.perf_counter()
    hear()
    spent = time.perf_counter() - start
    from emoscope.speech.certify import peak_memory

    print(json.dumps({"took": spent, "peak": peak_memory()}))


def measure_agreement(args: argparse.Namespace) -> Figures:
    """Let the compact model hear labelled speech in every precision, and count equal labels."""
    from emoscope.speech import checkpoint

    waves = list(recordings(args.audio, args.limit))
    labels = {}
    for precision in ("fp32", *PRECISIONS[1:]):
        model = checkpoint.load(ROOT / "models" / "compact-speech", threads=args.threads, precision=precision)
        labels[precision] = np.array([result.scores.argmax() for result in model.listen_many(waves)])
    equal = {name: float((labels[name] == labels["fp32"]).mean()) for name in PRECISIONS[1:]}
    return {"clips": len(waves), "seconds": sum(wave.seconds for wave in waves), "equal": equal}


def recordings(folder: Path, limit: int) -> Iterator[Waveform]:
    """Yield clips evenly from a folder whose manifest.csv has a column `path`."""
    from emoscope.audio import Limits, load

    with (folder / "manifest.csv").open(encoding="utf-8") as file:
        paths = [row["path"] for row in csv.DictReader(file)]
    for path in paths[:: max(1, len(paths) // limit)]:
        yield load(folder / path, limits=Limits(seconds=600, bytes=10**8)).wave


def show_times(title: str, figures: Figures) -> None:
    """Print the seconds of every candidate, and how many times FunASR's speed that is."""
    base = median(figures["took"][FUNASR])
    print(f"\n{title}\n\n| | seconds | spread | times FunASR | largest difference of a score | least cosine |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, took in figures["took"].items():
        off = figures.get("off", {}).get(name, {})
        cells = [f"{off[key]:.{digits}}" if key in off else "" for key, digits in (("scores", "1e"), ("cosine", "5f"))]
        spread = f"{min(took):.2f} to {max(took):.2f}"
        print(f"| {name} | {median(took):.2f} | {spread} | {base / median(took):.2f} | {' | '.join(cells)} |")


def show_length(figures: Figures) -> None:
    """Print memory and pace of every length."""
    print(f"\nLonger and longer, with at most {figures['limit']:g} GB\n")
    print("| | seconds of sound | seconds | seconds per second of sound | peak memory, GB |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, points in figures["points"].items():
        for point in points:
            length = point["seconds"]
            if "error" in point:
                print(f"| {name} | {length} | out of memory | | |")
            else:
                pace, peak = point["took"] / length, point["peak"] / 1e9
                print(f"| {name} | {length} | {point['took']:.1f} | {pace:.3f} | {peak:.2f} |")


def plot_length(figures: Figures, file: Path) -> None:
    """Draw memory and pace against length."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots(1, 2)
    for (name, points), colour in zip(figures["points"].items(), ("#b5483a", "#12756c", "#46aca1"), strict=True):
        heard = [point for point in points if "error" not in point]
        minutes = [point["seconds"] / 60 for point in heard]
        title = name if name == FUNASR else f"Emoscope, {name}"
        axes[0].plot(minutes, [point["peak"] / 1e9 for point in heard], "o-", ms=4, color=colour, label=title)
        axes[1].plot(minutes, [point["took"] / point["seconds"] for point in heard], "o-", ms=4, color=colour)
        if len(heard) < len(points):
            last = heard[-1]
            for axis, height in zip(axes, (last["peak"] / 1e9, last["took"] / last["seconds"]), strict=True):
                place = {"xytext": (8, 0), "textcoords": "offset points", "va": "center"}
                axis.annotate(
                    "out of memory at\nthe next point", (minutes[-1], height), **place, fontsize=8, color=colour
                )
    for axis, title in zip(axes, ("Peak memory, GB", "Seconds of work per second of sound"), strict=True):
        axis.set_xscale("log")
        axis.set_xlabel("Length, minutes")
        axis.set_title(title, fontsize=10, loc="left")
        axis.set_xticks([1 / 6, 1, 10, 60], ["1/6", "1", "10", "60"])
        axis.minorticks_off()
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_ylim(bottom=0)
        axis.grid(axis="y", alpha=0.3)
    axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(file, dpi=110)


def machine() -> str:
    """Describe the processor in a line."""
    import torch

    found = torch.cpu.get_capabilities()
    units = [unit for unit in ("avx2", "avx512_vnni", "avx512_bf16", "amx_bf16") if found.get(unit)]
    name = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    return f"{name}, {found.get('num_physical_cores')} cores, {', '.join(units)}; PyTorch {torch.__version__}"


def main() -> None:
    """Measure what was asked for, print tables, and write JSON and the plot where asked."""
    if sys.argv[1:2] == ["--child"]:
        _, name, folder, seconds, threads, memory = sys.argv[2:]
        return child(name, Path(folder), float(seconds), int(threads), float(memory))
    parts: dict[str, Callable[[Path, Path, argparse.Namespace], Figures]] = {
        "clip": measure_clip, "clips": measure_clips, "start": measure_start, "length": measure_length,
    }  # fmt: skip
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=[*parts, "agreement"], default=["clip", "clips", "start"])
    parser.add_argument("--size", choices=SIZES, default="large", help="of the network with random weights")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--lengths", type=float, nargs="+", default=list(LENGTHS), help="seconds")
    parser.add_argument("--memory", type=float, default=16.0, help="GB that a process of `length` may have")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch, for both")
    parser.add_argument("--audio", type=Path, help="labelled speech for `agreement`")
    parser.add_argument("--limit", type=int, default=4000, help="clips of it")
    parser.add_argument("--plot", type=Path, help="draw `length` here")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args()
    figures: Figures = {"machine": machine(), "threads": args.threads, "rounds": args.rounds, "size": args.size}
    with tempfile.TemporaryDirectory() as place:
        folder = write_model(Path(place) / "model", args.size)
        slim = write_slim(folder)
        for part in args.parts:
            figures[part] = parts[part](folder, slim, args) if part in parts else measure_agreement(args)
    print(f"{figures['machine']}; {args.threads} threads; median of {args.rounds} rounds; size {args.size}")
    titles = {
        "clip": "A clip of 10 s",
        "clips": f"{args.clips} clips of 1 to 4 s",
        "start": "Process start to a verdict",
    }
    for part, title in titles.items():
        if part in figures:
            show_times(title, figures[part])
    if "length" in figures:
        show_length(figures["length"])
        if args.plot:
            plot_length(figures["length"], args.plot)
    if "agreement" in figures:
        print(f"\nThe compact model's labels on {figures['agreement']['clips']} clips that are those of fp32: ", end="")
        print(", ".join(f"{name} {100 * share:.2f} %" for name, share in figures["agreement"]["equal"].items()))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")
    return None


if __name__ == "__main__":
    main()
