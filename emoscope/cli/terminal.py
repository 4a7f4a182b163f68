"""What every command needs of the terminal: settings, complaints, exit statuses, progress."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from emoscope.errors import EmoscopeError, OptionError
from emoscope.settings import PRECISIONS, Settings

if TYPE_CHECKING:
    from emoscope.results import Progress

FAILED = 1
BAD_USAGE = 2
STOPPED = 130  # by Ctrl-C, as shells count it


class Granularity(StrEnum):
    """What a person wants to know; the same words as `settings.Granularity`."""

    utterance = "utterance"
    frame = "frame"


Precision = Annotated[
    str,
    typer.Option(metavar=f"[{'|'.join(PRECISIONS)}]", help="How exactly the model calculates; auto asks the machine."),
]


TextModel = Annotated[
    str, typer.Option(metavar="NAME", help="auto, compact, english, multilingual, chinese, or a model folder.")
]


@contextmanager
def settings_of_process() -> Iterator[Settings]:
    """Read the settings; an error becomes one line on stderr and the exit status 1, or 2 for bad usage."""
    try:
        yield Settings.from_environment(os.environ)
    except OptionError as error:
        complain(str(error))
        raise typer.Exit(BAD_USAGE) from None
    except EmoscopeError as error:
        complain(str(error))
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        complain("Stopped.")
        raise typer.Exit(STOPPED) from None


def complain(sentence: str) -> None:
    """Say something on stderr, in one line whatever the sentence holds."""
    print(f"emoscope: {' '.join(sentence.split())}", file=sys.stderr)


@contextmanager
def bar(name: str) -> Iterator["Progress"]:
    """Show progress on stderr when a person is watching."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(escape(name), total=1.0)
        yield lambda what, share: bars.update(task, description=f"{escape(name)}: {what}", completed=share)
