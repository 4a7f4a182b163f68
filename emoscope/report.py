"""The report that every door returns: what was heard, what was read, both together, and its one JSON schema."""

import textwrap
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

import numpy as np

from emoscope.fusion import Fused
from emoscope.labels import LABELS
from emoscope.results import ModelInfo, Recording, SpeechResult, TextResult, Verdict, Word
from emoscope.settings import Options
from emoscope.timeline import HOP_SECONDS, Floats, Timeline, shares, turning_points
from emoscope.transcript import Seconds, Transcript

Mode: TypeAlias = Literal["speech", "text", "multimodal"]

TITLE = 60  # characters of a text that stand for all of it


@dataclass(frozen=True, eq=False)
class Heard:
    """A recording, what was heard in it, and by which model."""

    recording: Recording
    speech: SpeechResult
    model: ModelInfo

    @property
    def silent(self) -> bool:
        """Say whether the whole recording is silence, so that its scores mean nothing."""
        return bool(self.speech.timeline.silent.all())


@dataclass(frozen=True, eq=False)
class Read:
    """A text, what was read in it, and by which model."""

    transcript: Transcript
    text: TextResult
    model: ModelInfo


@dataclass(frozen=True, eq=False)
class Passage:
    """A sentence, how it reads, and, where its time is known, how it sounds."""

    start: int  # characters from the beginning of the text
    end: int
    time: Seconds | None  # seconds on the clock of the uploaded file
    written: Floats  # (9,): the text model's scores
    spoken: Floats | None  # (9,): the speech model's, over the frames of that time; None without sound there
    fused: Floats  # (9,)
    distance: float | None  # Jensen-Shannon distance of the two, 0 to 1


@dataclass(frozen=True, eq=False)
class Together:
    """Speech and words as one answer, and where they disagree."""

    fused: Fused
    passages: tuple[Passage, ...]
    distance: float | None  # Jensen-Shannon distance of the two verdicts, 0 to 1; None when nothing was to be heard


@dataclass(frozen=True, eq=False)
class Report:
    """Everything one analysis found, and how; a recording, a text, or both."""

    id: str
    made_at: datetime  # with its time zone
    options: Options
    seconds: dict[str, float]  # per stage: "decode", "speech", "text"
    heard: Heard | None = None
    read: Read | None = None
    together: Together | None = None  # when there are both
    warnings: tuple[str, ...] = ()  # everything that a person should know, whole sentences

    def __post_init__(self) -> None:
        if self.heard is None and self.read is None:
            raise ValueError("a report is about a recording, a text, or both")
        if (self.together is not None) != (self.heard is not None and self.read is not None):
            raise ValueError("speech and words are fused when there are both, and only then")

    @property
    def mode(self) -> Mode:
        """Say what the report is about."""
        return "multimodal" if self.together else "speech" if self.heard else "text"

    @property
    def recording(self) -> Recording:
        """Return the recording of a report that has one."""
        return self._sound().recording

    @property
    def speech(self) -> SpeechResult:
        """Return what was heard, in a report that has a recording."""
        return self._sound().speech

    @property
    def model(self) -> ModelInfo:
        """Return the speech model, or the text model where there is no recording."""
        return (self.heard or self._words()).model

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        """Return every model that answered."""
        return tuple(part.model for part in (self.heard, self.read) if part)

    @property
    def scores(self) -> Floats:
        """Return the nine probabilities of the verdict, (9,)."""
        if self.together:
            return self.together.fused.scores
        return self.heard.speech.scores if self.heard else self._words().text.scores

    @property
    def verdict(self) -> Verdict:
        """Return the answer."""
        return Verdict.from_scores(self.scores)

    @property
    def silent(self) -> bool:
        """Say whether there is a recording alone and all of it is silence, so that the verdict means nothing."""
        return self.read is None and self._sound().silent

    @property
    def name(self) -> str:
        """Return what a person calls it: the file's name, or how the text begins."""
        if self.heard:
            return self.heard.recording.source.name
        return title(self._words().text.text)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON types: the one schema of the command line, REST, history and `result.json`.

        `emotion, confidence, scores, granularity, timestamp` are at the top level. Times are seconds on the clock of
        the uploaded file. The frames themselves are there for frame granularity, rounded to four decimals. What a
        report does not have, such as the timeline of a text, is null.
        """
        verdict = asdict(self.verdict)
        return {
            "emotion": verdict.pop("emotion"),
            "confidence": verdict.pop("confidence"),
            "scores": verdict.pop("scores"),
            "granularity": self.options.granularity,
            "timestamp": self.made_at.isoformat(timespec="seconds"),
            "id": self.id,
            "mode": self.mode,
            **verdict,
            "silent": self.silent,
            **_sound_dict(self.heard, self.options),
            "text": self.read and _text_dict(self.read),
            "fusion": self.together and _together_dict(self.together, self._words().text.text),
            "options": asdict(self.options),
            "seconds": {stage: round(seconds, 4) for stage, seconds in self.seconds.items()},
            "warnings": list(self.warnings),
        }

    def _sound(self) -> Heard:
        if self.heard is None:
            raise ValueError("this report is about a text, without a recording")
        return self.heard

    def _words(self) -> Read:
        if self.read is None:
            raise ValueError("this report is about a recording, without a text")
        return self.read


def title(text: str) -> str:
    """Return how a text begins, in place of a name."""
    return textwrap.shorten(text, TITLE, placeholder="…")


def _sound_dict(heard: Heard | None, options: Options) -> dict[str, Any]:
    if heard is None:
        return dict.fromkeys(("duration", "source", "quality", "speech", "timeline", "model"))
    quality = heard.recording.quality
    return {
        "duration": quality.duration,
        "source": asdict(heard.recording.source),
        "quality": {**asdict(quality), "warnings": list(quality.warnings)},
        "speech": _named(heard.speech.scores),
        "timeline": _timeline_dict(heard.speech.timeline, options),
        "model": asdict(heard.model),
    }


def _timeline_dict(timeline: Timeline, options: Options) -> dict[str, Any]:
    segments = timeline.segments(options.smooth)
    found: dict[str, Any] = {
        "hop": HOP_SECONDS,
        "start": timeline.start,
        "frames": len(timeline),
        "segments": [asdict(segment) for segment in segments],
        "turning_points": [asdict(point) for point in turning_points(segments)],
        "shares": shares(segments),
    }
    if options.granularity == "frame":
        found["labels"] = list(LABELS)
        found["probabilities"] = timeline.probabilities(options.smooth).astype(np.float64).round(4).tolist()
        found["silent"] = timeline.silent.tolist()
    return found


def _text_dict(read: Read) -> dict[str, Any]:
    text, transcript = read.text, read.transcript
    return {
        "text": text.text,
        **_named(text.scores),
        "own": text.own,
        "sentences": [
            {
                "start": each.start,
                "end": each.end,
                "time": _seconds(transcript.when(each.start, each.end)),
                **_named(each.scores),
                "words": [_word_dict(word) for word in each.words],
            }
            for each in text.sentences
        ],
        "transcript": {
            "origin": transcript.origin,
            "language": transcript.language,
            "confidence": transcript.confidence,
            "lines": [
                {"text": line.text, "time": _seconds(line.time), "emotion": line.emotion, "events": list(line.events)}
                for line in transcript.lines
            ],
        },
        "model": asdict(read.model),
    }


def _word_dict(word: Word) -> dict[str, Any]:
    """Return a word and its contributions; each is a change of a probability, so four decimals are enough."""
    rounded = word.contributions.astype(np.float64).round(4).tolist()
    return {"start": word.start, "end": word.end, "contributions": dict(zip(LABELS, rounded, strict=True))}


def _together_dict(together: Together, text: str) -> dict[str, Any]:
    return {
        **asdict(together.fused),
        "scores": scores_by_name(together.fused.scores),
        "distance": together.distance,
        "passages": [
            {
                "start": passage.start,
                "end": passage.end,
                "text": text[passage.start : passage.end],
                "time": _seconds(passage.time),
                "written": scores_by_name(passage.written),
                "spoken": None if passage.spoken is None else scores_by_name(passage.spoken),
                "fused": scores_by_name(passage.fused),
                "distance": passage.distance,
            }
            for passage in together.passages
        ],
    }


def _seconds(time: Seconds | None) -> list[float] | None:
    return None if time is None else list(time)


def _named(scores: Floats) -> dict[str, Any]:
    return {"emotion": LABELS[int(scores.argmax())], "scores": scores_by_name(scores)}


def scores_by_name(scores: Floats) -> dict[str, float]:
    """Return (9,) probabilities by the names of the emotions."""
    return dict(zip(LABELS, scores.astype(np.float64).tolist(), strict=True))
