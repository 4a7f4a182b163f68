"""How requests come in: whoever is too slow, sends more than there is room for, or is one too many hears so."""

import asyncio
import logging
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from emoscope.api.office import PREFIX
from emoscope.api.problems import Problem
from emoscope.errors import StorageError
from emoscope.room import Room
from emoscope.studio.words import language_of, translate

log = logging.getLogger(__name__)

CONNECTIONS = 500  # at once; a browser has up to six
HEAD = 20.0  # seconds that the first line and the headers of a request may take, 64 KB at the most
QUIET = 30.0  # seconds without a byte of a body
SLOWEST = 2_000  # bytes per second of a body, on average, once `QUIET` seconds were spent waiting for it
BODIES = 64  # at once that are still arriving
SMALL = 16_384  # bytes of a body that are taken even where there is no room: what makes room is asked for, too
UNREAD, LINGERING = 2_000_000, 2.0  # bytes and seconds that a refused body may still take

LATE = "The request stopped arriving, or came too slowly. Send it again over a faster connection."
CROWDED = "Too many uploads are arriving at this moment. Try again in half a minute."
RETRY = "30"  # seconds


class Prompt(H11Protocol):
    """HTTP as uvicorn speaks it, for those who send the head of a request in time, and no more after the answer.

    Uvicorn itself waits for ever for the end of a head.
    """

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take in what has come."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Go on to the next request."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._rest()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Let the time run while a head is missing, or a body whose answer is out; else stop it."""
        answered = self.cycle is None or self.cycle.response_complete
        if not answered or self.transport.is_closing():
            self._rest()
        elif self._patience is None:
            self._patience = self.loop.call_later(HEAD, self.transport.close)

    def _rest(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


class Intake:
    """Lets requests with bodies in one by one, as they arrive; pure ASGI, so that nothing is held back."""

    def __init__(self, app: ASGIApp, room: Room) -> None:
        self.app = app
        self._room = room
        self._arriving: set[_Body] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != "http" or not _has_body(scope):
            await self.app(scope, receive, send)
            return
        body = _Body(scope, receive, send, self._room, self._arriving)
        if len(self._arriving) >= BODIES:
            await body.refuse(503, CROWDED)
            return
        self._arriving.add(body)
        try:
            await self.app(scope, body.receive, body.send)
        except Exception:  # whatever the application makes of a body that was cut off: its answer is out already
            if not body.refused:
                raise
            log.debug("a request was refused while it arrived", exc_info=True)
        finally:
            self._arriving.discard(body)


class _Body:
    """The body of one request on its way in, and the answer on its way out."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, room: Room, arriving: "set[_Body]") -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._room, self._arriving = room, arriving
        self._size, self._waited = 0, 0.0
        self._ended = False  # all of it is here
        self._answering = False
        self.refused = False

    async def receive(self) -> Message:
        """Return the next piece, as an application asks for it."""
        if self.refused:
            return {"type": "http.disconnect"}
        if self._ended:
            return await self._receive()
        clock = asyncio.get_running_loop()
        begun = clock.time()
        try:
            async with asyncio.timeout(QUIET):
                message = await self._next()
        except TimeoutError:
            return await self._give_up(408, LATE, linger=False)
        self._waited += clock.time() - begun
        if not self._ended and self._waited > QUIET and self._size < SLOWEST * self._waited:
            return await self._give_up(408, LATE, linger=False)
        if self._room.take(len(message.get("body", b""))) and self._size > SMALL:
            try:
                await asyncio.to_thread(self._room.make)
            except StorageError as error:
                return await self._give_up(507, str(error))
        return message

    async def send(self, message: Message) -> None:
        """Pass the application's answer on, unless there was another one."""
        if self.refused:
            return
        if message["type"] == "http.response.start":
            self._answering = True
            if message["status"] >= 400 and not self._ended:
                await self._let_out()
        await self._send(message)

    async def refuse(self, status: int, sentence: str, *, linger: bool = True) -> None:
        """Answer instead of the application; `linger` while somebody is still sending."""
        self.refused = True
        if linger and not self._ended:
            await self._let_out()
        headers = {"Connection": "close", "Retry-After": RETRY, "Cache-Control": "no-store"}
        if self._scope["path"].startswith(PREFIX):
            answer = Problem(status, sentence, headers=headers).response()
        else:  # Gradio's page shows it as it is
            said = translate(sentence, language_of(Request(self._scope)))
            answer = PlainTextResponse(f"{said}\n", status, headers)
        await answer(self._scope, self._receive, self._send)

    async def _next(self) -> Message:
        message: Message = await self._receive()
        self._size += len(message.get("body", b""))
        if not message.get("more_body", False):
            self._ended = True
            self._arriving.discard(self)
        return message

    async def _give_up(self, status: int, sentence: str, *, linger: bool = True) -> Message:
        self._arriving.discard(self)
        if not self._answering:
            await self.refuse(status, sentence, linger=linger)
        self.refused = True
        return {"type": "http.disconnect"}

    async def _let_out(self) -> None:
        """Read a little more of a body that is refused, and forget it.

        A connection that is closed with bytes unread is reset, and a client that is still sending never sees the
        answer.
        """
        least = self._size + UNREAD
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGERING):
                while not self._ended and self._size < least:
                    await self._next()


def _has_body(scope: Scope) -> bool:
    """Say whether a request announces one."""
    headers = dict(scope["headers"])
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
