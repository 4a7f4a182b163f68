"""Errors as RFC 9457 problem documents: one sentence that says what to do, and a status that programs understand."""

import json
import logging
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeAlias

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from emoscope import errors

log = logging.getLogger(__name__)

MEDIA = "application/problem+json"
UNFORESEEN = "Something went wrong that nobody foresaw. The log of this process has it under number {number}."
REFUSED = {  # what the routing says, as sentences
    404: "There is nothing at this address. GET /api/v1/openapi.json tells what there is.",
    405: "This address cannot be asked for in this way. GET /api/v1/openapi.json tells how.",
}
INVALID = "The request does not fit: {what}."
Wrongs: TypeAlias = tuple[tuple[str, str], ...]  # fields, and what is wrong with each

# The most particular class first. Each kind of problem is explained on the page of the documentation.
KINDS: dict[type[Exception], tuple[int, str, str]] = {
    errors.TooLargeError: (413, "too-large", "Too large"),
    errors.AudioError: (422, "audio", "No sound can be read from it"),
    errors.OptionError: (422, "option", "An option without meaning"),
    errors.InputError: (422, "input", "This cannot be used"),
    errors.ModelError: (503, "model", "A model is missing or broken"),
    errors.StorageError: (507, "storage", "Results cannot be stored"),
    errors.AccessError: (401, "access", "Who asks is not known"),
    errors.ExhaustedError: (503, "memory", "Too little memory"),
    errors.StoppingError: (503, "stopping", "The server is being stopped"),
    errors.BusyError: (429, "busy", "Too many are waiting"),
    errors.Cancelled: (409, "stopped", "The analysis was stopped"),
}
WHAT = {  # of each kind, for the page of the documentation
    "too-large": "The file or text is over a limit of this server.",
    "audio": "The file holds no sound that can be read.",
    "option": "An option has a value that does not exist.",
    "input": "Something is missing in the request, or cannot be used.",
    "model": "The model is not on this machine, or is damaged.",
    "storage": "The disk is full or the database away; the same request may succeed later.",
    "access": "The token is missing, or is none of this server's.",
    "busy": "The queue is full; Retry-After says in how many seconds there should be room.",
    "memory": "The machine has too little memory at the moment; Retry-After says when to ask again.",
    "stopping": "The server is being stopped, and what it was asked for may be lost; the next one answers soon.",
    "stopped": "Somebody stopped the analysis.",
    "about:blank": "What the status says, without anything more.",
}


class Problem(Exception):  # noqa: N818 — named as the standard names it
    """A problem document that a route answers with."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str = "about:blank",
        title: str = "",
        wrongs: Wrongs = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})
        self.document: dict[str, Any] = {
            "type": kind if kind == "about:blank" else f"/api/v1/docs#{kind}",
            "title": title or HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
        }
        if wrongs:
            self.document["errors"] = [{"field": field, "detail": what} for field, what in wrongs]

    @classmethod
    def of(cls, error: BaseException, number: str = "") -> "Problem":
        """Describe an error; one that nobody foresaw by its number in the log."""
        if isinstance(error, Problem):
            return error
        for known, (status, kind, title) in KINDS.items():
            if isinstance(error, known):
                return cls(status, str(error), kind=kind, title=title, headers=_headers(error))
        return cls(500, UNFORESEEN.format(number=number))

    def closing(self) -> "Problem":
        """Return it as the last answer of its connection: what is still to be sent there, nobody reads."""
        self.headers["Connection"] = "close"
        return self

    def response(self) -> Response:
        """Return it as an answer."""
        return Response(json.dumps(self.document), self.status, self.headers, MEDIA)


def _headers(error: BaseException) -> dict[str, str]:
    if isinstance(error, errors.AccessError):
        return {"WWW-Authenticate": "Bearer"}
    return {"Retry-After": str(error.seconds)} if isinstance(error, errors.BusyError) else {}


def invalid(found: list[Any]) -> Problem:
    """Describe what pydantic finds wrong with a request."""
    wrongs = tuple((".".join(map(str, each["loc"])) or "body", str(each["msg"])) for each in found)
    what = "; ".join(f"{field}: {detail[:1].lower()}{detail[1:]}" for field, detail in wrongs)
    return Problem(422, INVALID.format(what=what), kind="input", title="This cannot be used", wrongs=wrongs)


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the problems of these statuses for the OpenAPI document."""
    content = {"content": {MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    return {status: {"description": HTTPStatus(status).phrase, **content} for status in statuses}


def handle(app: FastAPI) -> None:
    """Have an application answer with problem documents, whatever goes wrong in it."""

    async def known(_request: Request, error: Exception) -> Response:
        return Problem.of(error).response()

    async def refused(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = REFUSED.get(error.status_code, f"{error.detail}.")
        return Problem(error.status_code, detail, headers=error.headers).response()

    async def misfit(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return invalid([{**each, "loc": each["loc"][1:]} for each in error.errors()]).response()

    async def unforeseen(_request: Request, error: Exception) -> Response:
        number = secrets.token_hex(3)
        log.error("unforeseen error %s", number, exc_info=error)
        return Problem.of(error, number).response()

    app.add_exception_handler(Problem, known)
    app.add_exception_handler(errors.EmoscopeError, known)
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, misfit)
    app.add_exception_handler(Exception, unforeseen)
