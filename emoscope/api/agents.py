"""Two tools for language-model agents, over the Model Context Protocol; there when its extra is installed."""

import asyncio
import base64
import binascii
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from emoscope.api.office import Office
from emoscope.api.uploads import plain_name
from emoscope.errors import EmoscopeError, InputError, TooLargeError
from emoscope.jobs import Task
from emoscope.settings import Granularity, Options
from emoscope.transcript import Transcript

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

PATH = "/mcp"
LARGEST = 20_000_000  # bytes of a request; an agent holds all of it in its memory, and so does this process
NO_BASE64 = "The recording is no base64. Encode the bytes of the file, without a prefix."


@asynccontextmanager
async def serving(app: FastAPI, office: Office) -> AsyncIterator[None]:
    """Serve the tools as long as this lasts; nothing happens where the extra is not installed."""
    if find_spec("mcp") is None:
        yield
        return
    agents = _Agents(office)
    app.router.routes.insert(0, Route(PATH, agents))  # before Gradio, which answers everything that comes after it
    task = asyncio.create_task(agents.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class _Agents:
    """Brings the protocol's library in with the first request: that takes seconds, and most servers get none."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._asked = asyncio.Event()
        self._served: asyncio.Future[ASGIApp] = asyncio.get_running_loop().create_future()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        self._asked.set()
        served = await asyncio.shield(self._served)
        await served(scope, receive, send)

    async def run(self) -> None:
        """Serve from the first request on, until this task is cancelled."""
        await self._asked.wait()
        try:
            server = await run_in_threadpool(create_agents, self._office)
        except Exception as error:  # else who asked would wait for ever
            self._served.set_exception(error)
            return
        served = server.streamable_http_app(
            streamable_http_path=PATH,
            json_response=True,
            stateless_http=True,
            max_request_body_size=LARGEST,
            host=self._office.settings.host,
        )
        async with server.session_manager.run():
            self._served.set_result(served)
            await asyncio.Event().wait()  # for ever


def create_agents(office: Office) -> "MCPServer[Any]":
    """Return a server with the two tools."""
    from mcp.server.mcpserver import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError

    server: MCPServer[Any] = MCPServer(
        "Emoscope", instructions="Hears emotion in recordings and reads it in texts.", log_level="WARNING"
    )

    async def run(task: Task) -> dict[str, Any]:
        job = office.submit(task, office.finish)
        try:
            return await asyncio.wrap_future(job.outcome)
        finally:
            job.cancel()

    @server.tool()
    async def analyze_speech(recording: str, name: str = "", granularity: Granularity = "utterance") -> dict[str, Any]:
        """Hear the emotion of a recording.

        `recording` is the file's bytes as base64, in any format with sound, `name` what the file is called. The answer
        is a report: the verdict, nine probabilities, and the segments along the time; the granularity "frame" adds
        nine probabilities for every 20 ms.
        """
        with tempfile.TemporaryDirectory(dir=office.uploads) as folder:
            file = Path(folder) / "recording"
            try:
                file.write_bytes(_decoded(recording, office))
                return await run(Task(Options(granularity=granularity), file, plain_name(name)))
            except EmoscopeError as error:
                raise ToolError(str(error)) from None

    @server.tool()
    async def analyze_text(text: str) -> dict[str, Any]:
        """Read the emotion of a text.

        The answer is a report: the verdict, nine probabilities, and the same for every sentence, with what each word
        did to them.
        """
        try:
            return await run(Task(Options(), transcript=Transcript.typed(text)))
        except EmoscopeError as error:
            raise ToolError(str(error)) from None

    return server


def _decoded(recording: str, office: Office) -> bytes:
    try:
        data = base64.b64decode(recording, validate=True)
    except (binascii.Error, ValueError):
        raise InputError(NO_BASE64) from None
    if len(data) > office.settings.max_mb * 1e6:
        raise TooLargeError(f"The recording has more than {office.settings.max_mb:g} MB. Cut it, or save it as MP3.")
    return data
