"""`./run.sh analyze`: recordings, each with a folder of results of its own."""

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emoscope.cli.terminal import FAILED, Granularity, Precision, bar, complain, settings_of_process
from emoscope.errors import EmoscopeError, OptionError
from emoscope.settings import Options, Settings

if TYPE_CHECKING:
    from emoscope.results import Report


class Format(StrEnum):
    """How results are printed."""

    table = "table"
    json = "json"


@dataclass(frozen=True)
class Heard:
    """A recording with its report and where that lies."""

    report: "Report"
    folder: Path

    def to_dict(self) -> dict[str, object]:
        """Return what JSON shows of it."""
        return {**self.report.to_dict(), "folder": str(self.folder)}


@dataclass(frozen=True)
class Failed:
    """A recording, by the name that was given, and why there is no report."""

    file: Path
    sentence: str

    def to_dict(self) -> dict[str, object]:
        """Return what JSON shows of it."""
        return {"file": str(self.file), "error": self.sentence}


def analyze(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Recordings of any format.", show_default=False)],
    granularity: Annotated[
        Granularity, typer.Option(help="One verdict, or also the distribution every 20 ms.")
    ] = Granularity.utterance,
    embedding: Annotated[bool, typer.Option("--embedding", help="Also write embedding.npy.")] = Options.embedding,
    smooth: Annotated[float, typer.Option(help="Smooth the timeline over this many seconds; 0 shows raw frames.")] = (
        Options.smooth
    ),
    trim: Annotated[
        bool, typer.Option("--trim", help="Cut silence at both ends; times stay the file's.")
    ] = Options.trim,
    denoise: Annotated[bool, typer.Option("--denoise", help="Reduce steady noise.")] = Options.denoise,
    normalise: Annotated[bool, typer.Option("--normalise", help="Bring loudness to -23 LUFS.")] = Options.normalise,
    model: Annotated[str, typer.Option(help="auto, compact, large, base, seed, or a model folder.")] = Options.model,
    precision: Precision = Options.precision,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where results go, if not into outputs/.")] = None,
    format: Annotated[Format, typer.Option(help="What is printed: a table, or JSON and nothing else.")] = Format.table,
) -> None:
    """Hear the emotion of recordings, and write each one's results into a folder of its own.

    JSON is one object for one FILE and a list in the order of the FILEs for several; one that failed is an object with
    “file” and “error”. Exit status: 0, or 1 when a file failed (the others are still done), or 2 for bad usage.
    """
    with settings_of_process() as settings:
        options = Options(
            granularity=granularity.value, embedding=embedding, smooth=smooth, trim=trim, denoise=denoise,
            normalise=normalise, model=model, precision=precision,
        )  # fmt: skip
        if out is not None:
            settings = replace(settings, outputs=out)
        with redirect_stdout(sys.stderr):  # nothing that a library prints may mix with the results
            answers = _analyze_all(files, options, settings)
    PRINTERS[format](answers)
    raise typer.Exit(FAILED if any(isinstance(answer, Failed) for answer in answers) else 0)


def _analyze_all(files: list[Path], options: Options, settings: Settings) -> list[Heard | Failed]:
    """Analyse every file; report each failure on stderr and go on."""
    from emoscope import export
    from emoscope.analyzer import Analyzer

    analyzer = Analyzer(settings)
    answers: list[Heard | Failed] = []
    for file in files:
        try:
            with bar(file.name) as progress:
                report = analyzer.analyze(file, options, progress=progress)
                answers.append(Heard(report, export.write(report, settings.outputs)))
        except OptionError:  # every file would say the same
            raise
        except EmoscopeError as error:
            sentence = str(error).replace("EMOSCOPE_OUTPUTS", "--out")  # here an option is nearer than a variable
            answers.append(Failed(file, sentence))
            complain(_about(file, sentence))
    return answers


def _about(file: Path, sentence: str) -> str:
    """Begin a sentence with the file as it was given; many begin with its name already."""
    return f"{file}{sentence[len(file.name) :]}" if sentence.startswith(f"{file.name} ") else f"{file}: {sentence}"


def _print_json(answers: list[Heard | Failed]) -> None:
    from emoscope import export

    objects = [export.to_json(answer.to_dict()).rstrip() for answer in answers]
    if len(objects) == 1:
        print(objects[0])
    else:
        print("[", ",\n".join(objects), "]", sep="\n")


def _print_table(answers: list[Heard | Failed]) -> None:
    heard = [answer for answer in answers if isinstance(answer, Heard)]
    if not heard:
        return
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from emoscope.labels import emotion

    table = Table("File", "Seconds", "Emotion", "Confidence", "Runner-up", box=SIMPLE)
    for report in (each.report for each in heard):
        verdict = report.verdict
        table.add_row(
            escape(report.recording.source.name), f"{report.recording.quality.duration:.2f}",
            "silent" if report.silent else f"{emotion(verdict.emotion).emoji} {verdict.emotion}",
            f"{verdict.confidence:.0%}, {verdict.certainty}",
            f"{verdict.runner_up} {verdict.scores[verdict.runner_up]:.0%}",
        )  # fmt: skip
    console = Console()
    console.print(table)
    for each in heard:
        console.print(f"Results: {each.folder}", style="dim", markup=False, soft_wrap=True)  # one line, to be copied
    reports = [each.report for each in heard]
    for note in dict.fromkeys(f"{report.recording.source.name}: {note}" for report in reports for note in _own(report)):
        console.print(escape(note), style="dim")
    for name, note in dict.fromkeys((report.model.name, report.model.note) for report in reports):
        console.print(escape(f"Model: {name}. {note}"), style="dim")


def _own(report: "Report") -> list[str]:
    """Return the warnings that belong to the recording, not to the model."""
    return [warning for warning in report.warnings if warning != report.model.note]


PRINTERS = {Format.table: _print_table, Format.json: _print_json}
