"""What the page's events do; each one parses, calls the analyzer, and hands a report to be presented."""

import html
import logging
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from emoscope import export, models
from emoscope.errors import Cancelled, EmoscopeError, InputError
from emoscope.results import Progress, Report
from emoscope.settings import Options, Settings
from emoscope.studio import present
from emoscope.studio.shelf import Shelf

if TYPE_CHECKING:
    from emoscope.analyzer import Analyzer

log = logging.getLogger(__name__)

NOTHING_CHOSEN = "There is no recording yet: choose a file, or record yourself, then analyse."


@dataclass
class Visit:
    """One visitor's analyses, counted; Gradio copies this for every visitor, so it holds no lock and no event."""

    turn: int = 0

    def move_on(self) -> None:
        """Begin another analysis, or none: whatever ran until now is to stop."""
        self.turn += 1


class Handlers:
    """The studio's answers to what a visitor does."""

    def __init__(self, analyzer: "Analyzer", settings: Settings) -> None:
        self.analyzer = analyzer
        self.settings = settings

    def status(self) -> present.View:
        """Say which model can answer."""
        return present.status(self.analyzer.status)

    def about(self) -> present.View:
        """Say which models are on disk, and whose they are."""
        return present.about(models.inventory(self.settings.models))

    def analyze(self, chosen: Mapping[str, Any], tell: gr.Progress) -> tuple[present.View, ...] | None:
        """Return the verdict, timeline and downloads, or None when the visitor stopped it."""
        with plainly():
            try:
                report, folder = self._run(chosen, _listener(tell, chosen["visit"]))
            except Cancelled:
                return None
            shelf = Shelf()
            sound = folder / export.SOUND
            return present.verdict(report), present.timeline(report, sound, shelf), present.downloads(folder, shelf)

    def answer(self, file: str, granularity: str, embedding: bool, smooth: float) -> tuple[dict[str, Any], str]:
        """Analyze a recording; return the report as JSON and a ZIP of everything that the run wrote."""
        chosen = {"upload": file, "granularity": granularity, "embedding": embedding, "smooth": smooth}
        with plainly():
            report, folder = self._run(chosen, lambda _what, _done: None)
            whole = Shelf().link(present.find_archive(folder))
            return report.to_dict(), whole["path"]

    def _run(self, chosen: Mapping[str, Any], progress: Progress) -> tuple[Report, Path]:
        file, options = find_file(chosen), read_options(chosen)
        report = self.analyzer.analyze(file, options, name=file.name, progress=progress)
        progress("Writing the files", 1.0)
        return report, export.write(report, self.settings.outputs)


def find_file(chosen: Mapping[str, Any]) -> Path:
    """Return the recording that the visitor means: the last source they turned to."""
    file = chosen["recording" if chosen.get("source") == "microphone" else "upload"]
    if not file:
        raise InputError(NOTHING_CHOSEN)
    return Path(file)


def read_options(chosen: Mapping[str, Any]) -> Options:
    """Read the options off the form; what the form does not have keeps its default."""
    names = {field.name for field in fields(Options)}
    return Options(**{name: value for name, value in chosen.items() if name in names})


@contextmanager
def plainly() -> Iterator[None]:
    """Turn what goes wrong into one sentence for the visitor; what nobody foresaw goes to the log under a number."""
    try:
        yield
    except EmoscopeError as error:
        raise _shown(str(error)) from None
    except Exception:  # the door to the visitor: nothing may leave as a trace
        number = secrets.token_hex(3)
        log.exception("unforeseen error %s", number)
        raise _shown(f"Something went wrong inside Emoscope. The log has the details under number {number}.") from None


def _shown(sentence: str) -> gr.Error:
    # Gradio shows the message as HTML, and it may hold the name of a file.
    message = html.escape(sentence, quote=False)
    return gr.Error(message, title="That did not work", duration=12, print_exception=False)


def _listener(tell: gr.Progress, visit: Visit) -> Progress:
    """Return a progress function that shows the step, and ends the work when the visitor has moved on."""
    mine = visit.turn

    def listen(what: str, done: float) -> None:
        if visit.turn != mine:
            raise Cancelled("The analysis was stopped.")
        tell(done, desc=what)

    return listen
