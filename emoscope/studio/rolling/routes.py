"""The routes that a live microphone speaks to: it sends numbered pieces of sound and is answered with what was heard.

Gradio's own streaming keeps only the newest piece while a request is under way: every slow moment of the network or of
the page loses sound. Here a piece is kept by the page until it is acknowledged, and sent again if need be.
"""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

from emoscope.errors import EmoscopeError
from emoscope.live import Live, Session
from emoscope.studio.rolling import view
from emoscope.studio.words import language_of, translate

HERE = Path(__file__).parent
MOST = 4_000_000  # bytes in one request: 20 s at 96 kHz
PATIENCE, LOOKS = 0.15, 10  # seconds that an answer waits at most for the model, and how often it looks
SCRIPT = HERE / "recorder.js"

Count = Annotated[int, Query(ge=0, le=2**53)]


def add_routes(app: FastAPI, live: Live) -> None:
    """Let visitors begin, feed and leave live sessions."""

    @app.get("/live/recorder.js")
    async def recorder() -> FileResponse:
        """Return the script that takes the sound off the microphone; it runs in a thread of its own."""
        return FileResponse(SCRIPT, media_type="text/javascript")

    @app.post("/live")
    async def begin(rate: Annotated[int, Query(ge=1)], request: Request) -> dict[str, str]:
        """Begin a session with a microphone of this sample rate."""
        try:
            session = await run_in_threadpool(live.open, rate)
        except EmoscopeError as error:
            raise HTTPException(503, translate(str(error), language_of(request))) from None
        return {"token": session.token}

    @app.post("/live/{token}")
    async def feed(token: str, request: Request, first: Count, since: Count = 0) -> dict[str, Any]:
        """Take in 16-bit samples, the first being number `first`; answer with the frames from number `since` on."""
        piece = _samples(await _body(request))
        language = language_of(request)
        try:
            session = await run_in_threadpool(live.feed, token, piece, first)
        except EmoscopeError as error:
            raise HTTPException(410, translate(str(error), language)) from None
        await _heard(session)
        return view(session.look(since), session.received, language)

    @app.post("/live/{token}/leave")
    async def leave(token: str) -> Response:
        """End a session and forget its recording: the visitor has gone, or wants no report."""
        await run_in_threadpool(live.end, token)
        return Response(status_code=204)


async def _heard(session: Session) -> None:
    """Wait a moment for the pass that hears what has just arrived, so that this answer can tell of it."""
    for _ in range(LOOKS):
        if not session.is_behind():
            return
        await asyncio.sleep(PATIENCE / LOOKS)


async def _body(request: Request) -> bytes:
    """Return what was sent, as long as it is no more than a piece may be."""
    whole = bytearray()
    async for part in request.stream():
        whole += part
        if len(whole) > MOST:
            raise HTTPException(413, "A piece of sound is at most 4 MB.")
    return bytes(whole)


def _samples(body: bytes) -> "np.ndarray[Any, np.dtype[np.float32]]":
    if len(body) % 2:
        raise HTTPException(400, "A piece of sound is a row of 16-bit samples.")
    return np.frombuffer(body, dtype="<i2").astype(np.float32) / np.float32(2**15)
