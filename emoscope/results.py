"""What goes in and what comes out: waveforms and recordings, what a model heard or read, and the verdict."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emoscope.labels import INDEX, LABELS
from emoscope.timeline import RATE, WINDOW, Flags, Floats, Timeline

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


@dataclass(frozen=True, eq=False)
class Word:
    """A word and what it did: `contributions` (9,) is how far each probability of its sentence falls without it."""

    start: int  # characters from the beginning of the text
    end: int
    contributions: Floats  # positive: the word speaks for the emotion


@dataclass(frozen=True, eq=False)
class Sentence:
    """A stretch of the text that was also read on its own."""

    start: int  # characters from the beginning of the text
    end: int
    scores: Floats  # (9,), sum 1
    words: tuple[Word, ...] = ()  # empty where words were not explained

    @property
    def emotion(self) -> str:
        """Return the most probable emotion."""
        return LABELS[int(self.scores.argmax())]


@dataclass(frozen=True, eq=False)
class TextResult:
    """What the text model read; the spans of sentences and words are characters of `text`."""

    text: str  # as it was given
    scores: Floats  # (9,), sum 1, in the order of `labels.LABELS`; what the model cannot say is 0
    own: dict[str, float]  # the model's own labels and what it gave them
    sentences: tuple[Sentence, ...]
    embedding: Floats  # (D,): the mean of the last hidden states over the text
    says: Flags  # (9,): the emotions that the model can say at all
    note: str = ""  # a sentence for the person

    @property
    def emotion(self) -> str:
        """Return the most probable emotion."""
        return LABELS[int(self.scores.argmax())]


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
