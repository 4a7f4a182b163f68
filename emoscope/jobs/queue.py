"""The one bounded queue in front of the analyzer: who waits, who is heard, and when there is no more room."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emoscope.access import ANYBODY, Asker
from emoscope.analyzer import decode
from emoscope.errors import BusyError, Cancelled
from emoscope.jobs.job import STOPPED, Job, Lane, Step, T, Task, failing, foreseen, stopping
from emoscope.report import Report
from emoscope.results import Progress, Recording, quiet
from emoscope.settings import Options, Settings
from emoscope.transcript import Transcript

if TYPE_CHECKING:
    from emoscope.analyzer import Analyzer

LANES: tuple[Lane, ...] = ("speech", "text")

SHORT = 10.0  # seconds; longer clips fill a pass on their own
TOGETHER = 16  # short clips in one pass
LOOK = 0.15  # seconds between two looks at a job by somebody who waits for it
MEASURED = 20  # jobs whose mean is the pace
FIRST_GUESS = 5.0  # seconds for a job, before one was measured
LONGEST_ADVICE = 600  # seconds after which somebody should ask again at the latest
UNFINISHED = 3  # reports that wait for their files to be written; more sound than theirs is not held in memory
REMEMBERED = 32  # jobs that are over, and that somebody may still ask for by their id

STARTING = "Starting"
FULL = "{count} analyses are waiting already. Try again in {seconds} s, or set EMOSCOPE_QUEUE to let more of them wait."
SHARED = "{count} analyses of yours are waiting already; there has to be room for others. Try again in {seconds} s."


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
        self._threads: dict[str, threading.Thread] = {}
        self._stopping = False  # nothing new is taken
        self._closed = False  # the threads end

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

    def check_open(self) -> None:
        """Raise StoppingError when the process is being stopped."""
        if self._stopping:
            raise stopping()

    def check_room(self, asker: Asker = ANYBODY) -> None:
        """Raise BusyError when no other job may wait; a door asks before it takes in a large file.

        Half of the queue is the most that one account or one other machine may fill.
        """
        with self._change:
            self.check_open()
            if (count := self._count()) >= self._settings.queue:
                sentence, most = FULL, self._settings.queue
            else:
                sentence, most = SHARED, math.ceil(self._settings.queue / 2)
                count = self._count_of(asker)
            if count >= most:
                seconds = self._advice()
                raise BusyError(sentence.format(count=count, seconds=seconds), seconds=seconds)

    def submit(
        self, task: Task, finish: Callable[[Report], T], *, remember: bool = False, asker: Asker = ANYBODY
    ) -> Job[T]:
        """Put a task at the end of its queue; raises BusyError when it is full.

        With `remember`, the job can be found by its id for some time after it is over.
        """
        job = Job(task, finish, asker)
        with self._change:
            self.check_room(asker)
            self._start()
            self._known[job.id] = job
            self._waiting[task.lane].append(job)
            self._change.notify_all()
        job.outcome.add_done_callback(lambda _: self._over(job, remember=remember))
        return job

    def find(self, id: str, asker: Asker = ANYBODY) -> Job[Any] | None:
        """Return the job of this id, if it is not over or is remembered, and if it is the asker's to see."""
        job = self._known.get(id)
        return job if job and asker.may_see(job.asker.owner) else None

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
        asker: Asker = ANYBODY,
    ) -> Report:
        """Wait in the queue, then do what `Analyzer.analyze` does; raises BusyError too."""
        return self._follow(Task(options, file, name, transcript), progress, asker)

    def read(
        self, text: Transcript | str, options: Options, *, progress: Progress = quiet, asker: Asker = ANYBODY
    ) -> Report:
        """Wait in the queue, then do what `Analyzer.read` does; raises BusyError too."""
        said = Transcript.typed(text) if isinstance(text, str) else text
        return self._follow(Task(options, transcript=said), progress, asker)

    def stop(self) -> None:
        """Take no more tasks, and refuse those that wait; those that run may end."""
        with self._change:
            self._stopping = True
            waiting = [job for jobs in self._waiting.values() for job in jobs]
            for jobs in self._waiting.values():
                jobs.clear()
        for job in waiting:
            job.fail(stopping())

    def close(self) -> None:
        """Take no more tasks, and refuse those that there are: who waits for one is told at once."""
        self.stop()
        with self._change:
            self._closed = True
            known = list(self._known.values())
            self._change.notify_all()
        for job in known:
            job.fail(stopping())

    def _follow(self, task: Task, progress: Progress, asker: Asker) -> Report:
        job = self.submit(task, lambda report: report, asker=asker)
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

    def _count_of(self, asker: Asker) -> int:
        """Return how many of those that wait come from the same side; none where nothing is to be shared."""
        waiting = (job for jobs in self._waiting.values() for job in jobs)
        return sum(job.asker.side == asker.side for job in waiting) if asker.side else 0

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
        """Have all threads; one that could not be made, or that memory failed in the middle of its own steps, anew."""
        works: dict[str, Callable[[], None]] = {lane: partial(self._work, lane) for lane in LANES}
        for name, work in {**works, "finish": self._finish}.items():
            if name in self._threads and self._threads[name].is_alive():
                continue
            thread = threading.Thread(target=work, name=f"jobs-{name}", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                raise foreseen(error) from None
            self._threads[name] = thread

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
        except BaseException as error:  # the thread ends, and nobody is to wait for it
            for job in jobs:
                job.fail(error)
            raise
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
            with failing(job):
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
            with failing(job):
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
        except Exception:  # of one of them, which will say so when it is heard alone; or too much memory for all
            return [*together, *left]
        for (job, _, seconds), report in zip(decoded, reports, strict=True):
            with failing(job):
                self._done(job, replace(report, seconds={"decode": seconds, **report.seconds}))
        return left

    def _done(self, job: Job[Any], report: Report) -> None:
        with self._change:
            while len(self._finishing) >= UNFINISHED and not self._closed:
                self._change.wait()
            if self._closed:
                raise stopping()
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
            try:
                with failing(job):
                    job.tell("Writing the files", 0.0)
                    job.succeed(job.finish(report))
            finally:
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
