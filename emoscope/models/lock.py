"""One process at a time changes a model: a lock file that the system releases even when its owner is killed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

POLL = 0.2  # seconds


@contextmanager
def alone(models: Path, folder: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock on a model's folder; `waiting` is called until it is free, and may raise."""
    from filelock import FileLock, Timeout

    lock = FileLock(models / f".{folder}.lock")
    while True:
        try:
            lock.acquire(timeout=POLL)
            break
        except Timeout:
            waiting()
    try:
        yield
    finally:
        lock.release()
