"""`./run.sh history` and `./run.sh verify`: analyses of the past, and whether they come out the same today."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, redirect_stdout
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emoscope.cli.answers import Format, one_line
from emoscope.cli.terminal import FAILED, bar, complain, settings_of_process
from emoscope.errors import OptionError, StorageError

if TYPE_CHECKING:
    from emoscope.history import Filter, History, Run

app = typer.Typer(help="Look through past analyses, export and delete them.", no_args_is_help=True)

Search = Annotated[str, typer.Option(help="Words in the recording's name or in the text.")]
Emotions = Annotated[list[str] | None, typer.Option("--emotion", help="Of the verdict; may be given several times.")]
Since = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The first day, such as 2026-03-01.")]
Until = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The last day.")]
Source = Annotated[str, typer.Option(help="The recording's name, or how its SHA-256 begins.")]
Model = Annotated[str, typer.Option(help="The name of the model that answered.")]
ModeOf = Annotated[str, typer.Option("--mode", metavar="[speech|text|multimodal]", help="What was analysed.")]


@app.command("list")
def list_runs(
    search: Search = "",
    emotion: Emotions = None,
    since: Since = None,
    until: Until = None,
    source: Source = "",
    model: Model = "",
    mode: ModeOf = "",
    order: Annotated[str, typer.Option(metavar="[newest|oldest|surest|longest]", help="What comes first.")] = "newest",
    limit: Annotated[int, typer.Option(min=1, help="How many are shown.")] = 20,
    format: Annotated[Format, typer.Option(help="What is printed: a table, or JSON and nothing else.")] = Format.table,
) -> None:
    """Show past analyses, the newest first."""
    with _opened() as history:
        chosen = _filter(search, emotion, since, until, source, model, mode)
        found = history.search(chosen, order=order, limit=limit)
        total = history.count(chosen)
    if format == Format.json:
        _print_json([run.to_dict() for run in found])
    else:
        _print_table(found, total)


@app.command("show")
def show_run(
    id: Annotated[str, typer.Argument(metavar="ID", help="As `history list` shows it.")],
    similar: Annotated[int, typer.Option(min=0, help="Also show this many runs that sound or read most alike.")] = 0,
) -> None:
    """Print all that the history knows of one analysis, as JSON; its timeline lies in its folder."""
    with _opened() as history:
        found = history.get(id).to_dict()
        if similar:
            near = history.similar(id, similar)
            found["similar"] = [{"cosine": each.cosine, **each.run.to_dict()} for each in near]
    _print_json(found)


@app.command("export")
def export_runs(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="A new .csv; standard output without it.")] = None,
    search: Search = "",
    emotion: Emotions = None,
    since: Since = None,
    until: Until = None,
    source: Source = "",
    model: Model = "",
    mode: ModeOf = "",
) -> None:
    """Write past analyses as a table for spreadsheets."""
    from emoscope.history import write_csv

    with _opened() as history:
        found = history.all(_filter(search, emotion, since, until, source, model, mode))
        if file is None:
            write_csv(found, sys.stdout)
            return
        try:
            with file.open("x", encoding="utf-8", newline="") as out:
                count = write_csv(found, out)
        except FileExistsError:
            raise OptionError(f"{file} exists. Choose another name.") from None
        except OSError as error:
            raise StorageError(f"{file} cannot be written: {error.strerror}. Choose another name.") from None
    complain(f"{count} runs are in {file}.")


@app.command("delete")
def delete_runs(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="As `history list` shows it.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete analyses with all of their files."""
    if every == bool(ids):
        raise typer.BadParameter("Give one ID or more, or --all.")
    with _opened() as history:
        chosen = [run.id for run in history.all()] if every else [history.get(id).id for id in ids or ()]
        question = f"Delete {len(chosen)} runs with all of their files?"
        if chosen and not yes and not typer.confirm(question, err=True):
            raise typer.Exit(FAILED)
        print(f"Deleted {history.delete(chosen)} runs.")


def verify(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="The result.json of an analysis, or its folder.")],
    recording: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The recording it was made from, to compare every digit.")
    ] = None,
) -> None:
    """Analyse again, and say whether the result is the same or what is different.

    Without the recording itself the sound in the result's folder is heard. It has 16 bits, so that probabilities may
    differ by 0.01. Exit status: 0, or 1 when something is different, or 2 for bad usage.
    """
    from emoscope.analyzer import Analyzer
    from emoscope.verify import verify

    with settings_of_process() as settings, redirect_stdout(sys.stderr), bar(result.name) as progress:
        found = verify(result, Analyzer(settings), recording=recording, progress=progress)
    for drift in found.drifts:
        print(one_line(str(drift)))
    if not found.drifts:
        print("Identical." if found.exact else "The same, as far as 16 bits of sound can tell.")
    raise typer.Exit(FAILED if found.drifts else 0)


@contextmanager
def _opened() -> Iterator["History"]:
    """Open the history of the settings, held to what the folders say; an error becomes one line."""
    with settings_of_process() as settings:
        from emoscope.history import Keeper

        with closing(Keeper(settings)) as keeper:
            yield keeper.opened()


def _filter(
    search: str, emotions: list[str] | None, since: datetime | None, until: datetime | None, source: str, model: str,
    mode: str,
) -> "Filter":  # fmt: skip
    """Return which runs are meant; days are those of this machine, and the last one is included."""
    from emoscope.history import Filter

    after = None if until is None else (until + timedelta(days=1)).astimezone()
    return Filter(search, tuple(emotions or ()), since and since.astimezone(), after, source, model, mode)


def _print_json(found: object) -> None:
    from emoscope import export

    print(export.to_json(found).rstrip())


def _print_table(runs: Sequence["Run"], total: int) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    from emoscope.labels import emotion

    table = Table(Column("ID", no_wrap=True), "When", "Name", "Emotion", "Confidence", "Model", box=SIMPLE)
    for run in runs:
        table.add_row(
            run.id, f"{run.made_at:%Y-%m-%d %H:%M}", escape(one_line(run.name)),
            "silent" if run.silent else f"{emotion(run.emotion).emoji} {run.emotion}", f"{run.confidence:.0%}",
            escape(" + ".join(filter(None, (run.speech_model, run.text_model)))),
        )  # fmt: skip
    console = Console()
    if runs:
        console.print(table)
    console.print(f"{len(runs)} of {total} runs.", style="dim")
