"""The folders behind the rows: whose they are, which of them hold a run, and how they are taken away."""

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from emoscope import claims
from emoscope.export import RESULT

MARK = ".emoscope-outputs"  # a hidden file that tells these results from those of another machine


def mark(outputs: Path) -> str:
    """Return the mark of a folder of results; it gets one if it has none."""
    if found := read_mark(outputs):
        return found
    outputs.mkdir(parents=True, exist_ok=True)
    home = outputs / claims.hidden_name("mark")
    with claims.new_folder(home):
        try:
            draft = home / MARK
            draft.write_text(secrets.token_hex(16), "ascii")
            try:
                os.link(draft, outputs / MARK)
            except FileExistsError:
                pass  # another process was faster, and its mark counts
            except OSError:  # a file system without links
                draft.rename(outputs / MARK)
        finally:
            shutil.rmtree(home, ignore_errors=True)
    return read_mark(outputs)


def read_mark(outputs: Path) -> str:
    """Return the mark of a folder of results, "" where it has none."""
    try:
        return (outputs / MARK).read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def is_run(folder: Path) -> bool:
    """Say whether a folder holds the result of a run."""
    return not folder.is_symlink() and (folder / RESULT).is_file()


def find_runs(outputs: Path) -> list[Path]:
    """Return the folders of runs among results, whatever somebody has called them."""
    try:
        return [each for each in sorted(outputs.iterdir()) if not each.name.startswith(".") and is_run(each)]
    except (FileNotFoundError, NotADirectoryError):
        return []


@contextmanager
def taken_away(folders: Iterable[Path]) -> Iterator[None]:
    """Hide folders of runs; in the end they are deleted, or have their names again where something went wrong.

    Who is killed in between leaves hidden folders, which `claims.sweep` removes.
    """
    with ExitStack() as held, ExitStack() as undo:
        hidden = []
        for folder in filter(is_run, folders):
            held.enter_context(claims.claimed(folder))
            place = folder.with_name(claims.hidden_name(folder.name))
            with suppress(FileNotFoundError):  # somebody else deletes it, too
                folder.rename(place)
                undo.callback(place.rename, folder)
                hidden.append(place)
        yield
        undo.pop_all()
        for place in hidden:
            shutil.rmtree(place, ignore_errors=True)  # what cannot go now is hidden, and goes the next time
