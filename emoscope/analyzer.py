"""A recording in, a report out: the one function behind every door."""

import logging
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from emoscope import audio, models
from emoscope.errors import Cancelled, EmoscopeError
from emoscope.results import ModelInfo, Progress, Recording, Report, SpeechResult, quiet
from emoscope.settings import Options, Settings
from emoscope.timeline import Flags, Timeline, frame_centres

if TYPE_CHECKING:
    from collections.abc import Callable

    from emoscope.speech.listen import SpeechModel

    Load = Callable[[Path], SpeechModel]
    Fetch = Callable[[Progress], None]

log = logging.getLogger(__name__)

LARGE = models.PUBLISHED["large"]
PATIENCE = 5.0  # seconds that a download gets to end when the process stops
FETCHING = (
    f"{LARGE.title} ({LARGE.size}) is being downloaded in the background, and answers when it is there. "
    "EMOSCOPE_OFFLINE=1 or EMOSCOPE_SPEECH_MODEL=compact switches that off."
)
FETCHED = f"{LARGE.title} is here: it answers from the next analysis on."
ALL_SILENT = "The recording is silent from beginning to end, so the verdict means nothing."


@dataclass(frozen=True)
class Status:
    """Whether a model can answer, and which."""

    state: Literal["loading", "ready", "failed"]
    sentence: str
    model: ModelInfo | None = None
    news: str = ""  # one sentence about a better model that is on its way
    doing: str = ""  # what its download is at
    done: float | None = None  # share of that, while there is a download


class Analyzer:
    """Owns the models and the lock around them; safe to share between threads."""

    def __init__(self, settings: Settings, *, load: "Load | None" = None, fetch: "Fetch | None" = None) -> None:
        """`load` opens a model folder, `fetch` gets the large model; a test brings its own of both."""
        self.settings = settings
        self._load_model = load or self._checkpoint
        self._fetch = fetch or self._download
        self.status = Status("loading", "The model is loading.")
        self._loaded: dict[Path, SpeechModel] = {}
        self._loading = threading.Lock()
        self._listening = threading.Lock()  # one pass at a time: two would only share the same cores

        self._meanwhile: models.Choice | None = None  # what "auto" means while the large model is on its way
        self._stopping = threading.Event()
        self._background: threading.Thread | None = None

    def start(self) -> None:
        """Load the default model in the background, then get the large one where it is wanted and missing.

        `status` tells how far it is. Nothing is downloaded unless the setting `speech_model` is "auto".
        """
        self._background = threading.Thread(target=self._warm, name="model-loader", daemon=True)
        self._background.start()

    def stop(self) -> None:
        """End a download in the background; what has arrived is kept."""
        self._stopping.set()
        if self._background is not None:
            self._background.join(PATIENCE)

    def analyze(self, file: Path, options: Options, *, name: str | None = None, progress: Progress = quiet) -> Report:
        """Decode a file and hear its emotion; `name` is what the person calls the file.

        `progress` is told every step, and stops the work by raising `Cancelled`. Raises EmoscopeError with a sentence
        for the person.
        """
        seconds: dict[str, float] = {}
        with _timed("decode", seconds):
            recording = decode(file, self.settings, options, name=name, progress=progress)
        with _timed("model", seconds):
            model = self._model(options.model, progress)
        self._wait_for_turn(progress)
        try:
            with _timed("speech", seconds):
                keep = options.embedding and options.granularity == "frame"
                heard = model.listen(recording.wave, features=keep, progress=progress)
        finally:
            self._listening.release()
        return _report(recording, heard, model.info, options, seconds)

    def analyze_many(self, recordings: Sequence[Recording], options: Options) -> list[Report]:
        """Hear recordings that are decoded already, clips of similar length together.

        Each report is what `analyze` gives for that recording alone; its seconds are its share by length. Raises
        EmoscopeError when one of them cannot be heard.
        """
        seconds: dict[str, float] = {}
        model = self._model(options.model)
        waves = [recording.wave for recording in recordings]
        with self._listening, _timed("speech", seconds):
            if options.embedding and options.granularity == "frame":  # `listen_many` keeps no features of frames
                heard = [model.listen(wave, features=True, progress=quiet) for wave in waves]
            else:
                heard = model.listen_many(waves)
        pace = seconds["speech"] / max(sum(wave.seconds for wave in waves), 1e-9)
        return [
            _report(recording, speech, model.info, options, {"speech": pace * recording.wave.seconds})
            for recording, speech in zip(recordings, heard, strict=True)
        ]

    def load(self, name: str = "auto") -> ModelInfo:
        """Load a model, if it is not loaded, and return which one it is."""
        return self._model(name).info

    def _model(self, name: str, progress: Progress = quiet) -> "SpeechModel":
        """Return the model, loading it at the first call; other callers wait."""
        choice = self._choose(self.settings.speech_model if name == "auto" else name)
        with self._loading:
            if choice.folder not in self._loaded:
                progress("Loading the model", 0.0)
                model = self._load_model(choice.folder)
                self._loaded[choice.folder] = replace(model, info=_noted(model.info, choice.note))
            return self._loaded[choice.folder]

    def _choose(self, name: str) -> models.Choice:
        if name == "auto" and self._meanwhile is not None:
            return self._meanwhile
        return models.resolve(name, self.settings.models)

    def _checkpoint(self, folder: Path) -> "SpeechModel":
        from emoscope.speech import checkpoint  # torch takes a second to import

        return checkpoint.load(folder, device=self.settings.device, threads=self.settings.threads)

    def _warm(self) -> None:
        self._load_default()
        if self.status.state == "ready" and self._wants_large():
            self._get_large()

    def _load_default(self) -> None:
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

    def _wants_large(self) -> bool:
        """Say whether the large model is to be had and is not on disk."""
        wanted = self.settings.speech_model == "auto" and not self.settings.offline
        return wanted and not models.is_model(self.settings.models / LARGE.folder)

    def _get_large(self) -> None:
        """Get the large model once, and let it answer when it is there; the one that is loaded answers meanwhile."""
        self._meanwhile = self._choose("auto")
        log.warning(FETCHING)  # a person who sees no page sees the log
        try:
            self._follow("Preparing the download", 0.0)
            self._fetch(self._follow)
            model = self._model(LARGE.name)  # loaded before anybody has to wait for it
        except Cancelled:
            self._tell("")
        except EmoscopeError as error:
            log.warning("%s", error)
            self._tell(str(error))
        except Exception:  # as in `_load_default`
            log.exception("the large model did not come")
            self._tell(f"{LARGE.title} could not be got; the log of this process says why.")
        else:
            self._meanwhile = None
            self.status = Status("ready", model.info.note, model.info, news=FETCHED)

    def _follow(self, what: str, done: float) -> None:
        """Pass the download's progress on to `status`, and end it when the process stops."""
        if self._stopping.is_set():
            raise Cancelled("The download was stopped.")
        self.status = replace(self.status, news=FETCHING, doing=what, done=done)

    def _tell(self, news: str) -> None:
        """Say how the download ended without a new model; one that a person gets by hand is taken all the same."""
        if not models.is_model(self.settings.models / LARGE.folder):
            self._meanwhile = None
        self.status = replace(self.status, news=news, doing="", done=None)

    def _download(self, progress: Progress) -> None:
        from emoscope.speech.conversion import convert

        models.fetch(LARGE.name, self.settings, progress)
        models.certify(LARGE.name, self.settings.models, convert, progress, again=False)

    def _wait_for_turn(self, progress: Progress) -> None:
        """Take the lock, but let the person cancel while waiting."""
        while not self._listening.acquire(timeout=0.2):
            progress("Waiting for an analysis before this one", 0.0)


def _noted(info: ModelInfo, note: str) -> ModelInfo:
    """Add why a model was taken to what it says of itself."""
    return replace(info, note=" ".join(filter(None, (note, info.note))))


def decode(
    file: Path, settings: Settings, options: Options, *, name: str | None = None, progress: Progress = quiet
) -> Recording:
    """Read a file within the settings' limits, and treat it as the options say; no model is needed."""
    limits = audio.Limits(seconds=settings.max_minutes * 60, bytes=round(settings.max_mb * 1e6))
    return audio.load(
        file,
        name=name,
        limits=limits,
        trim=options.trim,
        denoise=options.denoise,
        normalise=options.normalise,
        progress=progress,
    )


def _report(
    recording: Recording, heard: SpeechResult, model: ModelInfo, options: Options, seconds: dict[str, float]
) -> Report:
    speech = replace(heard, timeline=_on_clock(heard, recording))
    return Report(
        id=secrets.token_hex(8),
        made_at=datetime.now(UTC).astimezone(),
        recording=recording,
        speech=speech,
        model=model,
        options=options,
        seconds=seconds,
        warnings=_warnings(recording, speech, model),
    )


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
