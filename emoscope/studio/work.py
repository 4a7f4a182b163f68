"""Work that a page watches: it runs in a thread of its own, and its progress comes as a stream."""

import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic, TypeVar

from emoscope.errors import Cancelled
from emoscope.results import Progress

T = TypeVar("T")

BEAT = 0.15  # seconds between two looks; more often nobody sees


@dataclass(frozen=True)
class Moment:
    """What a task is doing, how much of that step is done, and when it said so."""

    what: str
    done: float  # 0 to 1
    at: float  # seconds, `time.monotonic`


class Work(Generic[T]):
    """A task that runs; iterating over it tells where it stands, and `result` what came out."""

    def __init__(self, task: Callable[[Progress], T]) -> None:
        self._said: SimpleQueue[Moment] = SimpleQueue()
        self._outcome: Future[T] = Future()
        self._left = threading.Event()
        here = contextvars.copy_context()  # whose event this is
        # Not an executor's thread: Python waits for those at its end, and a visitor's hour must not hold the server up.
        threading.Thread(target=here.run, args=(self._run, task), name="studio-work", daemon=True).start()

    def __iter__(self) -> Iterator[Moment]:
        """Yield the newest moment whenever there is one, until the task is over.

        Whoever closes this iterator earlier ends the task at its next word, as `Cancelled`.
        """
        try:
            while not self._outcome.done():
                wait([self._outcome], BEAT)
                moment = _newest(self._said)
                if moment is not None:
                    yield moment
        finally:
            self._left.set()

    def result(self) -> T:
        """Wait for what the task returns; what it raised is raised here."""
        return self._outcome.result()

    def _run(self, task: Callable[[Progress], T]) -> None:
        try:
            self._outcome.set_result(task(self._tell))
        except Exception as error:  # it is raised where somebody waits for it
            self._outcome.set_exception(error)

    def _tell(self, what: str, done: float) -> None:
        if self._left.is_set():
            raise Cancelled("Nobody is waiting for this any more.")
        self._said.put(Moment(what, done, time.monotonic()))


def _newest(said: "SimpleQueue[Moment]") -> Moment | None:
    newest = None
    while not said.empty():  # nobody else takes from it
        newest = said.get()
    return newest
