"""Which files the open pages still need: in privacy mode a file goes with the last page that needs it.

The files are those of Gradio's folder: what visitors uploaded, and the shelves with what they are shown. Nothing
outside of it is ever touched.
"""

import logging
import math
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from gradio.utils import get_upload_folder

from emoscope.errors import Cancelled

log = logging.getLogger(__name__)

LOOK = 20.0  # seconds between two looks for what nobody needs
FETCHED = 600.0  # seconds that a program has to fetch its answer's ZIP
UNCLAIMED = 3600.0  # seconds after which a file goes that no page ever needed: a program's, whose turn has not come
EMPTY = 60.0  # seconds; Gradio leaves an empty file behind whenever it hands an upload over


class Page:
    """A page that somebody has open; without privacy mode nobody counts what it needs, for its files stay."""

    closed = False

    def needs(self, what: str, *files: Path) -> None:
        """Say which files the page needs for `what`, and that it no longer needs those of before."""

    def needs_also(self, what: str, *files: Path) -> None:
        """Say which files the page needs for `what` beside those of before."""

    def fetches(self, what: str, *files: Path) -> None:
        """Say which files a program will fetch soon; it may have no connection whose end would tell that it has."""


NOBODY = Page()


class PrivatePage(Page):
    """A page in privacy mode; raises Cancelled where it needs something after it was closed, which is removed then."""

    def __init__(self, holdings: "Holdings", name: str) -> None:
        self.holdings, self.name = holdings, name

    def needs(self, what: str, *files: Path) -> None:  # noqa: D102 — as above
        self.holdings.change(self, what, files)

    def needs_also(self, what: str, *files: Path) -> None:  # noqa: D102 — as above
        self.holdings.change(self, what, files, also=True)

    def fetches(self, what: str, *files: Path) -> None:  # noqa: D102 — as above
        self.holdings.change(self, what, files, until=time.monotonic() + FETCHED)


class Need(NamedTuple):
    """Files that a page needs, and until when at most, on the clock `time.monotonic`."""

    files: frozenset[Path] = frozenset()
    until: float = math.inf


class Holdings:
    """The open pages of a process, by Gradio's names of them, and the files that they need."""

    def __init__(self, *, private: bool) -> None:
        self.private = private
        self._pages: dict[str, PrivatePage] = {}
        self._needs: dict[tuple[str, str], Need] = {}  # by page, and what for
        self._leaving: set[Path] = set()  # what could not be removed at once
        self._changing = threading.Lock()

    def page(self, name: str | None) -> Page:
        """Return the page of a visitor, which is open from now on until `close`."""
        if not self.private:
            return NOBODY
        with self._changing:
            return self._pages.setdefault(name or "", PrivatePage(self, name or ""))

    def program(self, name: str | None) -> Page:
        """Return what stands for a page where a program asks."""
        return PrivatePage(self, name or "") if self.private else NOBODY

    def close(self, name: str | None) -> None:
        """Remove what nobody else needs of a page's files, because its visitor has gone."""
        with self._changing:
            page = self._pages.pop(name or "", None)
            if page is not None:
                page.closed = True
            self._forget([key for key in self._needs if key[0] == (name or "")])

    def change(
        self, page: PrivatePage, what: str, files: Iterable[Path], *, also: bool = False, until: float = math.inf
    ) -> None:
        """Remember what a page needs, and remove what nobody needs any more."""
        files, key = frozenset(file.resolve() for file in files), (page.name, what)
        with self._changing:
            if page.closed:
                self._remove(files)
                raise Cancelled("Nobody is waiting for this any more.")
            before = self._needs.pop(key, Need()).files
            files |= before if also else frozenset()
            if files:
                self._needs[key] = Need(files, until)
            self._remove(before - files)

    def sweep(self) -> None:
        """Remove what nobody needs, and what a program has had time enough to fetch."""
        now = time.monotonic()
        with self._changing:
            self._forget([key for key, need in self._needs.items() if need.until < now])
            self._remove(self._leaving | set(_old(_folder())))

    @contextmanager
    def swept(self) -> Iterator[None]:
        """Sweep again and again until the end; without privacy mode there is nothing to do."""
        over = threading.Event()

        def sweep() -> None:
            while not over.wait(LOOK):
                self.sweep()

        if self.private:
            threading.Thread(target=sweep, name="studio-sweep", daemon=True).start()
        try:
            yield
        finally:
            over.set()

    def _forget(self, keys: Iterable[tuple[str, str]]) -> None:
        self._remove(frozenset[Path]().union(*[self._needs.pop(key).files for key in keys]))

    def _remove(self, files: Iterable[Path]) -> None:
        """Remove files, and folders with all that is in them, unless somebody needs them."""
        home = _folder()
        needed = frozenset[Path]().union(*(need.files for need in self._needs.values()))
        around = {parent for each in needed for parent in each.parents}
        for file in files:
            if home not in file.parents or file in around or not needed.isdisjoint((file, *file.parents)):
                continue
            if _gone(file):
                self._leaving.discard(file)
            else:
                self._leaving.add(file)


def _folder() -> Path:
    return Path(get_upload_folder()).resolve()


def _gone(file: Path) -> bool:
    """Remove a file, or a folder, and say whether that succeeded; somebody may just be writing into it."""
    try:
        if file.is_dir():
            shutil.rmtree(file)
        else:
            file.unlink(missing_ok=True)
            with suppress(OSError):  # other files lie beside it
                if file.parent != _folder():
                    file.parent.rmdir()
    except FileNotFoundError:
        pass
    except OSError as error:
        log.warning("a file could not be removed yet: %s", error)
        return False
    return True


def _old(folder: Path) -> Iterator[Path]:
    """Yield what has lain in the folder for too long, if nobody needs it."""
    now = time.time()
    for each in folder.iterdir() if folder.is_dir() else ():
        with suppress(FileNotFoundError):  # it goes at this moment
            found = each.stat()
            empty = not found.st_size and each.is_file()
            inside = [file.stat().st_ctime for file in each.rglob("*")] if each.is_dir() else []
            if now - max([found.st_ctime, *inside]) > (EMPTY if empty else UNCLAIMED):
                yield each
