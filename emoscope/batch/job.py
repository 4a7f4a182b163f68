"""What a batch is asked to do, how far it is, and the listening itself in this process."""

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from emoscope import models
from emoscope.analyzer import Analyzer
from emoscope.batch.decoder import Decoder, Place
from emoscope.batch.listen import TOGETHER, Listener
from emoscope.batch.rows import Keep, table
from emoscope.settings import Options, Settings

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Job:
    """What a person chose for one batch."""

    out: Path  # its ending says the format: .parquet, .csv or .jsonl
    options: Options = Options()  # noqa: RUF009 — it is frozen
    keep: Keep = Keep()  # noqa: RUF009
    engine: Literal["local", "ray"] = "local"
    workers: int = 0  # local: decoding processes; ray: models. 0 asks the machine, or the cluster
    resume: bool = False
    address: str = ""  # of a Ray cluster; empty asks RAY_ADDRESS, and starts Ray on this machine if that is empty too
    together: int = TOGETHER  # recordings in a batch at most

    def settled(self, settings: Settings) -> "Job":
        """Return the job with its model's folder, so that `auto` means one model from the first row to the last.

        A precision that is still `auto` then is each machine's own; the rows tell it.
        """
        name = settings.speech_model if self.options.model == "auto" else self.options.model
        precision = settings.precision if self.options.precision == "auto" else self.options.precision
        folder = str(models.resolve(name, settings.models).folder)
        options = replace(self.options, model=folder, precision=precision, embedding=bool(self.keep.embeddings))
        if options.granularity == "frame" and not self.keep.timelines:
            return replace(self, options=options, keep=replace(self.keep, timelines="columns"))
        return replace(self, options=options)


@dataclass(frozen=True)
class Tally:
    """How far a batch is."""

    out: Path
    total: int  # recordings named
    done: int  # rows written, those of an earlier run too
    failed: int = 0  # of these rows, those of an earlier run too
    audio: float = 0.0  # seconds heard in this run
    elapsed: float = 0.0  # seconds that this run took

    @property
    def hours_per_minute(self) -> float:
        """Return how many hours of sound a minute of work hears."""
        return self.audio / 60 / self.elapsed if self.elapsed else 0.0


Tell: TypeAlias = Callable[[Tally], None]


def decoders(cores: int) -> int:
    """Return how many processes decode beside a model: half of the cores, for the model takes what they leave."""
    return max(1, cores // 2)


def local(
    todo: Sequence[Place], job: Job, settings: Settings, *, analyzer: Analyzer | None = None
) -> "Generator[pa.Table, None, None]":
    """Hear recordings in this process, and yield their rows batch by batch."""
    ears = analyzer or Analyzer(settings)
    with Decoder(settings, job.options, job.workers or decoders(os.cpu_count() or 2)) as decoder:
        ears.load(job.options.model, job.options.precision)
        yield from hear(todo, job, ears, decoder)


def hear(todo: Sequence[Place], job: Job, analyzer: Analyzer, decoder: Decoder) -> "Iterator[pa.Table]":
    """Hear recordings with a model and processes that are ready: what every engine does."""
    listener = Listener(analyzer, job.options, job.keep, job.together)
    for rows in listener.rows(todo, decoder):
        yield table(rows, job.keep, frames=job.options.granularity == "frame")
