"""The command line: `./run.sh analyze clip.mp3`."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emoscope import __version__
from emoscope.errors import EmoscopeError, OptionError
from emoscope.settings import Options, Settings

if TYPE_CHECKING:
    from emoscope.batch import Tally, Tell
    from emoscope.results import Progress, Report

BAD_USAGE = 2
STOPPED = 130  # by Ctrl-C, as shells count it

app = typer.Typer(
    help="Hear emotion in recordings: one verdict, and nine emotions every 20 ms.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Granularity(StrEnum):
    """What a person wants to know; the same words as `settings.Granularity`."""

    utterance = "utterance"
    frame = "frame"


class Format(StrEnum):
    """How results are printed."""

    table = "table"
    json = "json"


class Engine(StrEnum):
    """Where a batch runs."""

    local = "local"
    ray = "ray"


class Place(StrEnum):
    """Where a batch keeps arrays."""

    columns = "columns"
    npy = "npy"


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"emoscope {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Hear emotion in recordings: one verdict, and nine emotions every 20 ms."""


@app.command()
def analyze(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Recordings of any format.", show_default=False)
    ],
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
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where results go, if not into outputs/.")] = None,
    format: Annotated[Format, typer.Option(help="What is printed: a table, or JSON and nothing else.")] = Format.table,
) -> None:
    """Hear the emotion of recordings, and write each one's results into a folder of its own.

    Exit status: 0, or 1 when a file failed (the others are still done), or 2 for bad usage.
    """
    with _settings() as settings:
        options = Options(
            granularity=granularity.value, embedding=embedding, smooth=smooth, trim=trim, denoise=denoise,
            normalise=normalise, model=model,
        )  # fmt: skip
        if out is not None:
            settings = replace(settings, outputs=out)
        with redirect_stdout(sys.stderr):  # nothing that a library prints may mix with the results
            done, failed = _analyze_all(files, options, settings)
    if format is Format.json:
        _print_json(done, several=len(files) > 1)
    else:
        _print_table(done)
    raise typer.Exit(1 if failed else 0)


@app.command()
def batch(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Recordings, folders, patterns, manifests (.csv, .tsv, .jsonl), or Kaldi's wav.scp.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Results: .parquet, .csv or .jsonl, if not outputs/batch_<time>.parquet."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with --out; what has a row is not heard again.")
    ] = False,
    embeddings: Annotated[Place | None, typer.Option(help="Keep embeddings, in a column or in .npy files.")] = None,
    timelines: Annotated[Place | None, typer.Option(help="Keep the nine probabilities every 20 ms.")] = None,
    granularity: Annotated[
        Granularity, typer.Option(help="frame: keep timelines too, and the embedding of every frame.")
    ] = Granularity.utterance,
    smooth: Annotated[float, typer.Option(help="Smooth timelines over this many seconds.")] = Options.smooth,
    trim: Annotated[bool, typer.Option("--trim", help="Cut silence at both ends.")] = Options.trim,
    denoise: Annotated[bool, typer.Option("--denoise", help="Reduce steady noise.")] = Options.denoise,
    normalise: Annotated[bool, typer.Option("--normalise", help="Bring loudness to -23 LUFS.")] = Options.normalise,
    model: Annotated[str, typer.Option(help="auto, compact, large, base, seed, or a model folder.")] = Options.model,
    engine: Annotated[Engine, typer.Option(help="In this process, or on a Ray cluster.")] = Engine.local,
    workers: Annotated[
        int, typer.Option(min=0, help="Decoding processes; models, for Ray. 0 asks the machine or cluster.")
    ] = 0,
    ray_address: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="The Ray cluster, if not RAY_ADDRESS or this machine.")
    ] = "",
) -> None:
    """Hear many recordings, and write one row for each into one file.

    A recording that fails is a row with its reason. Ctrl-C or a kill loses the batch in flight only; the same command
    with --resume goes on. Exit status: 0 when every recording has a row, 1 when the run failed, 2 for bad usage.
    """
    from emoscope import batch as many

    with _settings() as settings:
        options = Options(
            granularity=granularity.value, smooth=smooth, trim=trim, denoise=denoise, normalise=normalise, model=model
        )
        if resume and out is None:
            raise OptionError("--resume needs --out: the results to go on with.")
        job = many.Job(
            out=out or settings.outputs / f"batch_{time.strftime('%Y%m%d_%H%M%S')}.parquet", options=options,
            keep=many.Keep(embeddings.value if embeddings else "", timelines.value if timelines else ""),
            engine=engine.value, workers=workers, resume=resume, address=ray_address,
        )  # fmt: skip
        with redirect_stdout(sys.stderr), _tally_bar() as tell:
            try:
                tally = many.run(many.find(inputs), job, settings, tell=tell)
            except KeyboardInterrupt:
                _complain(f"Stopped. What is done is kept: the same command with --out {job.out} --resume goes on.")
                raise typer.Exit(STOPPED) from None
    _complain(_summary(tally))
    print(tally.out)


models_app = typer.Typer(help="Get, check and remove speech models.", no_args_is_help=True)
app.add_typer(models_app, name="models")

Name = Annotated[str, typer.Argument(metavar="NAME", help="large, base or seed (Emotion2Vec+), compact, or a folder.")]


@models_app.command("list")
def list_models() -> None:
    """Show every model: where it is, whether it is whole, its size, licence, authors and source."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    from emoscope import models

    with _settings() as settings:
        entries = models.inventory(settings.models)
    columns = ("Name", "Model", "On disk", "MB", "Compared", "Licence")
    table = Table(*columns, Column("Source", overflow="fold"), box=SIMPLE)
    for entry in entries:
        table.add_row(
            escape(entry.name), escape(entry.title), entry.state, f"{entry.bytes / 1e6:,.1f}", entry.certificate,
            escape(entry.licence), escape(entry.source),
        )  # fmt: skip
    console = Console()
    console.print(table)
    for authors in dict.fromkeys(entry.authors for entry in entries if entry.authors):
        titles = [entry.title for entry in entries if entry.authors == authors]
        console.print(f"{', '.join(titles)}: by {authors}.", style="dim", markup=False)
    console.print(f"Models lie in {settings.models}.", style="dim", markup=False, soft_wrap=True)


SlimOnly = Annotated[bool, typer.Option("--slim-only", help="Remove model.pt once the slim weights are certified.")]


@models_app.command("download")
def download_model(name: Name, slim_only: SlimOnly = False) -> None:
    """Download a model, check it, and compare it with FunASR; what was interrupted goes on where it stopped."""
    from emoscope import models
    from emoscope.speech.conversion import convert

    with _settings() as settings:
        with _bar(name) as progress:
            folder = models.fetch(name, settings, progress)
        print(folder, flush=True)
        with _bar(name) as progress:
            certificate = models.certify(name, settings.models, convert, progress, again=False, slim_only=slim_only)
    _complain(certificate.sentence)


@models_app.command("certify")
def certify_model(name: Name, slim_only: SlimOnly = False) -> None:
    """Compare a model's weights with FunASR's own network, and keep slim weights and a certificate if they agree."""
    from emoscope import models
    from emoscope.speech.conversion import convert

    with _settings() as settings, _bar(name) as progress:
        certificate = models.certify(name, settings.models, convert, progress, slim_only=slim_only)
    print(certificate.sentence)
    raise typer.Exit(0 if certificate.certified else 1)


@models_app.command("verify")
def verify_model(name: Name) -> None:
    """Compare every file of a model with the hashes that were written down when it was downloaded."""
    from emoscope import models

    with _settings() as settings, _bar(name) as progress:
        manifest = models.verify(name, settings.models, progress)
    if manifest is None:
        print(f"{name} is complete; it came without hashes, so there is nothing to compare it with.")
    else:
        print(f"{name} is whole: {len(manifest.files)} files, downloaded from {manifest.hub} {manifest.repo}.")


@models_app.command("remove")
def remove_model(name: Name) -> None:
    """Delete a downloaded model, and what an interrupted download left of it."""
    from emoscope import models

    with _settings() as settings:
        print(f"Removed {models.remove(name, settings.models)}")


@models_app.command("path")
def path_of_model(name: Name) -> None:
    """Print the folder of a model that is on disk."""
    from emoscope import models

    with _settings() as settings:
        print(models.resolve(name, settings.models).folder)


def _analyze_all(files: list[Path], options: Options, settings: Settings) -> tuple[list[tuple["Report", Path]], int]:
    """Analyse every file; report each failure on stderr and go on."""
    from emoscope import export
    from emoscope.analyzer import Analyzer

    analyzer = Analyzer(settings)
    done: list[tuple[Report, Path]] = []
    failed = 0
    for file in files:
        try:
            with _bar(file.name) as progress:
                report = analyzer.analyze(file, options, progress=progress)
                done.append((report, export.write(report, settings.outputs)))
        except EmoscopeError as error:
            failed += 1
            _complain(f"{file}: {error}")
    return done, failed


@contextmanager
def _bar(name: str) -> Iterator["Progress"]:
    """Show progress on stderr when a person is watching."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(escape(name), total=1.0)
        yield lambda what, share: bars.update(task, description=f"{escape(name)}: {what}", completed=share)


@contextmanager
def _tally_bar() -> Iterator["Tell"]:
    """Show how far a batch is: files, hours of sound heard per minute, time left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    speed = TextColumn("files, {task.fields[speed]:.2f} h of sound per minute, {task.fields[failed]} failed, left:")
    columns = (BarColumn(), MofNCompleteColumn(), speed, TimeRemainingColumn(elapsed_when_finished=True))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("", total=None, speed=0.0, failed=0)
        yield lambda tally: bars.update(
            task, total=tally.total, completed=tally.done, speed=tally.hours_per_minute, failed=tally.failed
        )


def _summary(tally: "Tally") -> str:
    """Say in one sentence what a batch did."""
    failed = f" ({tally.failed} failed: the column “error” says why)" if tally.failed else ""
    return (
        f"{tally.done} of {tally.total} recordings have a row{failed}. Heard {tally.audio / 3600:.2f} h of sound in "
        f"{tally.elapsed:.1f} s."
    )


def _print_json(done: list[tuple["Report", Path]], *, several: bool) -> None:
    from emoscope import export

    reports = [export.to_json({**report.to_dict(), "folder": str(folder)}).rstrip() for report, folder in done]
    if several:
        print("[", ",\n".join(reports), "]", sep="\n")
    elif reports:
        print(reports[0])


def _print_table(done: list[tuple["Report", Path]]) -> None:
    if not done:
        return
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from emoscope.labels import emotion

    table = Table("File", "Seconds", "Emotion", "Confidence", "Runner-up", box=SIMPLE)
    for report, _ in done:
        verdict = report.verdict
        table.add_row(
            escape(report.recording.source.name), f"{report.recording.quality.duration:.2f}",
            "silent" if report.silent else f"{emotion(verdict.emotion).emoji} {verdict.emotion}",
            f"{verdict.confidence:.0%}, {verdict.certainty}",
            f"{verdict.runner_up} {verdict.scores[verdict.runner_up]:.0%}",
        )  # fmt: skip
    console = Console()
    console.print(table)
    for _, folder in done:
        console.print(f"Results: {folder}", style="dim", markup=False, soft_wrap=True)  # one line, to be copied
    for note in dict.fromkeys(f"{report.recording.source.name}: {note}" for report, _ in done for note in _own(report)):
        console.print(escape(note), style="dim")
    for name, note in dict.fromkeys((report.model.name, report.model.note) for report, _ in done):
        console.print(escape(f"Model: {name}. {note}"), style="dim")


def _own(report: "Report") -> list[str]:
    """Return the warnings that belong to the recording, not to the model."""
    return [warning for warning in report.warnings if warning != report.model.note]


@contextmanager
def _settings() -> Iterator[Settings]:
    """Read the settings; an error becomes one line on stderr and the exit status 1, or 2 for bad usage."""
    try:
        yield Settings.from_environment(os.environ)
    except OptionError as error:
        _complain(str(error))
        raise typer.Exit(BAD_USAGE) from None
    except EmoscopeError as error:
        _complain(str(error))
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        _complain("Stopped.")
        raise typer.Exit(STOPPED) from None


def _complain(sentence: str) -> None:
    print(f"emoscope: {' '.join(sentence.split())}", file=sys.stderr)


if __name__ == "__main__":
    app(prog_name="emoscope")
