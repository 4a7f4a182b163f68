"""Hidden folders that somebody is at work in: the system ends a claim when its process ends, even by `kill -9`."""

import fcntl
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_mine: set[Path] = set()  # folders that this process has claimed, of all threads; see `abandon`
HIDDEN = re.compile(r"\..+_[0-9a-f]{12}")  # what `hidden_name` makes


def hidden_name(name: str) -> str:
    """Return a name for a folder that nobody looks into, and that no other folder has."""
    return f".{name}_{secrets.token_hex(6)}"


@contextmanager
def new_folder(folder: Path, *, mode: int = 0o777) -> Iterator[None]:
    """Make a folder, and claim it until the end."""
    while True:
        folder.mkdir(mode, exist_ok=True)
        try:
            claim = _claim(folder)
            break
        except (FileNotFoundError, BlockingIOError):
            continue  # a sweep found it in the moment before it was claimed, and takes it away
        except OSError:
            claim = None  # a file system without locks; sweeps leave everything there alone
            break
    _mine.add(folder)
    try:
        yield
    finally:
        _mine.discard(folder)
        if claim is not None:
            os.close(claim)


def abandon() -> None:
    """Remove what threads of this process are still at work in, because the process ends now and cannot wait for them.

    A folder is renamed first: a thread that is about to publish it either has done so, or finds nothing to publish.
    """
    for folder in list(_mine):
        with suppress(OSError):
            gone = folder.rename(folder.with_name(hidden_name("abandoned")))
            shutil.rmtree(gone, ignore_errors=True)


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Claim a folder if nobody else has; yield whether it is ours."""
    try:
        claim = _claim(folder)
    except OSError:
        yield False
        return
    try:
        yield True
    finally:
        os.close(claim)


def temporary(name: str) -> Path:
    """Return where this process may put files until it ends; nothing is made yet."""
    return Path(tempfile.gettempdir()) / hidden_name(name)


@contextmanager
def existing(folder: Path) -> Iterator[None]:
    """Have the folder of `temporary` until the end, for this user only; what `kill -9` left of another one goes too."""
    sweep(folder.parent, folder.name[1:].rpartition("_")[0])
    with new_folder(folder, mode=0o700):
        try:
            yield
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path, name: str = "") -> list[str]:
    """Remove the hidden folders that a process left behind when it was killed; return their names.

    `name` is what they were made for, or how that begins.
    """
    removed = []
    for folder in _folders(parent):
        if not folder.name.startswith(f".{name}"):
            continue
        with claimed(folder) as abandoned:
            if abandoned:
                shutil.rmtree(folder, ignore_errors=True)
                removed.append(folder.name)
    return removed


def _folders(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as found:
            return [Path(each) for each in found if HIDDEN.fullmatch(each.name) and each.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _claim(folder: Path) -> int:
    """Return an open descriptor that holds the claim; raises BlockingIOError where somebody else has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(descriptor), os.stat(folder)):  # noqa: PTH116 — beside fstat
            raise FileNotFoundError(folder)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
