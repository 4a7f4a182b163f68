"""What goes in and what comes out: waveforms, recordings, and the report that every door returns."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emoscope.labels import INDEX, LABELS
from emoscope.settings import Options
from emoscope.timeline import HOP_SECONDS, RATE, WINDOW, Floats, Timeline, shares, turning_points

# (what is being done, share done from 0 to 1); it may raise `Cancelled` to stop the work between two steps.
Progress: TypeAlias = Callable[[str, float], None]

CLOSE_CALL = 0.10  # a smaller margin between the first two emotions is called a close call
CLEAR = 0.40  # a larger one is called clear
LIKELY = 0.50  # what has less of the probability is more likely wrong than right, and only leant to


def quiet(_what: str, _done: float) -> None:
    """Ignore progress."""


@dataclass(frozen=True, eq=False)
class Waveform:
    """Mono sound at 16 kHz: (N,) float32, finite, at least 400 samples (25 ms)."""

    samples: Floats

    def __post_init__(self) -> None:
        samples = np.ascontiguousarray(self.samples, dtype=np.float32)
        if samples.ndim != 1 or len(samples) < WINDOW:
            raise ValueError(f"a waveform needs at least {WINDOW} samples in one row, not {samples.shape}")
        if not np.isfinite(samples).all():
            raise ValueError("a waveform's samples must be finite numbers")
        object.__setattr__(self, "samples", samples)

    @property
    def seconds(self) -> float:
        """Return the length in seconds."""
        return len(self.samples) / RATE


@dataclass(frozen=True)
class Source:
    """The file that a recording came from."""

    name: str  # the file's own name, without folders
    sha256: str
    bytes: int
    container: str  # FFmpeg's name of the demuxer, such as "wav" or "mp3"
    codec: str
    sample_rate: int  # Hz
    channels: int


@dataclass(frozen=True)
class Quality:
    """How good the sound is, measured before any preprocessing."""

    duration: float  # seconds
    peak: float  # largest absolute sample; 1.0 is full scale
    clipped: float  # share of samples at full scale
    snr: float | None  # dB, estimated; None when there is nothing to compare
    silence: float  # share of the time
    warnings: tuple[str, ...] = ()  # whole sentences


@dataclass(frozen=True, eq=False)
class Recording:
    """A decoded file, ready to be heard: its sound, where it came from, and how good it is."""

    wave: Waveform
    source: Source
    quality: Quality
    offset: float = 0.0  # seconds of the file before the waveform's first sample (cut by `trim`)
    silences: tuple[tuple[float, float], ...] = ()  # (start, end) seconds within the waveform


@dataclass(frozen=True)
class ModelInfo:
    """Which model answered, exactly."""

    name: str  # "compact-speech", "emotion2vec_plus_large", ...
    kind: str  # the network's class: "Emotion2vec" or "CompactSpeech"
    weights: str  # SHA-256 of the weights' file
    precision: str  # "fp32"
    device: str  # "cpu", "cuda:0"
    licence: str = ""
    note: str = ""  # one sentence for the person, such as why the compact model answered


@dataclass(frozen=True, eq=False)
class SpeechResult:
    """What the speech model heard."""

    timeline: Timeline
    embedding: Floats  # (D,): the mean of the features over all frames
    features: Floats | None = None  # (T, D), kept when asked for
    note: str = ""  # a sentence for the person when it was heard otherwise than the model says
    scores: Floats = field(init=False)  # (9,), sum 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", self.timeline.scores())


@dataclass(frozen=True)
class Verdict:
    """The answer in words and numbers."""

    emotion: str
    confidence: float  # probability of the emotion
    scores: dict[str, float]  # all nine labels, sum 1.0
    runner_up: str
    margin: float  # confidence minus the probability of the runner-up
    certainty: str  # "clear", "likely", "leaning" or "close call"

    @classmethod
    def from_scores(cls, scores: NDArray[np.floating[Any]]) -> "Verdict":
        """Read the verdict off (9,) probabilities."""
        wide = scores.astype(np.float64)
        wide = wide / wide.sum()
        first, second = (int(index) for index in np.argsort(-wide, kind="stable")[:2])
        margin = float(wide[first] - wide[second])
        return cls(
            emotion=LABELS[first],
            confidence=float(wide[first]),
            scores={label: float(wide[INDEX[label]]) for label in LABELS},
            runner_up=LABELS[second],
            margin=margin,
            certainty=_certainty(float(wide[first]), margin),
        )


def _certainty(confidence: float, margin: float) -> str:
    """Return one word for how far a verdict can be relied on."""
    if margin < CLOSE_CALL:
        return "close call"
    if margin >= CLEAR:
        return "clear"
    return "likely" if confidence >= LIKELY else "leaning"


@dataclass(frozen=True, eq=False)
class Report:
    """Everything one analysis found, and how."""

    id: str
    made_at: datetime  # with its time zone
    recording: Recording
    speech: SpeechResult
    model: ModelInfo
    options: Options
    seconds: dict[str, float]  # per stage: "decode", "speech"
    warnings: tuple[str, ...] = ()  # everything that a person should know, whole sentences

    @property
    def verdict(self) -> Verdict:
        """Return the answer."""
        return Verdict.from_scores(self.speech.scores)

    @property
    def silent(self) -> bool:
        """Say whether the whole recording is silence, so that the verdict means nothing."""
        return bool(self.speech.timeline.silent.all())

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON types: the one schema of the command line, REST, history and `result.json`.

        `emotion, confidence, scores, granularity, timestamp` are at the top level. Times are seconds on the clock of
        the uploaded file. The frames themselves are there for frame granularity, rounded to four decimals.
        """
        verdict = asdict(self.verdict)
        return {
            "emotion": verdict.pop("emotion"),
            "confidence": verdict.pop("confidence"),
            "scores": verdict.pop("scores"),
            "granularity": self.options.granularity,
            "timestamp": self.made_at.isoformat(timespec="seconds"),
            "id": self.id,
            **verdict,
            "silent": self.silent,
            "duration": self.recording.quality.duration,
            "source": asdict(self.recording.source),
            "quality": {**asdict(self.recording.quality), "warnings": list(self.recording.quality.warnings)},
            "timeline": self._timeline(),
            "model": asdict(self.model),
            "options": asdict(self.options),
            "seconds": {stage: round(seconds, 4) for stage, seconds in self.seconds.items()},
            "warnings": list(self.warnings),
        }

    def _timeline(self) -> dict[str, Any]:
        timeline, smooth = self.speech.timeline, self.options.smooth
        segments = timeline.segments(smooth)
        found: dict[str, Any] = {
            "hop": HOP_SECONDS,
            "start": timeline.start,
            "frames": len(timeline),
            "segments": [asdict(segment) for segment in segments],
            "turning_points": [asdict(point) for point in turning_points(segments)],
            "shares": shares(segments),
        }
        if self.options.granularity == "frame":
            found["labels"] = list(LABELS)
            found["probabilities"] = timeline.probabilities(smooth).astype(np.float64).round(4).tolist()
            found["silent"] = timeline.silent.tolist()
        return found
