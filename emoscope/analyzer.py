"""A recording in, a report out: the one function behind every door."""

import logging
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from emoscope import audio, models
from emoscope.errors import EmoscopeError
from emoscope.results import ModelInfo, Progress, Recording, Report, SpeechResult, quiet
from emoscope.settings import Options, Settings
from emoscope.timeline import Flags, Timeline, frame_centres

if TYPE_CHECKING:
    from collections.abc import Callable

    from emoscope.speech.listen import SpeechModel

    Load = Callable[[Path], SpeechModel]

log = logging.getLogger(__name__)

ALL_SILENT = "The recording is silent from beginning to end, so the verdict means nothing."


@dataclass(frozen=True)
class Status:
    """Whether a model can answer, and which."""

    state: Literal["loading", "ready", "failed"]
    sentence: str
    model: ModelInfo | None = None


class Analyzer:
    """Owns the models and the lock around them; safe to share between threads."""

    def __init__(self, settings: Settings, *, load: "Load | None" = None) -> None:
        """`load` opens a model folder; the default reads checkpoints, a test brings a model with known answers."""
        self.settings = settings
        self._load_model = load or self._checkpoint
        self.status = Status("loading", "The model is loading.")
        self._loaded: dict[Path, SpeechModel] = {}
        self._loading = threading.Lock()
        self._listening = threading.Lock()  # one pass at a time: two would only share the same cores

    def start(self) -> None:
        """Load the default model in the background; `status` tells how far it is."""
        threading.Thread(target=self._warm, name="model-loader", daemon=True).start()

    def analyze(self, file: Path, options: Options, *, name: str | None = None, progress: Progress = quiet) -> Report:
        """Decode a file and hear its emotion; `name` is what the person calls the file.

        `progress` is told every step, and stops the work by raising `Cancelled`. Raises EmoscopeError with a sentence
        for the person.
        """
        seconds: dict[str, float] = {}
        with _timed("decode", seconds):
            recording = self._load(file, options, name, progress)
        with _timed("model", seconds):
            model = self._model(options.model, progress)
        self._wait_for_turn(progress)
        try:
            with _timed("speech", seconds):
                keep = options.embedding and options.granularity == "frame"
                heard = model.listen(recording.wave, features=keep, progress=progress)
        finally:
            self._listening.release()
        speech = replace(heard, timeline=_on_clock(heard, recording))
        return Report(
            id=secrets.token_hex(8),
            made_at=datetime.now(UTC).astimezone(),
            recording=recording,
            speech=speech,
            model=model.info,
            options=options,
            seconds=seconds,
            warnings=_warnings(recording, speech, model.info),
        )

    def _load(self, file: Path, options: Options, name: str | None, progress: Progress) -> Recording:
        limits = audio.Limits(seconds=self.settings.max_minutes * 60, bytes=round(self.settings.max_mb * 1e6))
        return audio.load(
            file,
            name=name,
            limits=limits,
            trim=options.trim,
            denoise=options.denoise,
            normalise=options.normalise,
            progress=progress,
        )

    def _model(self, name: str, progress: Progress = quiet) -> "SpeechModel":
        """Return the model, loading it at the first call; other callers wait."""
        choice = models.resolve(self.settings.speech_model if name == "auto" else name, self.settings.models)
        with self._loading:
            if choice.folder not in self._loaded:
                progress("Loading the model", 0.0)
                model = self._load_model(choice.folder)
                self._loaded[choice.folder] = replace(model, info=replace(model.info, note=choice.note))
            return self._loaded[choice.folder]

    def _checkpoint(self, folder: Path) -> "SpeechModel":
        from emoscope.speech import checkpoint  # torch takes a second to import

        return checkpoint.load(folder, device=self.settings.device, threads=self.settings.threads)

    def _warm(self) -> None:
        try:
            model = self._model("auto")
        except EmoscopeError as error:
            log.error("the speech model did not load: %s", error)
            self.status = Status("failed", str(error))
        except Exception:  # nobody else would see it: the thread would end, and the page would say "loading" for ever
            log.exception("the speech model did not load")
            self.status = Status("failed", "The speech model did not load; the log of this process says why.")
        else:
            self.status = Status("ready", model.info.note, model.info)

    def _wait_for_turn(self, progress: Progress) -> None:
        """Take the lock, but let the person cancel while waiting."""
        while not self._listening.acquire(timeout=0.2):
            progress("Waiting for an analysis before this one", 0.0)


@contextmanager
def _timed(stage: str, seconds: dict[str, float]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start


def _on_clock(heard: SpeechResult, recording: Recording) -> Timeline:
    """Put the frames on the uploaded file's clock, and mark the silent ones."""
    return Timeline(
        heard.timeline.logits,
        silent=_silent(len(heard.timeline), recording),
        start=recording.offset,
        seconds=recording.wave.seconds,
    )


def _silent(frames: int, recording: Recording) -> Flags:
    """Mark the frames whose middle lies in a silence, (T,)."""
    middles = frame_centres(frames)
    silent = np.zeros(frames, dtype=np.bool_)
    for start, end in recording.silences:
        silent[np.searchsorted(middles, start) : np.searchsorted(middles, end)] = True
    return silent


def _warnings(recording: Recording, speech: SpeechResult, model: ModelInfo) -> tuple[str, ...]:
    notes = [*recording.quality.warnings]
    if speech.timeline.silent.all():
        notes.append(ALL_SILENT)
    if model.note:
        notes.append(model.note)
    return tuple(notes)
