"""What is to be analysed, and the promise of its outcome, to be looked at from any thread."""

import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from emoscope.access import ANYBODY, Asker
from emoscope.errors import Cancelled, EmoscopeError, ExhaustedError, StoppingError
from emoscope.report import Report
from emoscope.settings import Options
from emoscope.transcript import Transcript

log = logging.getLogger(__name__)

T = TypeVar("T")
State: TypeAlias = Literal["waiting", "running", "done", "failed", "cancelled"]
Lane: TypeAlias = Literal["speech", "text"]  # each has a worker: a sentence does not wait for somebody's hour

SMALL = 4_000_000  # bytes; 10 s of nearly every format, so that nobody decodes hours to find out

WAITING = "Waiting for an analysis before this one"
STOPPED = "The analysis was stopped."
STOPPING = "Emoscope is being stopped. Ask again when it has started anew."
SECONDS_TO_START = 10  # after which another process may answer
NO_MEMORY = "This machine has too little memory for it at the moment. Try again later, or with a shorter recording."
SECONDS_TO_BREATHE = 30  # after which there may be memory again
# What libraries say that raise something else than MemoryError.
STARVED = ("allocate memory", "bad_alloc", "out of memory", "start new thread")


class Step(NamedTuple):
    """What a job is doing, and how much of that is done."""

    what: str
    done: float  # 0 to 1


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be analysed: a recording, a text, or both."""

    options: Options
    file: Path | None = None
    name: str | None = None  # what the person calls the file
    transcript: Transcript | None = None

    def __post_init__(self) -> None:
        if self.file is None and self.transcript is None:
            raise ValueError("a task is about a recording, a text, or both")

    @property
    def lane(self) -> Lane:
        """Return which worker does it."""
        return "speech" if self.file else "text"

    @property
    def is_small(self) -> bool:
        """Say whether it is nothing but a recording, and one that may well be short."""
        if self.file is None or self.transcript is not None or self.options.transcribe:
            return False
        try:
            return self.file.stat().st_size <= SMALL
        except OSError:  # it will say so when it is heard
            return False

    def goes_with(self, other: "Task") -> bool:
        """Say whether two recordings can be heard in one pass."""
        return self.options == other.options and self.is_small and other.is_small


class Job(Generic[T]):
    """A task that waits, runs, or is over; to be looked at from any thread."""

    def __init__(self, task: Task, finish: Callable[[Report], T], asker: Asker = ANYBODY) -> None:
        """`finish` makes of the report what is wanted in the end, such as its files; it runs beside the next task."""
        self.id = secrets.token_hex(8)  # also of its report
        self.asker = asker  # whose it is
        self.task = task
        self.finish = finish
        self.step = Step(WAITING, 0.0)
        self.outcome: Future[T] = Future()
        self._stopped = threading.Event()

    @property
    def state(self) -> State:
        """Return how far it is."""
        if not self.outcome.done():
            return "running" if self.outcome.running() else "waiting"
        if self.outcome.cancelled() or isinstance(self.outcome.exception(), Cancelled):
            return "cancelled"
        return "failed" if self.outcome.exception() else "done"

    @property
    def stopped(self) -> bool:
        """Say whether somebody wants it to end."""
        return self._stopped.is_set()

    def cancel(self) -> None:
        """End it: at once while it waits, at its next word while it runs."""
        self._stopped.set()
        self.outcome.cancel()

    def succeed(self, found: T) -> None:
        """Give what came out to whoever waits for it, unless it is over."""
        with suppress(InvalidStateError):  # the process is being stopped, and who waited has been told
            self.outcome.set_result(found)

    def fail(self, error: BaseException) -> None:
        """Say what went wrong to whoever waits for it, unless it is over; what is at work on it ends at its next word.

        This may come from outside while it runs: nobody waits for a pass of the model that takes longer than patience.
        """
        self._stopped.set()
        link: BaseException | None = error
        while link is not None:  # what a trace holds, such as an hour of sound, is not kept as long as the error is
            link.__traceback__, link = None, link.__cause__ or link.__context__
        with suppress(InvalidStateError):
            self.outcome.set_exception(error)

    def tell(self, what: str, done: float) -> None:
        """Note how far it is; raises Cancelled when it is to end."""
        if self.stopped:
            raise Cancelled(STOPPED)
        self.step = Step(what, done)

    def result(self) -> T:
        """Wait for what it gives; what went wrong is raised here."""
        try:
            return self.outcome.result()
        except CancelledError:
            raise Cancelled(STOPPED) from None


@contextmanager
def failing(job: Job[Any]) -> Iterator[None]:
    """Give what goes wrong to whoever waits for the job; what nobody foresaw goes to the log under its id."""
    try:
        yield
    except EmoscopeError as error:
        job.fail(error)
    except Exception as error:  # the thread has to go on for the others
        told = foreseen(error)
        try:
            if told is error:
                log.exception("unforeseen error %s", job.id)
            else:
                log.warning("%s: %s", job.id, error)
        finally:
            job.fail(told)


def foreseen(error: Exception) -> Exception:
    """Return what a person is told of an error that is none of ours: of want of memory a sentence."""
    if isinstance(error, MemoryError) or any(mark in str(error) for mark in STARVED):
        return ExhaustedError(NO_MEMORY, seconds=SECONDS_TO_BREATHE)
    return error


def stopping() -> StoppingError:
    """Return what everybody is told while the process stops."""
    return StoppingError(STOPPING, seconds=SECONDS_TO_START)
