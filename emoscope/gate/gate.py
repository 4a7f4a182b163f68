"""The gate in front of studio, REST and agents; pure ASGI, so that streams are not buffered."""

import re
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emoscope.access import SCOPE, WHO, Access, Asker, Visitor, address_of, asked_by
from emoscope.api.problems import Problem
from emoscope.errors import AccessError, BusyError
from emoscope.gate.page import again, fill_in, read_form
from emoscope.gate.strangers import has_foreign_name, sent_by_another_site
from emoscope.settings import Settings

SIGN_IN, SIGN_OUT, HOME = "/signin", "/signout", "/"
OPEN = ("/health", "/ready")  # a container's health check has no token
COOKIE = "emoscope_session"
FRESH = {"Cache-Control": "no-store"}
PORT = re.compile(r":(\d+)$")
CORS = b"access-control-"  # how headers begin that would let the pages of other sites read an answer

FOREIGN = "The page of another site has your browser do this. Open Emoscope itself, and do it there."
MISNAMED = (
    "Nobody calls this server “{host}”. Open it as http://localhost:{port}, or, if that is its name, start it with "
    "EMOSCOPE_HOSTS={host}."
)


class Gate:
    """Refuses what other sites have browsers do, and who has no token where one is needed; tells who asks."""

    def __init__(self, app: ASGIApp, access: Access, settings: Settings) -> None:
        self.app = app
        self.access = access
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":  # there are no other ones: the server speaks no WebSockets
            request = Request(scope, receive)
            answer = self._refuse(request) or (await self._let_in(request) if self.access.on else None)
            if answer is not None:
                await answer(scope, receive, send)
                return
            asker = scope.setdefault(SCOPE, Asker(address=address_of(scope.get("client"))))
            with asked_by(asker):
                await self.app(scope, receive, _closed(send))

    def _refuse(self, request: Request) -> Response | None:
        """Answer what no page of ours sends."""
        host = request.headers.get("host", "")
        if not self.access.on and has_foreign_name(request.headers, self.settings):
            return _say(request, 403, MISNAMED.format(host=PORT.sub("", host), port=self.settings.port))
        if sent_by_another_site(request.method, request.headers):
            return _say(request, 403, FOREIGN)
        return None

    async def _let_in(self, request: Request) -> Response | None:
        """Find out who asks; answer where that is not known, and what is about signing in or out."""
        path, address = request.scope["path"], address_of(request.scope.get("client"))
        try:
            if path == SIGN_IN:
                return await self._sign_in(request, address)
            if path == HOME and request.method in ("GET", "HEAD") and "token" in request.query_params:
                return self._exchange(request, address)
            visitor = self._visitor(request, address)
        except BusyError as error:
            return self._ask(request, error)
        if path == SIGN_OUT and request.method == "POST":
            return self._sign_out(request)
        if visitor is None and path not in OPEN:
            return self._ask(request, AccessError(WHO))
        request.scope[SCOPE] = Asker(visitor, address)
        return None

    def _visitor(self, request: Request, address: str) -> Visitor:
        """Return who shows a token or has a session; a token that is sent decides, right or wrong."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.access.visitor_with(token.strip(), address)
        return self.access.visitor_in(request.cookies.get(_cookie(request), ""))

    def _exchange(self, request: Request, address: str) -> Response:
        """Begin a session for the token in the address, and lead to the address without it."""
        rest = urlencode([pair for pair in request.query_params.multi_items() if pair[0] != "token"])
        visitor = self.access.visitor_with(request.query_params["token"], address)
        if visitor is None:
            return RedirectResponse(f"{SIGN_IN}?wrong=1", 303, FRESH)
        # A browser that came here from another site would send no strict cookie along when it is redirected.
        typed = request.headers.get("sec-fetch-site") in ("none", "same-origin") or not _is_read(request)
        clean = f"{HOME}?{rest}" if rest else HOME
        return self._begin(request, RedirectResponse(clean, 303, FRESH) if typed else again(request, clean), visitor)

    async def _sign_in(self, request: Request, address: str) -> Response:
        """Show the page, or begin a session for the token that was typed into it."""
        if request.method != "POST":
            wrong = "wrong" if "wrong" in request.query_params else ""
            return fill_in(request, 200, wrong)
        visitor = self.access.visitor_with(await read_form(request), address)
        if visitor is None:
            return fill_in(request, 401, "wrong")
        return self._begin(request, RedirectResponse(HOME, 303, FRESH), visitor)

    def _begin(self, request: Request, answer: Response, visitor: str) -> Response:
        session, secure = self.access.begin(visitor), request.scope["scheme"] == "https"
        answer.set_cookie(_cookie(request), session, httponly=True, samesite="strict", secure=secure, path="/")
        return answer

    def _sign_out(self, request: Request) -> Response:
        self.access.end(request.cookies.get(_cookie(request), ""))
        answer = RedirectResponse(SIGN_IN, 303, FRESH)
        answer.delete_cookie(_cookie(request), httponly=True, samesite="strict", path="/")
        return answer

    def _ask(self, request: Request, error: AccessError | BusyError) -> Response:
        """Ask a person to sign in, and a program for its token."""
        if not _is_read(request):
            return Problem.of(error).response()
        # A link on another site led here: the browser holds a strict cookie back, until our own page leads it on.
        if isinstance(error, AccessError) and request.headers.get("sec-fetch-site") == "cross-site":
            return again(request, _address(request))
        return fill_in(request, 401) if isinstance(error, AccessError) else fill_in(request, 429, "wait", error.seconds)


def _cookie(request: Request) -> str:
    """Return the name of the cookie: browsers do not tell servers on different ports of a machine apart."""
    port = PORT.search(request.headers.get("host", ""))
    return f"{COOKIE}_{port[1]}" if port else COOKIE


def _address(request: Request) -> str:
    """Return where a request goes, as an address that can only be one of ours."""
    path, query = request.scope["path"].lstrip("/\\"), request.scope["query_string"].decode("latin-1")
    return f"/{quote(path)}" + (f"?{query}" if query else "")


def _is_read(request: Request) -> bool:
    """Say whether a person will read the answer."""
    return "text/html" in request.headers.get("accept", "")


def _say(request: Request, status: int, sentence: str) -> Response:
    if _is_read(request):
        return PlainTextResponse(f"{sentence}\n", status, FRESH)
    return Problem(status, sentence, headers=FRESH).response()


def _closed(send: Send) -> Send:
    """Return a `send` that lets no page of another site read the answer: Gradio would allow some."""

    async def send_less(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = message.get("headers", ())
            message["headers"] = [pair for pair in given if not pair[0].lower().startswith(CORS)]
        await send(message)

    return send_less
