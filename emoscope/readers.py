"""The models for words: text classifiers, the speech recogniser and trained fusion heads, each loaded once."""

import logging
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from emoscope import models
from emoscope.errors import EmoscopeError, OptionError
from emoscope.fusion import METHODS
from emoscope.report import Read
from emoscope.results import ModelInfo, Progress, Recording, quiet
from emoscope.settings import Options, Settings
from emoscope.transcript import Transcript

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from emoscope.heads import Head
    from emoscope.speech.listen import SpeechModel
    from emoscope.text.read import TextModel
    from emoscope.transcribe import Recogniser

    LoadText = Callable[[Path | str], TextModel]
    LoadRecogniser = Callable[[], Recogniser]
    Model = TypeVar("Model", SpeechModel, TextModel)

log = logging.getLogger(__name__)

T = TypeVar("T")
LOOK = 0.2  # seconds between two looks whether somebody who waits has cancelled


class Readers:
    """Owns the models for words; safe to share between threads. One reads or writes down at a time."""

    def __init__(
        self,
        settings: Settings,
        *,
        load_text: "LoadText | None" = None,
        load_recogniser: "LoadRecogniser | None" = None,
    ) -> None:
        """A test brings models of its own."""
        self.settings = settings
        self._load_text = load_text or self._open_text
        self._load_recogniser = load_recogniser or self._open_recogniser
        self._loaded: dict[Hashable, object] = {}
        self._loading = threading.Lock()
        self._reading = threading.Lock()

    def read(
        self, transcript: Transcript, options: Options, *, explain: bool = True, progress: Progress = quiet
    ) -> Read:
        """Read the emotion of a text, with what each word did if `explain`; raises EmoscopeError."""
        model = self.text_model(options.text_model, progress)
        with turn(self._reading, progress):
            return Read(transcript, model.read(transcript.text, explain=explain, progress=progress), model.info)

    def read_many(
        self, transcripts: "Sequence[Transcript]", options: Options, *, progress: Progress = quiet
    ) -> list[Read]:
        """Read many texts in batches, without explaining words; in the order given."""
        model = self.text_model(options.text_model, progress)
        with turn(self._reading, progress):
            found = model.read_all([transcript.text for transcript in transcripts], progress=progress)
        return [Read(said, text, model.info) for said, text in zip(transcripts, found, strict=True)]

    def write_down(self, recording: Recording, progress: Progress = quiet) -> Transcript:
        """Write down what is said in a recording, on the clock of the uploaded file; raises EmoscopeError."""
        recogniser = self._once("recogniser", self._load_recogniser, progress)
        with turn(self._reading, progress):
            said: Transcript = recogniser.write_down(recording.wave, progress=progress)
        return said.later(recording.offset)

    def text_model(self, name: str = "auto", progress: Progress = quiet) -> "TextModel":
        """Return a text model, loading it at the first call; other callers wait."""
        choice = models.resolve_text(self.settings.text_model if name == "auto" else name, self.settings.models)
        return self._once(choice.folder, lambda: noted(self._load_text(choice.folder), choice.note), progress)

    def warm(self) -> None:
        """Load the text model in the background, so that the first text does not have to wait for it."""
        threading.Thread(target=self._warm, name="text-model-loader", daemon=True).start()

    def head(self, method: str, speech: ModelInfo, text: ModelInfo) -> "Head | None":
        """Return the trained head of this name, or None for a method of `fusion`; raises OptionError, ModelError."""
        self.check_fusion(method)
        if method in METHODS:
            return None
        from emoscope import heads

        head = self._once(("head", method), lambda: heads.load(self.settings.models / f"fusion-{method}"), quiet)
        head.check(speech, text)
        return head

    def check_fusion(self, method: str) -> None:
        """Raise OptionError unless it is a method of `fusion`, or the name of a trained head."""
        if method in METHODS:
            return
        from emoscope import heads

        trained = heads.names(self.settings.models)
        if method not in trained:
            raise OptionError(f"Fusion is {', '.join([*METHODS, *trained])}, not “{method}”.")

    def _warm(self) -> None:
        try:
            self.text_model()
        except EmoscopeError as error:  # whoever reads a text is told
            log.warning("%s", error)

    def _once(self, key: "Hashable", load: "Callable[[], T]", progress: Progress) -> T:
        with self._loading:
            if key not in self._loaded:
                progress("Loading the model", 0.0)
                self._loaded[key] = load()
            return self._loaded[key]  # type: ignore[return-value]  # what `load` gave for this key

    def _open_text(self, name: Path | str) -> "TextModel":
        from emoscope.text.load import load  # torch and transformers take seconds to import

        settings = self.settings
        return load(name, device=settings.device, threads=settings.threads, offline=settings.offline)

    def _open_recogniser(self) -> "Recogniser":
        from emoscope import transcribe  # FunASR takes seconds to import

        found = models.resolve_transcriber(self.settings.models)
        return transcribe.load(found.folder, found.vad, device=self.settings.device, threads=self.settings.threads)


@contextmanager
def turn(lock: threading.Lock, progress: Progress) -> "Iterator[None]":
    """Hold a lock, but let the person cancel while waiting for it."""
    while not lock.acquire(timeout=LOOK):
        progress("Waiting for an analysis before this one", 0.0)
    try:
        yield
    finally:
        lock.release()


def noted(model: "Model", note: str) -> "Model":
    """Add why a model was taken to what it says of itself."""
    return replace(model, info=replace(model.info, note=" ".join(filter(None, (note, model.info.note)))))
