"""The three routes that analyse: a recording, a text, and both together."""

from typing import Any

from fastapi import APIRouter, Request, Response

from emoscope.api import schema
from emoscope.api.forms import (
    NEITHER,
    NO_WORDS,
    SpeechFields,
    TextFields,
    TogetherFields,
    body,
    parse,
    recording_of,
    words_of,
)
from emoscope.api.office import EVENTS, Office
from emoscope.api.problems import answers
from emoscope.api.uploads import FILE, FORM, JSON, TRANSCRIPT, Form
from emoscope.errors import InputError
from emoscope.jobs import Task

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": schema.Report,
        "description": "The report, or with `Accept: text/event-stream` the events `run`, `progress`, and in the end "
        "`report` or `problem`.",
        "content": {EVENTS: {"schema": {"type": "string"}}},
    },
    202: {"model": schema.Run, "description": "With `Prefer: respond-async`: the run to ask for later."},
    **answers(400, 409, 413, 415, 422, 429, 500, 503, 507),
}
PREFER = {
    "name": "Prefer",
    "in": "header",
    "description": "`respond-async` answers at once, with a run to ask for later.",
    "schema": {"type": "string"},
}


def analyses(office: Office) -> APIRouter:
    """Return the routes that analyse."""
    routes = APIRouter(tags=["Analyses"])
    store = office.settings.models

    def hear(form: Form) -> Task:
        options = parse(SpeechFields, form, store)
        return Task(options, *recording_of(form))

    def read(form: Form) -> Task:
        options, words = parse(TextFields, form, store), words_of(form)
        if words is None:
            raise InputError(NO_WORDS)
        return Task(options, transcript=words)

    def do_both(form: Form) -> Task:
        options, words = parse(TogetherFields, form, store), words_of(form)
        if words is None and not options.transcribe:
            raise InputError(NEITHER)
        return Task(options, *recording_of(form), words)

    @routes.post("/speech", responses=ANSWERS, openapi_extra=_asks(SpeechFields, FILE, needed=(FILE,)))
    async def speech(request: Request) -> Response:
        """Hear the emotion of a recording."""
        return await office.answer(request, await office.receive(request, FORM), hear)

    @routes.post("/text", responses=ANSWERS, openapi_extra=_asks(TextFields, TRANSCRIPT))
    async def text(request: Request) -> Response:
        """Read the emotion of a text, of its sentences and of its words."""
        return await office.answer(request, await office.receive(request, JSON, FORM), read)

    @routes.post(
        "/multimodal", responses=ANSWERS, openapi_extra=_asks(TogetherFields, FILE, TRANSCRIPT, needed=(FILE,))
    )
    async def multimodal(request: Request) -> Response:
        """Hear a recording, read its words, and give one answer."""
        return await office.answer(request, await office.receive(request, FORM), do_both)

    return routes


def _asks(fields: Any, *files: str, needed: tuple[str, ...] = ()) -> dict[str, Any]:
    return {**body(fields, files=files, needed=needed), "parameters": [PREFER]}
