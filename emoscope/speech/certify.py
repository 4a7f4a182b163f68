"""The process that makes slim weights and holds them to FunASR: `python -m emoscope.speech.certify JOB`.

    model.pt ─ our loader ─> slim weights ─ our network ──┐
         └──── FunASR's own loader and network ───────────┴─ the same sound ─> the largest differences

`conversion.convert` starts it.
"""

import contextlib
import json
import os
import platform
import shutil
import sys
import time
import wave
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO, TypeAlias

import numpy as np
import torch

from emoscope import __version__, child
from emoscope.certificate import GOLDEN_LIMIT, LIMIT, Certificate
from emoscope.errors import ModelError, StorageError
from emoscope.labels import COUNT, LABELS
from emoscope.results import SpeechResult, Waveform
from emoscope.speech import checkpoint
from emoscope.speech.checkpoint import FUNASR, SLIM
from emoscope.speech.listen import SpeechModel
from emoscope.speech.reference import Reference
from emoscope.timeline import RATE, WINDOW, Floats, Timeline

Differences: TypeAlias = dict[str, float | None]

SECONDS = (0.4, 2.3, 7.7)  # of the synthetic clips: shorter and longer than the positional convolutions reach
LONGEST = 30 * RATE  # samples; longer sound is heard in windows, which FunASR does not have
STAGING = ".certify"  # where the slim weights wait for their certificate
EXAMPLE = "example/test.wav"
SOURCES = (FUNASR, "config.yaml", "tokens.txt")
KINDS = ("features", "frame_logits", "frame_probabilities", "utterance_logits", "utterance_probabilities")
LOWER_PRIORITY = 10  # an analysis that runs meanwhile comes first

# What the published models answer to their own example/test.wav, as told in an issue of the upstream repository.
GOLDEN = {
    "emotion2vec_plus_large": {
        "angry": 0.003793130, "disgusted": 0.000550057, "fearful": 0.000867041, "happy": 0.121791527,
        "neutral": 0.000224258, "other": 0.000006993, "sad": 0.868382394, "surprised": 0.004384306,
        "unknown": 0.00000023990,
    },
}  # fmt: skip


@dataclass
class Watch:
    """What is being done, for the process that listens."""

    what: str = "Preparing the comparison with FunASR"
    done: float = 0.0

    def tell(self, what: str, done: float) -> None:
        """Begin a step."""
        self.what, self.done = what, done

    def message(self) -> dict[str, object]:
        """Say what is being done and how far."""
        return {"what": self.what, "done": self.done}


def main(folder: Path, out: TextIO) -> None:
    """Certify the weights in a folder and report on it."""
    os.nice(LOWER_PRIORITY)
    watch = Watch()
    child.answer(lambda: _work(folder, watch.tell), watch.message, out)


def _work(folder: Path, tell: Callable[[str, float], None]) -> None:
    try:
        certify(folder, tell)
    except OSError as error:
        raise StorageError(f"The slim weights cannot be written: {error.strerror or error}.") from error


def certify(folder: Path, tell: Callable[[str, float], None]) -> Certificate:
    """Convert `model.pt`, compare, and keep the slim weights if they pass; the certificate is kept either way."""
    start, staging = time.perf_counter(), folder / STAGING
    if not (folder / FUNASR).is_file():
        raise ModelError(f"There is no {FUNASR} in {folder}, so there is nothing to compare with FunASR's network.")
    staging.mkdir(exist_ok=True)
    try:
        tell("Writing the slim weights", 0.05)
        whole = checkpoint.load(folder, weights=folder / FUNASR)
        if whole.info.kind != "Emotion2vec":
            raise ModelError(
                f"FunASR has no network of the kind {whole.info.kind}, so there is nothing to compare with."
            )
        slim = checkpoint.save_slim(whole.network, staging)  # type: ignore[arg-type]  # both kinds are modules
        del whole
        clips = [*synthetic_clips(), *_example(folder)]
        compared, golden = _compare_all(folder, slim, clips, tell)
        certificate = _certificate(folder, slim, compared, golden, time.perf_counter() - start)
        # The certificate comes first: without the weights beside it it does no harm.
        certificate.write(folder)
        if certificate.certified:
            slim.replace(folder / SLIM)
        else:
            (folder / SLIM).unlink(missing_ok=True)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return certificate


def synthetic_clips() -> list[tuple[str, Floats]]:
    """Make sounds with a gliding pitch, syllables and noise, the same on every machine: (name, (N,) samples)."""
    random, clips = np.random.default_rng(20), []
    for seconds in SECONDS:
        time_axis = np.arange(round(seconds * RATE)) / RATE
        pitch = 140 + 50 * np.sin(2 * np.pi * 0.4 * time_axis + seconds)  # Hz
        voice = np.sin(2 * np.pi * np.cumsum(pitch) / RATE) * (0.5 + 0.5 * np.sin(2 * np.pi * 3.3 * time_axis))
        samples = 0.3 * voice + 0.02 * random.standard_normal(len(time_axis)) + 0.01
        clips.append((f"synthetic {seconds} s", samples.astype(np.float32)))
    return clips


def _example(folder: Path) -> list[tuple[str, Floats]]:
    """Return the model's own example if it is there and what it is published as: 16 kHz mono, 16 bits."""
    try:
        with wave.open(str(folder / EXAMPLE), "rb") as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE, 1, 2):
                return []
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
    except (OSError, EOFError, wave.Error):
        return []
    return [(EXAMPLE, samples[:LONGEST].astype(np.float32))] if len(samples) >= WINDOW else []


def _compare_all(
    folder: Path, slim: Path, clips: list[tuple[str, Floats]], tell: Callable[[str, float], None]
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Let both networks hear every clip: (what was found of each clip, the check of the published scores)."""
    ours = checkpoint.load(folder, weights=slim)
    tell("Loading FunASR's network", 0.2)
    theirs = Reference(folder, ours.network.proj.out_features)  # type: ignore[attr-defined]  # it is no other kind
    compared, golden = [], None
    for index, (name, samples) in enumerate(clips):
        tell(f"Comparing with FunASR: {name}", 0.4 + 0.6 * index / len(clips))
        heard = _hear(ours, samples)
        found = differences(theirs.answer(samples), heard, ours.columns)
        compared.append({"name": name, "seconds": len(samples) / RATE, "differences": found})
        if name == EXAMPLE and heard is not None:
            golden = check_golden(folder.resolve().name, heard)
    return compared, golden


def _hear(model: SpeechModel, samples: Floats) -> SpeechResult | None:
    """Return what our network hears, or None when it is no number."""
    try:
        return model.listen(Waveform(samples), features=True, progress=lambda _what, _done: None)
    except ModelError:
        return None


def differences(
    expected: tuple[Floats, Floats], heard: SpeechResult | None, columns: tuple[int | None, ...]
) -> Differences:
    """Return the largest differences between FunASR's features (T, D) and frame logits (T, C), and what we heard."""
    features, raw = expected
    if not (np.isfinite(features).all() and np.isfinite(raw).all()):
        raise ModelError("FunASR's own network answers with something that is no number; fetch the model again.")
    if heard is None or heard.features is None or heard.features.shape != features.shape:
        return dict.fromkeys(KINDS)
    said = [label for label, column in enumerate(columns) if column is not None]
    logits = np.full((len(raw), COUNT), -np.inf, dtype=np.float32)
    logits[:, said] = raw[:, [column for column in columns if column is not None]]
    theirs, ours = Timeline(logits), heard.timeline
    gaps = (
        heard.features - features,
        (ours.logits - logits)[:, said],
        ours.probabilities(0) - theirs.probabilities(0),
        (ours.logits.mean(axis=0) - logits.mean(axis=0))[said],
        heard.scores - theirs.scores(),
    )
    return {kind: float(np.abs(gap).max()) for kind, gap in zip(KINDS, gaps, strict=True)}


def check_golden(model: str, heard: SpeechResult) -> dict[str, Any] | None:
    """Compare the scores of the example with the published ones; None for a model of which none are known."""
    expected = GOLDEN.get(model)
    if expected is None:
        return None
    scores = {label: float(score) for label, score in zip(LABELS, heard.scores, strict=True)}
    difference = max(abs(scores[label] - expected[label]) for label in LABELS)
    return {
        "clip": EXAMPLE, "difference": difference, "limit": GOLDEN_LIMIT, "passed": difference <= GOLDEN_LIMIT,
        "scores": scores, "published": expected,
    }  # fmt: skip


def _certificate(
    folder: Path, slim: Path, compared: list[dict[str, Any]], golden: dict[str, Any] | None, seconds: float
) -> Certificate:
    largest: Differences = {}
    for kind in KINDS:
        found = [clip["differences"][kind] for clip in compared]
        largest[kind] = None if None in found else max(found)
    certified = all(difference is not None and difference <= LIMIT for difference in largest.values())
    kept = {"path": SLIM, "bytes": slim.stat().st_size, "sha256": checkpoint.sha256(slim)} if certified else None
    return Certificate(
        model=folder.resolve().name,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        certified=certified,
        differences=largest,
        clips=compared,
        golden=golden,
        versions={
            "emoscope": __version__, "funasr": version("funasr"), "torch": torch.__version__,
            "python": platform.python_version(), "machine": platform.machine(),
        },
        source={name: checkpoint.sha256(folder / name) for name in SOURCES},
        slim=kept,
        peak_memory=peak_memory(),
        seconds=round(seconds, 1),
    )  # fmt: skip


def peak_memory() -> int:
    """Return the most memory that this process has had, in bytes."""
    with contextlib.suppress(OSError):  # Linux; there `getrusage` would count what the parent had before this began
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # nothing that a library prints may mix with the messages
        main(Path(json.loads(sys.argv[1])["folder"]), sys.__stdout__ or sys.stderr)
