"""What the web server refuses, and the headers of every answer; pure ASGI, so that streams are not buffered."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Gradio's own scripts are inline and compile templates, hence 'unsafe-inline' and 'unsafe-eval'. What this still stops
# is loading anything from elsewhere, and sending anything elsewhere.
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "connect-src 'self' data: blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"microphone=(self), camera=(), geolocation=()"),
)
# Routes of Gradio that make the server fetch an address for a visitor, or run ffmpeg on an upload; nobody needs them.
CLOSED = ("/proxy=", "/process_recording", "/deep_link", "/vibe")


class Walls:
    """Refuses the routes that nobody here needs, and adds the security headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif is_closed(scope["path"]):
            await _refuse(send)
        else:
            await self.app(scope, receive, _with_headers(send))


def is_closed(path: str) -> bool:
    """Say whether nobody may call this path."""
    path = path.lower().removeprefix("/gradio_api")
    return path.startswith(CLOSED) or (path.startswith("/file=") and "//" in path)


def _with_headers(send: Send) -> Send:
    async def send_more(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *HEADERS]
        await send(message)

    return send_more


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *HEADERS]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": b"This is not served here.\n"})
