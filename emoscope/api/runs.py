"""The routes of what was analysed before: runs, their reports and files; and the models that there are."""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as Address
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from pydantic import AwareDatetime, BeforeValidator

from emoscope import export, models
from emoscope.api import schema
from emoscope.api.forms import public_name
from emoscope.api.office import (
    EVENTS,
    FRESH,
    PREFIX,
    Office,
    compact,
    event,
    json_response,
    no_run,
    read_report,
    reading,
    running,
    wants_events,
)
from emoscope.api.problems import Problem, answers
from emoscope.history import Filter, Run
from emoscope.labels import LABELS

ID = re.compile(r"[0-9a-f]{16}")
LONGEST_LIST = 200  # runs in one answer
LAST_PAGE = 10_000_000
NO_FILE = "Run {id} has no file “{name}”. GET {prefix}/runs/{id} lists those that it has."


def _dated(text: str) -> str:
    """Refuse what pydantic would take for seconds since 1970."""
    if "T" not in text:
        raise ValueError("give date, time and timezone as 2026-03-01T14:05:00Z")
    return text


Words = Annotated[str, Query(max_length=200)]
Id = Annotated[str, Address(json_schema_extra={"pattern": f"^{ID.pattern}$"})]  # what is none of it has no run: 404
Moment = Annotated[AwareDatetime, BeforeValidator(_dated)]
Emotion = Literal["angry", "disgusted", "fearful", "happy", "neutral", "other", "sad", "surprised", "unknown"]
Mode = Literal["speech", "text", "multimodal"]
Order = Literal["newest", "oldest", "surest", "longest"]


def runs(office: Office) -> APIRouter:
    """Return the routes of runs and models."""
    routes = APIRouter()

    @routes.get("/runs", tags=["Runs"], responses={200: {"model": schema.Rows}, **answers(422, 500, 503)})
    def list_runs(
        text: Words = "",
        emotion: Annotated[list[Emotion], Query(max_length=len(LABELS))] = [],  # noqa: B006 — FastAPI copies it
        since: Moment | None = None,
        until: Moment | None = None,
        source: Words = "",
        model: Words = "",
        mode: Mode | None = None,
        order: Order = "newest",
        limit: Annotated[int, Query(ge=1, le=LONGEST_LIST)] = 50,
        offset: Annotated[int, Query(ge=0, le=LAST_PAGE)] = 0,
    ) -> Response:
        """List runs of the past, the newest first; every condition that is given has to hold."""
        chosen = Filter(text, tuple(emotion), since, until, source, model, mode or "")
        if office.settings.retention.nothing and not office.keeper.history.exists:
            return json_response({"total": 0, "runs": []})
        with reading():
            history = office.history()
            found = history.search(chosen, order=order, limit=limit, offset=offset)
            return json_response({"total": history.count(chosen), "runs": [_row(run) for run in found]})

    @routes.get(
        "/runs/{id}",
        tags=["Runs"],
        responses={
            200: {"model": schema.Run, "content": {EVENTS: {"schema": {"type": "string"}}}},
            **answers(404, 409, 500, 503),
        },
    )
    async def get_run(id: Id, request: Request) -> Response:
        """Say how far a run is, and what came out; with `Accept: text/event-stream` as events until it is over."""
        _check(id)
        job = office.job(id)
        if wants_events(request):
            if job:
                return office.stream(job, owner=False)
            report = compact(read_report(await run_in_threadpool(office.find, id)))
            told = event("run", compact({"id": id})) + event("report", report)
            return Response(told, headers=FRESH, media_type=EVENTS)
        return json_response(await run_in_threadpool(_describe, office, id))

    @routes.delete("/runs/{id}", tags=["Runs"], status_code=204, responses=answers(404, 409, 500, 503))
    def delete_run(id: Id) -> Response:
        """Stop a run that is not over, or delete one of the past with all of its files."""
        _check(id)
        job = office.job(id)
        if job:
            over = job.outcome.done()
            job.cancel()
            if over:
                office.jobs.forget(job)
            if not over or job.state != "done" or job.result():  # there is no row of it
                return Response(status_code=204)
        if office.find(id).folder is None:
            raise Problem(409, f"The files of run {id} lie on another machine. Delete it there.")
        with reading():
            office.history().delete([id])
        return Response(status_code=204)

    @routes.get(
        "/runs/{id}/files/{name}",
        tags=["Runs"],
        response_class=FileResponse,
        responses={
            200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
            **answers(404, 409, 500, 503),
        },
    )
    def get_file(id: Id, name: str) -> Response:
        """Return one file of a run, or the ZIP of all of them."""
        _check(id)
        for file in _files(office.find(id)):
            if file.name == name:
                return FileResponse(file, filename=file.name, headers=FRESH)
        raise Problem(404, NO_FILE.format(id=id, name=name, prefix=PREFIX))

    @routes.get("/models", tags=["Models"], responses={200: {"model": schema.Models}, **answers(500)})
    def list_models() -> Response:
        """List the models that are on disk, or could be, and the one that answers."""
        answering = office.analyzer.status.model
        found = [_model(entry) for entry in models.inventory(office.settings.models)]
        return json_response({"answers": answering and vars(answering), "models": found})

    return routes


def _check(id: str) -> None:
    """Raise a 404 problem for what cannot be a run, before anything is looked up."""
    if not ID.fullmatch(id):
        raise no_run(id)


def _describe(office: Office, id: str) -> dict[str, Any]:
    job = office.job(id)
    if job and not job.outcome.done():
        return running(job)
    if job and job.state == "cancelled":
        return {**running(job), "progress": None}
    if job and job.state == "failed":
        problem = Problem.of(job.outcome.exception() or RuntimeError(), job.id)
        return {**running(job), "progress": None, "problem": problem.document}
    if job and (body := job.result()):  # there is no row of it: this is the only place that has it
        if office.settings.retention.nothing:
            office.jobs.forget(job)
        return {**running(job), "progress": None, "report": json.loads(body)}
    run = office.find(id)
    files = [_file(id, file) for file in _files(run)]
    found = {"id": id, "state": "done", "progress": None, "report": read_report(run), "problem": None}
    return {**found, "files": files}


def _files(run: Run) -> list[Path]:
    """Return the files of a run that may be fetched: those that exports write, and their ZIP, in that order."""
    if run.folder is None:
        raise Problem(409, f"The files of run {run.id} lie on another machine. Ask there.")
    names = (*export.WRITERS, f"{run.folder.name}.zip")
    return [file for name in names if (file := run.folder / name).is_file() and not file.is_symlink()]


def _file(id: str, file: Path) -> dict[str, Any]:
    writer = export.WRITERS.get(file.name)
    what = writer.what if writer else export.ARCHIVE
    url = f"{PREFIX}/runs/{id}/files/{file.name}"
    return {"name": file.name, "what": what, "bytes": file.stat().st_size, "url": url}


def _row(run: Run) -> dict[str, Any]:
    """Return a run as JSON; where its folder is, is nobody's business, and whose it is, who asks knows."""
    found = run.to_dict()
    del found["folder"], found["visitor"]
    return found


def _model(entry: models.Entry) -> dict[str, Any]:
    names = ("kind", "title", "state", "bytes", "licence", "authors", "source", "certificate")
    return {"name": public_name(entry), **{name: getattr(entry, name) for name in names}}
