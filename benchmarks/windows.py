"""Measure how close the frames of overlapping windows come to those of one pass over the whole file.

    python -m benchmarks.windows small --seconds 180
    python -m benchmarks.windows large --seconds 60
    python -m benchmarks.windows compact --seconds 180
    python -m benchmarks.windows models/compact-speech --audio recording.wav

The first three have random weights; the last is any model folder. Needs requirements-test.txt.
"""

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from emoscope.results import SpeechResult, Waveform
from emoscope.speech import checkpoint
from emoscope.speech.compact import CompactSpeech
from emoscope.speech.listen import SpeechModel, windows
from emoscope.timeline import HOP_SECONDS, frame_count
from tests import standins

CONTEXTS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.4, 3.0, 4.0, 5.0)  # seconds
COLUMNS = {  # what `compare` finds -> how it is printed
    "largest": "{:.4f}",
    "mean": "{:.5f}",
    "smoothed": "{:.4f}",
    "verdict": "{:.5f}",
    "cosine": "{:.4f}",
    "agreement": "{:.2%}",
}
NEVER = 10**9  # frames: longer than any file, so that it is one pass


def model(name: str) -> SpeechModel:
    """Return a model with random weights, or the one in a folder."""
    if name in ("small", "large"):
        sizes = {"small": standins.SMALL, "large": standins.LARGE}[name]
        return standins.speech_model(standins.our_network(standins.model_conf(**sizes)))
    if name == "compact":
        torch.manual_seed(0)
        return standins.speech_model(standins.randomise(CompactSpeech()))
    return checkpoint.load(Path(name))


def sound(args: argparse.Namespace) -> Waveform:
    """Return a recording, 16 kHz mono, or a synthetic one."""
    if args.audio is None:
        return Waveform(standins.clip(args.seconds))
    import soundfile

    samples, rate = soundfile.read(args.audio, dtype="float32", always_2d=True)
    if rate != 16_000:
        raise SystemExit(f"{args.audio} has {rate} Hz; 16000 Hz is needed.")
    return Waveform(samples.mean(axis=1)[: round(args.seconds * rate)])


def listen(speaker: SpeechModel, wave: Waveform) -> tuple[SpeechResult, float]:
    """Return the answer, and how many seconds it took."""
    start = time.perf_counter()
    heard = speaker.listen(wave, features=True, progress=lambda _what, _done: None)
    return heard, time.perf_counter() - start


def compare(whole: SpeechResult, parts: SpeechResult) -> dict[str, float]:
    """Return how far two answers about the same sound are apart."""
    expected, found = whole.timeline.probabilities(), parts.timeline.probabilities()  # (T, 9)
    difference = np.abs(found - expected)
    smoothed = np.abs(parts.timeline.probabilities(0.5) - whole.timeline.probabilities(0.5))
    assert whole.features is not None
    assert parts.features is not None
    lengths = np.linalg.norm(whole.features, axis=1) * np.linalg.norm(parts.features, axis=1)
    cosine = (whole.features * parts.features).sum(axis=1) / lengths  # (T,)
    return {
        "largest": float(difference.max()),
        "mean": float(difference.mean()),
        "smoothed": float(smoothed.max()),
        "verdict": float(np.abs(parts.scores - whole.scores).max()),
        "cosine": float(cosine.min()),
        "agreement": float((found.argmax(axis=1) == expected.argmax(axis=1)).mean()),
    }


def main() -> None:
    """Measure, print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="small, large, compact, or a model folder")
    parser.add_argument("--seconds", type=float, default=180.0, help="how much sound")
    parser.add_argument("--audio", type=Path, help="a 16 kHz recording instead of a synthetic sound")
    parser.add_argument("--contexts", type=float, nargs="+", default=CONTEXTS, help="seconds around a window's inside")
    args = parser.parse_args()
    speaker, wave = model(args.model), sound(args)
    frames = frame_count(len(wave.samples))
    whole, took = listen(replace(speaker, longest=NEVER), wave)
    print(f"{args.model}, {wave.seconds:.0f} s of sound; one pass took {took:.1f} s\n")
    print("| context | heard | " + " | ".join(COLUMNS) + " |")
    print("| ---: " * (2 + len(COLUMNS)) + "|")
    rows: list[dict[str, Any]] = []
    for seconds in args.contexts:
        context = round(seconds / HOP_SECONDS)
        parts, took = listen(replace(speaker, context=context), wave)
        heard = sum(window.stop - window.start for window in windows(frames, speaker.longest, context)) / frames
        row = {"context": seconds, "heard": heard, **compare(whole, parts), "seconds": took}
        rows.append(row)
        print(
            f"| {seconds:.1f} s | {heard:.2f} | "
            + " | ".join(form.format(row[key]) for key, form in COLUMNS.items())
            + " |",
            flush=True,
        )
    print("\n" + json.dumps({"model": args.model, "sound": wave.seconds, "rows": rows}))


if __name__ == "__main__":
    main()
