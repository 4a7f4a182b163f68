"""Measure what a newcomer waits for: the help, a verdict, the page; and the compact model against real time.

    python -m benchmarks.first_run [--json FILE] [--runs 5]

`import funasr` in a fresh process is the yardstick: it is what a tool built on FunASR waits for before anything else.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
PORT = 7899
MINUTES = 5  # of sound, for the speed of the compact model


def write_clip(file: Path, seconds: float) -> Path:
    """Write something with the rhythm of a voice, 16 kHz mono."""
    from emoscope.audio import write_wav
    from emoscope.results import Waveform

    place = np.arange(round(seconds * 16_000)) / 16_000
    pitch = 140 + 30 * np.sin(2 * np.pi * 0.4 * place)
    voice = np.sign(np.sin(2 * np.pi * np.cumsum(pitch) / 16_000)) * (0.5 + 0.5 * np.sin(2 * np.pi * 4 * place))
    write_wav(Waveform((0.2 * voice).astype(np.float32)), file)
    return file


def process(*arguments: str) -> float:
    """Return how long a fresh Python takes to run a module or a statement, in seconds."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - start


def page(folder: Path) -> float:
    """Return how long a fresh process takes until its page answers, in seconds."""
    environment = {**os.environ, "EMOSCOPE_PORT": str(PORT), "EMOSCOPE_OUTPUTS": str(folder), "EMOSCOPE_OFFLINE": "1"}
    start = time.perf_counter()
    server = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=5).read()
            except OSError:
                time.sleep(0.02)
                if server.poll() is not None or time.perf_counter() - start > 60:
                    raise
            else:
                return time.perf_counter() - start
    finally:
        server.terminate()
        server.wait(20)


def real_time_factor(folder: Path) -> Callable[[], float]:
    """Return a function that hears some minutes and says how many times faster than real time that was."""
    from emoscope.audio import Limits, load
    from emoscope.speech import checkpoint

    model = checkpoint.load(ROOT / "models" / "compact-speech")
    limits = Limits(seconds=3600, bytes=10**9)
    wave = load(write_clip(folder / "long.wav", 60 * MINUTES), limits=limits).wave

    def hear() -> float:
        start = time.perf_counter()
        model.listen(wave, progress=lambda _what, _done: None)
        return wave.seconds / (time.perf_counter() - start)

    hear()  # the first pass plans its matrix products
    return hear


def main() -> None:
    """Print the table, and write it as JSON when asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = str(write_clip(folder / "clip.wav", 3.0))
        os.environ["EMOSCOPE_OUTPUTS"] = str(folder)
        analyze = ("-m", "emoscope.cli", "analyze", clip)
        measures: dict[str, Callable[[], float]] = {
            "import funasr": lambda: process("-c", "import funasr"),
            "--help": lambda: process("-m", "emoscope.cli", "--help"),
            "analyze, 3 s clip": lambda: process(*analyze),
            "analyze, 3 s clip, frame": lambda: process(*analyze, "--granularity", "frame"),
            "page answers": lambda: page(folder),
        }
        found: dict[str, list[float]] = {what: [] for what in measures}
        for _ in range(arguments.runs):  # one after the other, so that a busy moment hits them all
            for what, measure in measures.items():
                found[what].append(measure())
        hear = real_time_factor(folder)
        speeds = [hear() for _ in range(arguments.runs)]
    yardstick = statistics.median(found["import funasr"])
    print(f"{'':28}{'median':>9}{'fastest':>9}{'slowest':>9}{'of FunASR':>11}")
    for what, seconds in found.items():
        middle = statistics.median(seconds)
        print(f"{what:28}{middle:8.2f}s{min(seconds):8.2f}s{max(seconds):8.2f}s{middle / yardstick:10.2f}x")
    print(f"{'compact model, real time':28}{statistics.median(speeds):8.0f}x{min(speeds):8.0f}x{max(speeds):8.0f}x")
    if arguments.json:
        arguments.json.write_text(json.dumps({"seconds": found, "times_real_time": speeds}, indent=2) + "\n")


if __name__ == "__main__":
    main()
