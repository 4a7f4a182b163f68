"""The REST interface as an application of its own, so that everything within it is answered as it documents."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.routing import Mount

import emoscope
from emoscope.api import schema
from emoscope.api.analyses import analyses
from emoscope.api.metrics import Measured
from emoscope.api.office import PREFIX, Office
from emoscope.api.problems import WHAT, Problem, answers, handle
from emoscope.api.runs import runs

if TYPE_CHECKING:
    from emoscope.analyzer import Analyzer

PAGE = Path(__file__).parent / "page"
ABOUT = (
    "Emotion in recordings and texts. Errors are problem documents (RFC 9457) whose `detail` says what to do. "
    "`Prefer: respond-async` answers with a run to ask for later, `Accept: text/event-stream` with progress."
)
COMPONENTS = "#/components/schemas/{model}"
TOKEN = {"type": "http", "scheme": "bearer", "description": "A token of EMOSCOPE_TOKEN, or the one made at start."}
AT_THE_GATE = 401, 403, 429  # what may be answered before a request comes here


def add_api(app: FastAPI, office: Office) -> None:
    """Put the interface into a web application, with what tells others how the process is.

    Whatever is mounted at "/" has to come later.
    """
    add_health(app, office.analyzer)

    @app.get("/metrics")
    def metrics() -> Response:
        """Return what Prometheus reads."""
        return Response(office.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    ours = Mount(PREFIX, create_api(office))
    ours.path_regex = re.compile(ours.path_regex.pattern, re.DOTALL)  # a line break in a path is ours to refuse, too
    app.router.routes.append(ours)
    app.add_middleware(Measured, metrics=office.metrics, prefix=PREFIX)


def add_health(app: FastAPI, analyzer: "Analyzer") -> None:
    """Say whether the process is alive, and whether it can answer."""

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Answer as long as the process is alive."""
        return {"status": "ok"}

    @app.get("/ready")
    async def ready() -> JSONResponse:
        """Say whether a model can answer, which, and how far the download of a better one is."""
        status = analyzer.status
        found: dict[str, Any] = {"state": status.state, "sentence": status.sentence}
        if status.news:
            found |= {"news": status.news, "doing": status.doing, "done": status.done}
        if status.model:
            found["model"] = asdict(status.model)
        return JSONResponse(found, 200 if status.state == "ready" else 503)


def create_api(office: Office) -> FastAPI:
    """Return the interface without its prefix.

    Who may call it is decided by what stands before it, `gate`; without that, a server that asks for tokens answers
    nobody.
    """
    api = FastAPI(title="Emoscope", version=emoscope.__version__, docs_url=None, redoc_url=None, openapi_url=None)
    api.router.redirect_slashes = False
    handle(api)
    api.include_router(analyses(office))
    api.include_router(runs(office))
    document = describe(api, guarded=office.settings.guarded)

    @api.get("/openapi.json", include_in_schema=False)
    async def openapi() -> JSONResponse:
        """Return the OpenAPI document."""
        return JSONResponse(document)

    @api.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        """Return a page that shows the document."""
        return FileResponse(PAGE / "docs.html")

    @api.get("/docs/{name}", include_in_schema=False)
    async def part(name: str) -> FileResponse:
        """Return what the page consists of."""
        if name not in ("docs.js", "docs.css"):
            raise Problem(404, f"There is no “{name}” here.")
        return FileResponse(PAGE / name)

    @api.get("/problems.json", include_in_schema=False)
    async def problems() -> dict[str, str]:
        """Return what kinds of problems there are, for the page."""
        return WHAT

    return api


def describe(api: FastAPI, *, guarded: bool) -> dict[str, Any]:
    """Return the OpenAPI document of the interface, which asks for a token or takes one all the same."""
    document = get_openapi(
        title=api.title,
        version=api.version,
        description=ABOUT,
        routes=api.routes,
        servers=[{"url": PREFIX}],
    )
    schemas = document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    problem = schema.Problem.model_json_schema(ref_template=COMPONENTS)
    schemas |= {**problem.pop("$defs"), "Problem": problem}
    document["components"]["securitySchemes"] = {"token": TOKEN}
    document["security"] = [{"token": []}] if guarded else [{}, {"token": []}]
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"] |= {str(status): answer for status, answer in answers(*AT_THE_GATE).items()}
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]  # FastAPI's own, which is answered nowhere
    return document
