"""What `analyze` and `text` show: reports and failures, as JSON or as a table with notes under it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from emoscope.report import Report
    from emoscope.results import ModelInfo
    from emoscope.timeline import Floats
    from emoscope.transcript import Seconds


class Format(StrEnum):
    """How results are printed."""

    table = "table"
    json = "json"


@dataclass(frozen=True)
class Done:
    """A report, what it is called, and where its files lie, if it has some."""

    report: "Report"
    name: str
    folder: Path | None

    def to_dict(self) -> dict[str, object]:
        """Return what JSON shows of it."""
        return {**self.report.to_dict(), "folder": self.folder and str(self.folder)}


@dataclass(frozen=True)
class Failed:
    """A file, by the name that was given, and why there is no report."""

    file: Path
    sentence: str

    def to_dict(self) -> dict[str, object]:
        """Return what JSON shows of it."""
        return {"file": str(self.file), "error": self.sentence}


def as_json(answers: Sequence[Done | Failed]) -> str:
    """Return one object for one answer, and a list for several."""
    from emoscope import export

    objects = [export.to_json(answer.to_dict()).rstrip() for answer in answers]
    return objects[0] if len(objects) == 1 else "\n".join(["[", ",\n".join(objects), "]"])


def leading(scores: "Floats") -> str:
    """Return the most probable emotion and its share, as tables show them."""
    from emoscope.labels import EMOTIONS

    first = EMOTIONS[int(scores.argmax())]
    return f"{first.emoji} {first.name} {scores[first.id]:.0%}"


def clock(time: "Seconds | None") -> str:
    """Return from when to when something is said, as tables show it; nothing where nobody knows."""
    return "–".join(f"{second // 60:.0f}:{second % 60:04.1f}" for second in time or ())


def one_line(text: str) -> str:
    """Return a text that anybody may have written as one line that can be seen."""
    from emoscope.plots import one_line

    return one_line(text)


def show_notes(console: "Console", answers: Iterable[Done]) -> None:
    """Print under a table where the results are, what is to be known of each, and which models answered."""
    from rich.markup import escape

    done = list(answers)
    for each in done:
        if each.folder:  # one line, to be copied
            console.print(f"Results: {each.folder}", style="dim", markup=False, soft_wrap=True)
    for note in dict.fromkeys(f"{each.name}: {note}" for each in done for note in _own(each.report)):
        console.print(escape(note), style="dim")
    show_models(console, [model for each in done for model in each.report.models])


def show_models(console: "Console", models: Iterable["ModelInfo"]) -> None:
    """Print which models answered, and what they say of themselves."""
    from rich.markup import escape

    for name, note in dict.fromkeys((model.name, model.note) for model in models):
        console.print(escape(f"Model: {name}. {note}".rstrip()), style="dim")


def _own(report: "Report") -> Iterator[str]:
    """Return the warnings that belong to the report, not to a model."""
    known = {model.note for model in report.models}
    return (warning for warning in report.warnings if warning not in known)
