"""A recording in, a report out: the one function behind every door."""

import logging
import secrets
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from emoscope import audio, models, multimodal
from emoscope.errors import Cancelled, EmoscopeError, InputError, ModelError, OptionError
from emoscope.readers import Readers, noted, turn
from emoscope.report import Heard, Read, Report
from emoscope.results import ModelInfo, Progress, Recording, SpeechResult, Waveform, quiet
from emoscope.settings import Options, Settings
from emoscope.timeline import Flags, Timeline, frame_centres
from emoscope.transcript import Transcript

if TYPE_CHECKING:
    from collections.abc import Callable

    from emoscope.speech.listen import SpeechModel

    Load = Callable[[Path], SpeechModel]
    Fetch = Callable[[Progress], None]
    Certify = Callable[[str, Progress], bool]

log = logging.getLogger(__name__)

LARGE = models.PUBLISHED["large"]
SMALL = "CompactSpeech"  # the kind of network that needs one core only for a few seconds of sound
PATIENCE = 5.0  # seconds that a download gets to end when the process stops
FETCHING = (
    f"{LARGE.title} ({LARGE.size}) is being downloaded in the background, and answers when it is there. "
    "EMOSCOPE_OFFLINE=1 or EMOSCOPE_SPEECH_MODEL=compact switches that off."
)
FETCHED = f"{LARGE.title} is here: it answers from the next analysis on."
CERTIFYING = (
    "{title} is being compared with FunASR's own network in the background, because nobody has done that on this "
    "machine. It answers meanwhile."
)
CERTIFIED = "{title} was compared with FunASR's own network: its slim weights answer from the next analysis on."
REFUSED = "{title} was compared with FunASR's own network and differs: FunASR's answers from the next analysis on."
ALL_SILENT = "The recording is silent from beginning to end, so the verdict means nothing."
UNHEARD = "The verdict is that of the words alone, because the recording could not be heard: {reason}"
UNREAD = "The verdict is that of the voice alone, because there were no words to read: {reason}"
NO_WORDS = "nobody was found to be speaking in the recording."
FAILED_SIDE = (InputError, ModelError)  # what one side may fail with while the other still answers


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

    def __init__(
        self,
        settings: Settings,
        *,
        load: "Load | None" = None,
        fetch: "Fetch | None" = None,
        certify: "Certify | None" = None,
        readers: Readers | None = None,
    ) -> None:
        """`load` opens a model folder, `fetch` gets the large model, `certify` compares one, `readers` read words.

        A test brings its own.
        """
        self.settings = settings
        self.readers = readers or Readers(settings)
        self._given = load
        self._fetch = fetch or self._download
        self._certify = certify or self._compare
        self.status = Status("loading", "The model is loading.")
        self._loaded: dict[tuple[Path, str], SpeechModel] = {}  # by folder and wanted precision
        self._loading = threading.Lock()
        self._listening = threading.Lock()  # one pass at a time: two would only share the same cores

        self._meanwhile: models.Choice | None = None  # what "auto" means while the large model is on its way
        self._stopping = threading.Event()
        self._end = 0.0  # until when the background has time to stop
        self._background: threading.Thread | None = None

    def start(self) -> None:
        """Load the default model in the background, then get the large one where it is wanted and missing.

        A published model that was put there by hand, or whose comparison with FunASR was cut short, is compared.
        `status` tells how far it is. Nothing is downloaded unless the setting `speech_model` is "auto".
        """
        self._background = threading.Thread(target=self._warm, name="model-loader", daemon=True)
        self._background.start()

    def stop(self) -> None:
        """End a download in the background; what has arrived is kept. Whoever asks again waits no longer."""
        if not self._stopping.is_set():
            self._end = time.monotonic() + PATIENCE
        self._stopping.set()
        if self._background is not None:
            self._background.join(max(self._end - time.monotonic(), 0))

    def analyze(
        self,
        file: Path,
        options: Options,
        *,
        transcript: Transcript | None = None,
        name: str | None = None,
        progress: Progress = quiet,
    ) -> Report:
        """Decode a file and hear its emotion; with a transcript, or with `options.transcribe`, read its words too.

        `name` is what the person calls the file. Where only one of voice and words can be had, the report is about that
        one and says why. `progress` is told every step, and stops the work by raising `Cancelled`. Raises EmoscopeError
        with a sentence for the person.
        """
        options, seconds = self._settled(options), dict[str, float]()
        try:
            heard = self._hear(file, options, name, seconds, progress)
        except FAILED_SIDE as error:
            if transcript is None or isinstance(error, OptionError):
                raise
            read = self._read(transcript, options, seconds, progress)
            return self._report(None, read, options, seconds, UNHEARD.format(reason=error))
        try:
            read_too = self._read_along(heard.recording, transcript, options, seconds, progress)
        except FAILED_SIDE as error:
            if isinstance(error, OptionError):
                raise
            return self._report(heard, None, options, seconds, UNREAD.format(reason=error))
        return self._report(heard, read_too, options, seconds)

    def read(self, text: Transcript | str, options: Options, *, progress: Progress = quiet) -> Report:
        """Read the emotion of a text, of its sentences and of its words; else as `analyze`."""
        options, seconds = self._settled(options), dict[str, float]()
        transcript = Transcript.typed(text) if isinstance(text, str) else text
        return self._report(None, self._read(transcript, options, seconds, progress), options, seconds)

    def read_many(self, texts: Sequence[str], options: Options, *, progress: Progress = quiet) -> list[Report]:
        """Read many texts in batches, without weighing single words; a report's seconds are its share by length."""
        options, seconds = self._settled(options), dict[str, float]()
        self.readers.text_model(options.text_model, progress)
        with _timed("text", seconds):
            found = self.readers.read_many([Transcript.typed(text) for text in texts], options, progress=progress)
        pace = seconds["text"] / max(sum(map(len, texts)), 1)
        return [self._report(None, read, options, {"text": pace * len(read.text.text)}) for read in found]

    def analyze_many(
        self, recordings: Sequence[Recording], options: Options, *, progress: Progress = quiet
    ) -> list[Report]:
        """Hear recordings that are decoded already, clips of similar length together.

        Each report is what `analyze` gives for that recording alone; its seconds are its share by length. `progress` is
        as in `analyze`, but several clips together are one step. Raises EmoscopeError when one of them cannot be heard.
        """
        options, seconds = self._settled(options), dict[str, float]()
        model = self._model(options.model, progress, precision=options.precision)
        waves = [recording.wave for recording in recordings]
        with turn(self._listening, progress), _timed("speech", seconds):
            if _keeps_features(options) or len(waves) == 1:  # `listen_many` keeps none of frames, and tells no progress
                heard = [model.listen(wave, features=_keeps_features(options), progress=progress) for wave in waves]
            else:
                heard = model.listen_many(waves)
        pace = seconds["speech"] / max(sum(wave.seconds for wave in waves), 1e-9)
        return [
            self._report(
                _heard(recording, speech, model.info), None, options, {"speech": pace * recording.wave.seconds}
            )
            for recording, speech in zip(recordings, heard, strict=True)
        ]

    def listen(self, wave: Waveform) -> SpeechResult:
        """Hear a few seconds at once: someone who is speaking takes no turn behind an hour's file."""
        from emoscope.speech.threads import stay_on_one_core  # torch takes a second to import

        model = self._model("auto")
        stay_on_one_core(model.info.kind == SMALL)
        return model.listen(wave, progress=quiet)

    def load(self, name: str = "auto", precision: str = "auto") -> ModelInfo:
        """Load a model, if it is not loaded, and return which one it is."""
        return self._model(name, precision=precision).info

    def _settled(self, options: Options) -> Options:
        """Return the options with what they leave to the settings, so that a report says what was done.

        Raises OptionError for an unknown fusion, before anything is heard.
        """
        weight = self.settings.text_weight if options.text_weight is None else options.text_weight
        fusion = self.settings.fusion if options.fusion == "auto" else options.fusion
        self.readers.check_fusion(fusion)
        return replace(options, fusion=fusion, text_weight=weight)

    def _hear(
        self, file: Path, options: Options, name: str | None, seconds: dict[str, float], progress: Progress
    ) -> Heard:
        with _timed("decode", seconds):
            recording = decode(file, self.settings, options, name=name, progress=progress)
        with _timed("model", seconds):
            model = self._model(options.model, progress, precision=options.precision)
        with turn(self._listening, progress), _timed("speech", seconds):
            speech = model.listen(recording.wave, features=_keeps_features(options), progress=progress)
        return _heard(recording, speech, model.info)

    def _read_along(
        self,
        recording: Recording,
        transcript: Transcript | None,
        options: Options,
        seconds: dict[str, float],
        progress: Progress,
    ) -> Read | None:
        """Read the words of a recording, those that are given or those that can be heard in it."""
        if transcript is None:
            if not options.transcribe:
                return None
            with _timed("transcribe", seconds):
                transcript = self.readers.write_down(recording, progress)
            if not transcript.text.strip():
                raise InputError(NO_WORDS)
        return self._read(transcript, options, seconds, progress)

    def _read(self, transcript: Transcript, options: Options, seconds: dict[str, float], progress: Progress) -> Read:
        with _timed("text model", seconds):
            self.readers.text_model(options.text_model, progress)
        with _timed("text", seconds):
            return self.readers.read(transcript, options, progress=progress)

    def _report(
        self, heard: Heard | None, read: Read | None, options: Options, seconds: dict[str, float], *notes: str
    ) -> Report:
        together = None
        if heard and read:
            head = self.readers.head(options.fusion, heard.model, read.model)
            together = multimodal.together(heard, read, options, head)
        found = Report(secrets.token_hex(8), datetime.now(UTC).astimezone(), options, seconds, heard, read, together)
        return replace(found, warnings=tuple(dict.fromkeys((*notes, *_warnings(found)))))

    def _model(self, name: str, progress: Progress = quiet, *, precision: str = "auto") -> "SpeechModel":
        """Return the model, loading it at the first call; other callers wait."""
        choice = self._choose(self.settings.speech_model if name == "auto" else name)
        key = choice.folder, self.settings.precision if precision == "auto" else precision
        with self._loading:
            if key not in self._loaded:
                progress("Loading the model", 0.0)
                self._loaded[key] = self._open(choice, key[1])
            return self._loaded[key]

    def _open(self, choice: models.Choice, precision: str) -> "SpeechModel":
        model = self._given(choice.folder) if self._given else self._checkpoint(choice.folder, precision)
        return noted(model, choice.note)

    def _choose(self, name: str) -> models.Choice:
        if name == "auto" and self._meanwhile is not None:
            return self._meanwhile
        return models.resolve(name, self.settings.models)

    def _checkpoint(self, folder: Path, precision: str) -> "SpeechModel":
        from emoscope.speech import checkpoint  # torch takes a second to import

        return checkpoint.load(folder, device=self.settings.device, threads=self.settings.threads, precision=precision)

    def _warm(self) -> None:
        self._load_default()
        if self.status.state != "ready":
            return
        name = LARGE.name if self.settings.speech_model == "auto" else self.settings.speech_model
        if self._wants_large():
            self._get_large()
        elif models.uncertified(name, self.settings.models):
            self._get_certificate(name)

    def _default(self) -> "SpeechModel":
        """Load the default model; where “auto” means one that cannot be opened, the compact one answers and says so."""
        try:
            return self._model("auto")
        except ModelError as error:
            compact = models.resolve("compact", self.settings.models)
            if self.settings.speech_model != "auto" or self._choose("auto").folder == compact.folder:
                raise
            log.error("the compact model answers: %s", error)
            self._meanwhile = replace(compact, note=f"{compact.note} {error}")
            return self._model("auto")

    def _load_default(self) -> None:
        try:
            model = self._default()
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
        with self._better(LARGE, FETCHING) as progress:
            progress("Preparing the download", 0.0)
            self._fetch(progress)
            model = self._model(LARGE.name)  # loaded before anybody has to wait for it
            self._meanwhile = None
            self.status = Status("ready", model.info.note, model.info, news=FETCHED)
        if not models.is_model(self.settings.models / LARGE.folder):
            self._meanwhile = None  # one that a person gets by hand is taken all the same

    def _get_certificate(self, name: str) -> None:
        """Compare a model that answers already with FunASR's network, once, and let the outcome of that answer."""
        published = models.PUBLISHED[name]
        with self._better(published, CERTIFYING.format(title=published.title)) as progress:
            progress("Preparing the comparison with FunASR", 0.0)
            certified = self._certify(name, progress)
            model = self._reloaded(name)
            news = (CERTIFIED if certified else REFUSED).format(title=published.title)
            self.status = Status("ready", model.info.note, model.info, news=news)

    @contextmanager
    def _better(self, published: models.Published, news: str) -> Iterator[Progress]:
        """Work towards a better model; `status` follows, and says how it ended when there is none in the end."""
        log.warning(news)  # a person who sees no page sees the log
        end = ""
        try:
            yield partial(self._follow, news)
            return
        except Cancelled:
            pass
        except EmoscopeError as error:
            log.warning("%s", error)
            end = str(error)
        except Exception:  # as in `_load_default`
            log.exception("the work for %s failed", published.title)
            end = f"{published.title} could not be got or compared; the log of this process says why."
        self.status = replace(self.status, news=end, doing="", done=None)

    def _follow(self, news: str, what: str, done: float) -> None:
        """Pass the progress of the background on to `status`, and end it when the process stops."""
        if self._stopping.is_set():
            raise Cancelled("The work in the background was stopped.")
        self.status = replace(self.status, news=news, doing=what, done=done)

    def _reloaded(self, name: str) -> "SpeechModel":
        """Load a model once more, because its folder has changed; the one of before answers until then."""
        choice, precision = self._choose(name), self.settings.precision
        model = self._open(choice, precision)
        with self._loading:
            for key in [key for key in self._loaded if key[0] == choice.folder]:
                del self._loaded[key]
            self._loaded[choice.folder, precision] = model
        return model

    def _download(self, progress: Progress) -> None:
        models.fetch(LARGE.name, self.settings, progress)
        self._compare(LARGE.name, progress)

    def _compare(self, name: str, progress: Progress) -> bool:
        from emoscope.speech.conversion import convert

        return models.certify(name, self.settings.models, convert, progress, again=False).certified


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


def _keeps_features(options: Options) -> bool:
    return options.embedding and options.granularity == "frame"


def _heard(recording: Recording, speech: SpeechResult, model: ModelInfo) -> Heard:
    return Heard(recording, replace(speech, timeline=_on_clock(speech, recording)), model)


@contextmanager
def _timed(stage: str, seconds: dict[str, float]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start


def _on_clock(heard: SpeechResult, recording: Recording) -> Timeline:
    """Put the frames on the uploaded file's clock, and mark the silent ones."""
    return Timeline(
        heard.timeline.logits,
        silent=silent_frames(len(heard.timeline), recording.silences),
        start=recording.offset,
        seconds=recording.wave.seconds,
    )


def silent_frames(frames: int, silences: Iterable[tuple[float, float]]) -> Flags:
    """Mark the frames whose middle lies in a silence, (T,); silences are (start, end) seconds."""
    middles = frame_centres(frames)
    silent = np.zeros(frames, dtype=np.bool_)
    for start, end in silences:
        silent[np.searchsorted(middles, start) : np.searchsorted(middles, end)] = True
    return silent


def _warnings(report: Report) -> "Iterator[str]":
    """Yield everything that a person should know, sentence by sentence."""
    notes: list[str] = []
    if report.heard:
        notes += report.recording.quality.warnings
        if report.silent:
            notes.append(ALL_SILENT)
        notes += [report.heard.model.note, report.speech.note]
    if report.read:
        notes += [report.read.transcript.note, report.read.model.note]
        if report.read.text.note not in report.read.model.note:  # a model that is explained by both
            notes.append(report.read.text.note)
    if report.together:
        notes.append(report.together.fused.note)
    return filter(None, notes)
