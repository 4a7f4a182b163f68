"""How much of the disk uploads may take: what nobody has used for long goes first, then nothing more is taken in."""

import asyncio
import logging
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from emoscope.errors import StorageError
from emoscope.settings import Settings

log = logging.getLogger(__name__)

RECORDINGS = 20  # of the largest size allowed, which all uploads together may take
KEPT_FREE = 0.05, 1_000_000_000  # of the disk: this share, but no more than so many bytes
ROOMY = 0.8  # of the bound: what is left when room had to be made
UNUSED = 600.0  # seconds; what was used since is somebody's, and stays
MINUTE = 60.0  # seconds between two times of tidying up
AGE = 90_000.0  # seconds; an hour more than Gradio gives the files that it knows of, because it counts them by name
FULL = "There is no room for more uploads just now. Try again in a few minutes."
DISK_FULL = "The disk for uploads is nearly full. Make room on it, or set TMPDIR to a folder on another one."


@dataclass(frozen=True)
class _File:
    path: Path
    bytes: int
    used: float  # seconds since 1970


class Room:
    """The room that uploads may take; threads and the event loop share one."""

    def __init__(self, cache: Path, others: tuple[Path, ...] = (), *, most: int) -> None:
        """`cache` may lose what is old, `others` hold what is being worked on; together they take `most` bytes."""
        self._cache, self._others, self._most = cache, others, most
        self._taken = 0  # bytes that there are at the most: at the last look, and what came since
        self._looking = threading.Lock()

    @classmethod
    def of(cls, settings: Settings, cache: Path, *others: Path) -> "Room":
        """Return the room that there is with these settings."""
        return cls(cache, others, most=round(RECORDINGS * settings.max_mb * 1e6))

    def take(self, count: int) -> bool:
        """Count bytes that have come; say whether `make` has to be called before more may."""
        self._taken += count
        return self._taken > self._most or self._disk_is_full()

    def make(self) -> None:
        """Look how much there is, and make room; raises StorageError where there is none to be had. Takes a while."""
        with self._looking:
            self._measure()
            if self._taken > self._most or self._disk_is_full():
                self._remove(lambda: self._taken > ROOMY * self._most or self._disk_is_full())
            if self._taken > self._most:
                raise StorageError(FULL)
            if self._disk_is_full():
                raise StorageError(DISK_FULL)

    def tidy(self) -> None:
        """Remove what is too old, and what is beyond the bound and unused."""
        with self._looking:
            self._measure()
            self._remove(lambda: self._taken > self._most)

    def _measure(self) -> None:
        self._taken = sum(file.bytes for folder in (self._cache, *self._others) for file in _files(folder))

    def _remove(self, too_much: Callable[[], bool]) -> None:
        """Remove what is old, and what is unused while there is too much; the oldest first."""
        now = time.time()
        for file in sorted(_files(self._cache), key=lambda file: file.used):
            unused = now - file.used
            if unused > AGE or (unused > UNUSED and too_much()):
                with suppress(OSError):
                    file.path.unlink()
                    self._taken -= file.bytes
        for folder in self._cache.glob("*/"):
            with suppress(OSError):  # most are not empty
                if now - folder.stat().st_mtime > UNUSED:
                    folder.rmdir()

    @asynccontextmanager
    async def kept_tidy(self) -> AsyncIterator[None]:
        """Tidy up every minute, until the end."""

        async def tidy() -> None:
            while True:
                await asyncio.sleep(MINUTE)
                try:
                    await asyncio.to_thread(self.tidy)
                except Exception:  # one of our own mistakes; what is not tidied now is tidied the next time
                    log.exception("the uploads could not be tidied")

        task = asyncio.create_task(tidy())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _disk_is_full(self) -> bool:
        with suppress(OSError):
            disk, (share, most) = shutil.disk_usage(self._cache), KEPT_FREE
            return disk.free < min(share * disk.total, most)
        return False


def _files(folder: Path) -> Iterator[_File]:
    """Yield the files below a folder; one that has another name elsewhere takes no room here."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            with suppress(OSError):  # it has just gone
                found = path.lstat()
                bytes = found.st_size if found.st_nlink == 1 else 0
                yield _File(path, bytes, max(found.st_atime, found.st_mtime, found.st_ctime))
