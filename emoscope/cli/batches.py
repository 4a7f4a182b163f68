"""`./run.sh batch`: many recordings, one row for each in one file."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emoscope.cli.terminal import FAILED, STOPPED, Granularity, Precision, complain, settings_of_process
from emoscope.errors import OptionError
from emoscope.settings import Options

if TYPE_CHECKING:
    from emoscope.batch import Tally, Tell


class Engine(StrEnum):
    """Where a batch runs."""

    local = "local"
    ray = "ray"


class Place(StrEnum):
    """Where a batch keeps arrays."""

    columns = "columns"
    npy = "npy"


def batch(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
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
    precision: Precision = Options.precision,
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
    with --resume goes on. Exit status: 0 when every recording has a row, 1 when the run failed or not one recording
    could be heard, 2 for bad usage.
    """
    from emoscope import batch as many

    with settings_of_process() as settings:
        options = Options(
            granularity=granularity.value, smooth=smooth, trim=trim, denoise=denoise, normalise=normalise, model=model,
            precision=precision,
        )  # fmt: skip
        if resume and out is None:
            raise OptionError("--resume needs --out: the results to go on with.")
        if settings.retention.nothing and out is None:
            raise OptionError("EMOSCOPE_KEEP is “nothing”, so --out has to say where the table of a batch may be.")
        job = many.Job(
            out=out or settings.outputs / f"batch_{time.strftime('%Y%m%d_%H%M%S')}.parquet", options=options,
            keep=many.Keep(embeddings.value if embeddings else "", timelines.value if timelines else ""),
            engine=engine.value, workers=workers, resume=resume, address=ray_address,
        )  # fmt: skip
        with redirect_stdout(sys.stderr), _tally_bar() as tell:
            try:
                tally = many.run(many.find(inputs), job, settings, tell=tell)
            except KeyboardInterrupt:
                complain(f"Stopped. What is done is kept: the same command with --out {job.out} --resume goes on.")
                raise typer.Exit(STOPPED) from None
    complain(_summary(tally))
    print(tally.out)
    raise typer.Exit(FAILED if tally.failed == tally.total else 0)


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
    """Say in one or two sentences what a batch did."""
    failed = f" ({tally.failed} failed: the column “error” says why)" if tally.failed else ""
    nothing = " Not one recording could be heard." if tally.failed == tally.total else ""
    return (
        f"{tally.done} of {tally.total} recordings have a row{failed}. Heard {tally.audio / 3600:.2f} h of sound in "
        f"{tally.elapsed:.1f} s.{nothing}"
    )
