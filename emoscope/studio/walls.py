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
# What answers programs, and the page that explains it: files of our own and nothing inline.
STRICT = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
# What visitors upload and are shown, where somebody opens it by itself: nothing in it runs.
FILES = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox"
POLICIES = {"/api/": STRICT, "/metrics": STRICT, "/gradio_api/file=": FILES}  # by how a path begins
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"microphone=(self), camera=(), geolocation=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
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
            await _refuse(_with_headers(send, POLICY))
        else:
            await self.app(scope, receive, _with_headers(send, policy_for(scope["path"])))


def is_closed(path: str) -> bool:
    """Say whether nobody may call this path."""
    path = path.lower().removeprefix("/gradio_api")
    return path.startswith(CLOSED) or (path.startswith("/file=") and "//" in path)


def policy_for(path: str) -> str:
    """Return what a browser may load for an answer."""
    return next((policy for begin, policy in POLICIES.items() if path.startswith(begin)), POLICY)


def _with_headers(send: Send, policy: str) -> Send:
    """Return a `send` that adds our headers where there are none yet, and our policy to any: browsers hold to both."""

    async def send_more(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = message.get("headers", ())
            names = {name.lower() for name, _ in given}
            ours = (b"content-security-policy", policy.encode()), *(pair for pair in HEADERS if pair[0] not in names)
            message["headers"] = [*given, *ours]
        await send(message)

    return send_more


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": b"This is not served here.\n"})
