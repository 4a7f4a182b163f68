"""What the interface answers with, for its OpenAPI document: the same as `Report.to_dict`, field by field."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from emoscope.results import ModelInfo, Quality, Source
from emoscope.settings import Granularity, Options
from emoscope.timeline import Segment, TurningPoint

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = tuple[float, float]


class Document(BaseModel):
    """An object with these members and no others."""

    model_config = ConfigDict(extra="forbid")


class Emotions(Document):
    """A number for each of the nine emotions."""

    angry: float
    disgusted: float
    fearful: float
    happy: float
    neutral: float
    other: float
    sad: float
    surprised: float
    unknown: float


class Timeline(Document):
    """The emotions along the time; the last three members are there for the granularity “frame”."""

    hop: float
    start: float
    frames: int
    segments: list[Segment]
    turning_points: list[TurningPoint]
    shares: dict[str, float]
    labels: list[str] = Field(default=[], description="The columns of `probabilities`.")
    probabilities: list[list[float]] = Field(default=[], description="Nine numbers for every frame of 20 ms.")
    silent: list[bool] = []


class Word(Document):
    """A word, characters from and to, and how far each probability of its sentence falls without it."""

    start: int
    end: int
    contributions: Emotions


class Sentence(Document):
    """A sentence, characters from and to, how it reads, and when it is said."""

    start: int
    end: int
    time: Seconds | None
    emotion: str
    scores: Emotions
    words: list[Word]


class Line(Document):
    """What was said in one go."""

    text: str
    time: Seconds | None
    emotion: str
    events: list[str]


class Transcript(Document):
    """What was said, and where that is known from."""

    origin: str
    language: str
    confidence: float
    lines: list[Line]


class Text(Document):
    """What was read."""

    text: str
    emotion: str
    scores: Emotions
    own: dict[str, float] = Field(description="The text model's own labels.")
    sentences: list[Sentence]
    transcript: Transcript
    model: ModelInfo


class Speech(Document):
    """What was heard."""

    emotion: str
    scores: Emotions


class Passage(Document):
    """A sentence: how it reads, how it sounds, both together, and how far the two are apart."""

    start: int
    end: int
    text: str
    time: Seconds | None
    written: Emotions
    spoken: Emotions | None
    fused: Emotions
    distance: float | None


class Weights(Document):
    """How much each side counted."""

    speech: Share
    text: Share


class Fusion(Document):
    """Voice and words as one answer."""

    scores: Emotions
    method: str
    weights: Weights
    note: str
    distance: float | None
    passages: list[Passage]


class Report(Document):
    """Everything that one analysis found, and how; what it has none of is null."""

    emotion: str
    confidence: Share
    scores: Emotions
    granularity: Granularity
    timestamp: datetime
    id: str
    mode: Literal["speech", "text", "multimodal"]
    runner_up: str
    margin: float
    certainty: Literal["clear", "likely", "leaning", "close call"]
    silent: bool
    duration: float | None
    source: Source | None
    quality: Quality | None
    speech: Speech | None
    timeline: Timeline | None
    model: ModelInfo | None
    text: Text | None
    fusion: Fusion | None
    options: Options
    seconds: dict[str, float]
    warnings: list[str]


class Wrong(Document):
    """A field of a request, and what is wrong with it."""

    field: str
    detail: str


class Problem(Document):
    """What went wrong, as RFC 9457 has it; `detail` is a sentence that says what to do."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Wrong] = []


class RunFile(Document):
    """A file of a run."""

    name: str
    what: str
    bytes: int
    url: str


class Progress(Document):
    """What a run is doing, and how much of that is done."""

    what: str
    done: Share


class Run(Document):
    """An analysis that waits, runs, or is over."""

    id: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    progress: Progress | None = Field(description="Until it is over.")
    report: Report | None = Field(description="Once it is done.")
    problem: Problem | None = Field(description="If it failed.")
    files: list[RunFile]


class Row(Document):
    """A run of the past, without its frames."""

    id: str
    bytes: int
    made_at: datetime
    mode: Literal["speech", "text", "multimodal"]
    name: str
    sha256: str
    duration: float | None
    emotion: str
    confidence: Share
    scores: Emotions
    silent: bool
    granularity: Granularity
    speech_model: str
    text_model: str
    models: dict[str, Any]
    options: dict[str, Any]
    seconds: dict[str, float]
    latency: float
    text: str


class Rows(Document):
    """Runs of the past, and how many there are in all."""

    total: int
    runs: list[Row]


class Model(Document):
    """A model that is on disk, or could be."""

    name: str = Field(description="What an analysis calls it, as its `model` or `text_model`.")
    kind: Literal["speech", "text", "transcript", "vad"]
    title: str
    state: Literal["ready", "damaged", "partial", "absent"]
    bytes: int
    licence: str
    authors: str
    source: str
    certificate: Literal["", "certified", "refused"]


class Models(Document):
    """All models, and the speech model that answers now."""

    answers: ModelInfo | None
    models: list[Model]
