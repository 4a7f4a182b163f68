"""What every route works with, and how a request waits for its analysis: to its end, as events, or not at all."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from emoscope.access import Asker, asking
from emoscope.api.metrics import Metrics
from emoscope.api.problems import Problem
from emoscope.api.uploads import Form, receive
from emoscope.errors import EmoscopeError, InputError, StorageError
from emoscope.history import History, Keeper, Kept, Run
from emoscope.jobs import Job, Jobs, Task
from emoscope.report import Report
from emoscope.settings import Settings

if TYPE_CHECKING:
    from emoscope.analyzer import Analyzer

T = TypeVar("T")

PREFIX = "/api/v1"
EVENTS = "text/event-stream"
LOOK = 0.2  # seconds between two looks at a job, and at whether its client is still there
BEAT = 15.0  # seconds without an event after which a comment keeps proxies from closing the stream
FRESH = {"Cache-Control": "no-store"}
RESULT = "result.json"


@dataclass(frozen=True, eq=False)
class Office:
    """The analyzer and its queue, the history, what is measured, and where uploads lie; the same for every request."""

    analyzer: "Analyzer"
    settings: Settings
    jobs: Jobs
    keeper: Keeper
    metrics: Metrics
    uploads: Path  # readable by this process's user only

    @property
    def asker(self) -> Asker:
        """Return who asks in this task; raises AccessError where that has to be known."""
        return asking(self.settings)

    async def receive(self, request: Request, *kinds: str) -> Form:
        """Take in a request's body, if there is room for another analysis."""
        try:
            self.jobs.check_room(self.asker)
            return await self._unless_stopped(receive(request, self.uploads, round(self.settings.max_mb * 1e6), kinds))
        except (EmoscopeError, Problem) as error:
            raise Problem.of(error).closing() from None

    async def answer(self, request: Request, form: Form, read: Callable[[Form], Task]) -> Response:
        """Put what a form asks for into the queue, and answer as the request prefers."""
        later = _prefers_later(request)
        try:
            task = await run_in_threadpool(read, form)
            job = self.submit(task, self._leave if later else self._send, remember=later)
        except BaseException:
            form.close()
            raise
        job.outcome.add_done_callback(lambda _: form.close())
        if later:
            headers = {"Location": f"{PREFIX}/runs/{job.id}", "Preference-Applied": "respond-async", **FRESH}
            return json_response(running(job), 202, headers)
        if wants_events(request):
            return self.stream(job, owner=True)
        return await self._wait(request, job)

    def submit(self, task: Task, finish: Callable[[str, Report], T], *, remember: bool = False) -> Job[T]:
        """Put a task at the end of the queue, as that of who asks; `finish` is told the account, too."""
        asker = self.asker
        return self.jobs.submit(task, partial(finish, asker.owner), remember=remember, asker=asker)

    def job(self, id: str) -> Job[Any] | None:
        """Return a job that is not over or is remembered, if it is theirs who ask."""
        return self.jobs.find(id, self.asker)

    def history(self) -> History:
        """Return the runs that who asks may see; raises StorageError."""
        return self.keeper.opened().of(self.asker.visitor)

    def stream(self, job: Job[bytes], *, owner: bool) -> Response:
        """Tell how far a job is as server-sent events; the `owner` ends it by hanging up."""
        headers = {**FRESH, "X-Accel-Buffering": "no"}
        return StreamingResponse(self._events(job, owner=owner), media_type=EVENTS, headers=headers)

    def result(self, job: Job[bytes]) -> bytes:
        """Return the report of a job that is over; raises what went wrong, as a problem."""
        try:
            return job.result() or compact(read_report(self.find(job.id)))
        except Exception as error:  # every error becomes a document
            raise Problem.of(error, job.id) from None

    def find(self, id: str) -> Run:
        """Return a run of the history; raises a 404 or 503 problem."""
        with reading():
            if self.settings.retention.nothing and not self.keeper.history.exists:
                raise no_run(id)
            try:
                return self.history().get(id)
            except InputError:
                raise no_run(id) from None

    async def _unless_stopped(self, taking_in: Coroutine[Any, Any, Form]) -> Form:
        """Wait for a body, but no longer than new analyses are taken; raises StoppingError."""
        task = asyncio.create_task(taking_in)
        try:
            while not (await asyncio.wait([task], timeout=LOOK))[0]:
                self.jobs.check_open()
            return task.result()
        finally:
            if task.cancel():
                await asyncio.wait([task])  # it removes what has arrived

    async def _wait(self, request: Request, job: Job[bytes]) -> Response:
        over = _signal(job)
        try:
            while not job.outcome.done():
                with suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), LOOK)
                if await request.is_disconnected():
                    job.cancel()
        finally:
            job.cancel()  # where the server is being stopped; what is over does not hear it
        return Response(await run_in_threadpool(self.result, job), headers=FRESH, media_type="application/json")

    async def _events(self, job: Job[bytes], *, owner: bool) -> AsyncIterator[bytes]:
        over, told, quiet = _signal(job), None, 0.0
        try:
            yield event("run", compact({"id": job.id}))
            while not job.outcome.done():
                if job.step != told:
                    told, quiet = job.step, 0.0
                    yield event("progress", compact(told._asdict()))
                elif quiet > BEAT:
                    quiet = 0.0
                    yield b": still at work\n\n"
                with suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), LOOK)
                quiet += LOOK
            try:
                yield event("report", await run_in_threadpool(self.result, job))
            except Problem as problem:
                yield event("problem", compact(problem.document))
        finally:
            if owner:
                job.cancel()

    def finish(self, owner: str, report: Report) -> dict[str, Any]:
        """Keep a report as the settings say, as that of an account, and return it as JSON types."""
        kept, found = self._keep(owner, report), report.to_dict()
        found["warnings"] += filter(None, [kept and kept.note])
        return found

    def _send(self, owner: str, report: Report) -> bytes:
        return compact(self.finish(owner, report))

    def _leave(self, owner: str, report: Report) -> bytes:
        """Finish a report that somebody comes back for; it stays in memory only where the history has no row of it."""
        kept = self._keep(owner, report)
        return b"" if kept and kept.run else compact(report.to_dict())

    def _keep(self, owner: str, report: Report) -> Kept | None:
        self.metrics.count(report)
        return None if self.settings.retention.nothing else self.keeper.keep(report, visitor=owner)


def running(job: Job[Any]) -> dict[str, Any]:
    """Describe a job that is not over."""
    progress = job.step._asdict()
    return {"id": job.id, "state": job.state, "progress": progress, "report": None, "problem": None, "files": []}


def read_report(run: Run) -> dict[str, Any]:
    """Return a run's report; raises a problem where its files are out of reach."""
    if run.folder is None:
        raise Problem(409, f"The files of run {run.id} lie on another machine. Ask there.")
    try:
        found: dict[str, Any] = json.loads((run.folder / RESULT).read_bytes())
    except FileNotFoundError:
        raise no_run(run.id) from None
    except (OSError, ValueError):
        raise Problem(503, f"The files of run {run.id} cannot be read. Try again, or analyse it again.") from None
    return found


def no_run(id: str) -> Problem:
    """Say that there is no such run."""
    return Problem(404, f"There is no run “{id}”. GET {PREFIX}/runs lists those that there are.")


@contextmanager
def reading() -> Iterator[None]:
    """Answer 503 where the history cannot be read: asking again may help, and nothing was to be stored."""
    try:
        yield
    except StorageError as error:
        raise Problem(503, str(error), kind="storage", title="The history cannot be read") from None


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Answer with JSON."""
    return Response(compact(value), status, headers or FRESH, "application/json")


def compact(value: Any) -> bytes:
    """Return JSON on one line; half a character in a file's name becomes an escape."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def event(name: str, data: bytes) -> bytes:
    """Return a server-sent event."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)


def wants_events(request: Request) -> bool:
    """Say whether the client asks for server-sent events."""
    return EVENTS in request.headers.get("accept", "").lower()


def _prefers_later(request: Request) -> bool:
    """Say whether the client would rather come back than wait."""
    said = ",".join(request.headers.getlist("prefer"))
    return any(each.strip().partition(";")[0].strip().lower() == "respond-async" for each in said.split(","))


def _signal(job: Job[Any]) -> asyncio.Event:
    """Return what is set when a job is over."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()

    def tell(_: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(over.set)

    job.outcome.add_done_callback(tell)
    return over
