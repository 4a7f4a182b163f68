"""The one bounded queue in front of the analyzer: who waits, who is heard, and when there is no more room."""

import logging
import math
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from emoscope.analyzer import decode
from emoscope.errors import BusyError, Cancelled, EmoscopeError
from emoscope.report import Report
from emoscope.results import Progress, Recording, quiet
from emoscope.settings import Options, Settings
from emoscope.transcript import Transcript

if TYPE_CHECKING:
    from emoscope.analyzer import Analyzer

log = logging.getLogger(__name__)

T = TypeVar("T")
State: TypeAlias = Literal["waiting", "running", "done", "failed", "cancelled"]
Lane: TypeAlias = Literal["speech", "text"]  # each has a worker: a sentence does not wait for somebody's hour
LANES: tuple[Lane, ...] = ("speech", "text")

SHORT = 10.0  # seconds; longer clips fill a pass on their own
SMALL = 4_000_000  # bytes; 10 s of nearly every format, so that nobody decodes hours to find out
TOGETHER = 16  # short clips in one pass
LOOK = 0.15  # seconds between two looks at a job by somebody who waits for it
MEASURED = 20  # jobs whose mean is the pace
FIRST_GUESS = 5.0  # seconds for a job, before one was measured
LONGEST_ADVICE = 600  # seconds after which somebody should ask again at the latest
UNFINISHED = 3  # reports that wait for their files to be written; more sound than theirs is not held in memory
REMEMBERED = 32  # jobs that are over, and that somebody may still ask for by their id

WAITING = "Waiting for an analysis before this one"
STARTING = "Starting"
STOPPED = "The analysis was stopped."
FULL = "{count} analyses are waiting already. Try again in {seconds} s, or set EMOSCOPE_QUEUE to let more of them wait."


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

    def __init__(self, task: Task, finish: Callable[[Report], T]) -> None:
        """`finish` makes of the report what is wanted in the end, such as its files; it runs beside the next task."""
        self.id = secrets.token_hex(8)  # also of its report
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


class Jobs:
    """The queue of a process, and the threads that work it off; every door puts its tasks here."""

    def __init__(self, analyzer: "Analyzer", settings: Settings) -> None:
        """Nothing runs yet: the threads begin with the first task."""
        self._analyzer = analyzer
        self._settings = settings
        self._change = threading.Condition()
        self._waiting: dict[Lane, deque[Job[Any]]] = {lane: deque() for lane in LANES}
        self._running: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self._paces: dict[Lane, deque[float]] = {lane: deque(maxlen=MEASURED) for lane in LANES}  # seconds per job
        self._known: dict[str, Job[Any]] = {}  # by id: those that are not over, and the newest that are
        self._finishing: deque[tuple[Job[Any], Report]] = deque()
        self._threads: list[threading.Thread] = []
        self._closed = False

    @property
    def waiting(self) -> int:
        """Return how many jobs wait for their turn."""
        with self._change:
            return self._count()

    @property
    def running(self) -> int:
        """Return how many jobs are at work, or about to be finished."""
        with self._change:
            return sum(self._running.values()) + len(self._finishing)

    def check_room(self) -> None:
        """Raise BusyError when no other job may wait; a door asks before it takes in a large file."""
        with self._change:
            if self._closed:
                raise BusyError("Emoscope is being stopped. Ask again when it has started anew.", seconds=10)
            if self._count() >= self._settings.queue:
                seconds = self._advice()
                raise BusyError(FULL.format(count=self._count(), seconds=seconds), seconds=seconds)

    def submit(self, task: Task, finish: Callable[[Report], T], *, remember: bool = False) -> Job[T]:
        """Put a task at the end of its queue; raises BusyError when it is full.

        With `remember`, the job can be found by its id for some time after it is over.
        """
        job = Job(task, finish)
        with self._change:
            self.check_room()
            self._start()
            self._known[job.id] = job
            self._waiting[task.lane].append(job)
            self._change.notify_all()
        job.outcome.add_done_callback(lambda _: self._over(job, remember=remember))
        return job

    def find(self, id: str) -> Job[Any] | None:
        """Return the job of this id, if it is not over or is remembered."""
        return self._known.get(id)

    def forget(self, job: Job[Any]) -> None:
        """Let go of a job that is over, and of what it gave."""
        with self._change:
            self._known.pop(job.id, None)

    def analyze(
        self,
        file: Path,
        options: Options,
        *,
        transcript: Transcript | None = None,
        name: str | None = None,
        progress: Progress = quiet,
    ) -> Report:
        """Wait in the queue, then do what `Analyzer.analyze` does; raises BusyError too."""
        return self._follow(Task(options, file, name, transcript), progress)

    def read(self, text: Transcript | str, options: Options, *, progress: Progress = quiet) -> Report:
        """Wait in the queue, then do what `Analyzer.read` does; raises BusyError too."""
        said = Transcript.typed(text) if isinstance(text, str) else text
        return self._follow(Task(options, transcript=said), progress)

    def close(self) -> None:
        """Take no more tasks, and end those that there are."""
        with self._change:
            self._closed = True
            known = list(self._known.values())
            self._change.notify_all()
        for job in known:
            job.cancel()

    def _follow(self, task: Task, progress: Progress) -> Report:
        job = self.submit(task, lambda report: report)
        try:
            while not job.outcome.done():
                wait([job.outcome], LOOK)
                progress(*job.step)
            return job.result()
        finally:
            job.cancel()  # when `progress` has ended it; later nothing hears it any more

    def _count(self) -> int:
        for lane, jobs in self._waiting.items():
            self._waiting[lane] = deque(job for job in jobs if not job.outcome.cancelled())
        return sum(map(len, self._waiting.values()))

    def _advice(self) -> int:
        """Return in how many seconds there will be room, as far as the last jobs tell."""
        lane = max(LANES, key=lambda lane: len(self._waiting[lane]))
        paces = self._paces[lane]
        pace = sum(paces) / len(paces) if paces else FIRST_GUESS
        return min(max(math.ceil(pace), 1), LONGEST_ADVICE)

    def _over(self, job: Job[Any], *, remember: bool) -> None:
        with self._change:
            if not remember:
                self._known.pop(job.id, None)
            over = [job for job in self._known.values() if job.outcome.done()]
            for old in over[: max(len(over) - REMEMBERED, 0)]:
                del self._known[old.id]

    def _start(self) -> None:
        if self._threads:
            return
        works: tuple[tuple[Callable[..., None], tuple[Any, ...]], ...] = (
            *((self._work, (lane,)) for lane in LANES),
            (self._finish, ()),
        )
        for work, arguments in works:
            thread = threading.Thread(target=work, args=arguments, name="jobs", daemon=True)
            thread.start()
            self._threads.append(thread)

    def _work(self, lane: Lane) -> None:
        while self._do_next(lane):
            pass  # nothing of a job, such as an hour of sound, is held here while the next one is waited for

    def _do_next(self, lane: Lane) -> bool:
        jobs = self._take(lane)
        if not jobs:
            return False
        began = time.monotonic()
        try:
            self._do(jobs)
        finally:
            with self._change:
                self._running[lane] = 0
                self._paces[lane].append((time.monotonic() - began) / len(jobs))
        return True

    def _take(self, lane: Lane) -> list[Job[Any]]:
        """Wait for the next job, and return it with those that can be heard in the same pass; none in the end."""
        with self._change:
            while not self._closed:
                taken: list[Job[Any]] = []
                waiting = self._waiting[lane]
                while waiting and len(taken) < TOGETHER and _goes_along(waiting[0], taken):
                    job = waiting.popleft()
                    if job.outcome.set_running_or_notify_cancel():
                        taken.append(job)
                if taken:
                    self._running[lane] = len(taken)
                    return taken
                self._change.wait()
        return []

    def _do(self, jobs: list[Job[Any]]) -> None:
        for job in self._hear_together(jobs) if len(jobs) > 1 else jobs:
            with _failing(job):
                self._done(job, self._analyze(job))

    def _analyze(self, job: Job[Any]) -> Report:
        task = job.task
        job.tell(STARTING, 0.0)
        if task.file:
            return self._analyzer.analyze(
                task.file, task.options, transcript=task.transcript, name=task.name, progress=job.tell
            )
        assert task.transcript is not None  # a task has one of both
        return self._analyzer.read(task.transcript, task.options, progress=job.tell)

    def _hear_together(self, jobs: list[Job[Any]]) -> list[Job[Any]]:
        """Hear the short ones of several recordings in one pass; return those that are still to be heard."""
        decoded: list[tuple[Job[Any], Recording, float]] = []
        left = []
        for job in jobs:
            began = time.perf_counter()
            with _failing(job):
                recording = decode(_file(job), self._settings, job.task.options, name=job.task.name, progress=job.tell)
                if recording.wave.seconds > SHORT:
                    left.append(job)
                else:
                    decoded.append((job, recording, time.perf_counter() - began))
        together = [job for job, _, _ in decoded]
        if len(together) < 2:
            return [*together, *left]
        try:
            reports = self._analyzer.analyze_many(
                [recording for _, recording, _ in decoded],
                together[0].task.options,
                progress=lambda what, done: _tell_all(together, what, done),
            )
        except EmoscopeError:  # of one of them, which will say so when it is heard alone
            return [*together, *left]
        for (job, _, seconds), report in zip(decoded, reports, strict=True):
            with _failing(job):
                self._done(job, replace(report, seconds={"decode": seconds, **report.seconds}))
        return left

    def _done(self, job: Job[Any], report: Report) -> None:
        with self._change:
            while len(self._finishing) >= UNFINISHED and not self._closed:
                self._change.wait()
            if self._closed:
                raise Cancelled(STOPPED)
            self._finishing.append((job, replace(report, id=job.id)))
            self._change.notify_all()

    def _finish(self) -> None:
        while True:
            with self._change:
                while not self._finishing:
                    if self._closed:
                        return
                    self._change.wait()
                job, report = self._finishing[0]
            with _failing(job):
                job.tell("Writing the files", 0.0)
                job.outcome.set_result(job.finish(report))
            with self._change:
                self._finishing.popleft()
                self._change.notify_all()
            del job, report  # an hour of sound is not to be kept until the next one


def _goes_along(job: Job[Any], taken: list[Job[Any]]) -> bool:
    return not taken or job.task.goes_with(taken[0].task)


def _tell_all(jobs: list[Job[Any]], what: str, done: float) -> None:
    """Note how far jobs are that run as one; raises Cancelled when all of them are to end."""
    if all(job.stopped for job in jobs):
        raise Cancelled(STOPPED)
    for job in jobs:
        job.step = Step(what, done)


def _file(job: Job[Any]) -> Path:
    assert job.task.file is not None  # only recordings are heard together
    return job.task.file


@contextmanager
def _failing(job: Job[Any]) -> Iterator[None]:
    """Give what goes wrong to whoever waits for the job; what nobody foresaw goes to the log under its id."""
    try:
        yield
    except EmoscopeError as error:
        job.outcome.set_exception(error)
    except Exception as error:  # the thread has to go on for the others
        log.exception("unforeseen error %s", job.id)
        job.outcome.set_exception(error)
