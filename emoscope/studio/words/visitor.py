"""Which language a visitor reads, and the page that is sent in it."""

import gzip
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import brotli
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emoscope.studio.words.catalogue import LANGUAGES, LOCALES, Language, say, words

if TYPE_CHECKING:
    import gradio as gr

COOKIE = "emoscope_language"
SCRIPT = Path(__file__).parent / "words.js"
GRADIO = "gradio."  # the area of the labels that Gradio does not translate
# Gradio packs only what has an ending. The page has none, and holds the scripts of every part, some of them many times.
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "br": lambda page: brotli.compress(page, quality=5),
    "gzip": lambda page: gzip.compress(page, 6),
}
AS_GRADIO_WRITES_IT = 'lang="en"', "</head>"


def language_of(request: "gr.Request | Request | None") -> Language:
    """Return the language that the visitor chose, else the one that the browser asks for, else English."""
    if request is None:
        return "en"
    chosen = request.cookies.get(COOKIE)
    for language in LANGUAGES:
        if chosen == language:
            return language
    return _accepted(request.headers.get("accept-language", ""))


def _accepted(header: str) -> Language:
    """Return the language that an Accept-Language header likes best: "de, zh-CN;q=0.8, en;q=0.5" is Chinese."""
    liked: dict[Language, float] = {"en": 0.0}
    for wish in header.lower().split(","):
        name, _, quality = wish.partition(";")
        for language in LANGUAGES:
            if name.strip().split("-")[0] == language:
                liked[language] = max(liked.get(language, 0.0), _quality(quality))
    return max(liked, key=lambda language: liked[language])  # the first of equals


def _quality(text: str) -> float:
    try:
        return float(text.strip().removeprefix("q=") or 1)
    except ValueError:
        return 0.0


@cache
def script(language: Language) -> str:
    """Return the script that every page begins with: Gradio's language, and `window.emoscope` for the parts."""
    shown = {key: text for key, text in words(language).items() if not key.startswith(GRADIO)}
    gradio = [[text, words(language)[key]] for key, text in words("en").items() if key.startswith(GRADIO)]
    arguments = (json.dumps(each, ensure_ascii=False) for each in (language, LOCALES[language], shown, gradio))
    given = ", ".join(arguments).replace("<", r"\u003c")  # no string may end the script
    return f"<script>\n({SCRIPT.read_text(encoding='utf-8').strip()})({given});\n</script>"


class PageInLanguage:
    """Puts the visitor's language into the page itself, which Gradio writes once for everybody.

    Gradio's scripts take the browser's language before they run any script of the app's own, so the words must stand in
    the HTML before them, as must the `lang` that a screen reader goes by.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["path"] == "/" and scope["method"] == "GET":
            request = Request(scope)
            send = _translating(send, language_of(request), request.headers.get("accept-encoding", ""))
        await self.app(scope, receive, send)


def _translating(send: Send, language: Language, packings: str) -> Send:
    """Return a `send` that waits for the whole page, puts the language into it, and packs it as the browser accepts."""
    start: Message = {}
    page = bytearray()

    async def send_page(message: Message) -> None:
        nonlocal start
        if message["type"] == "http.response.start":
            start = message
            return
        page.extend(message.get("body", b""))
        if message.get("more_body"):
            return
        body = _in_language(page.decode(), language).encode() if start["status"] == 200 else bytes(page)
        headers = MutableHeaders(raw=list(start["headers"]))
        headers["content-language"] = LOCALES[language]
        headers.add_vary_header("Accept-Language, Cookie")
        headers.add_vary_header("Accept-Encoding")
        name, pack = next((each for each in PACKINGS.items() if each[0] in packings), ("", bytes))
        if name:
            headers["content-encoding"] = name
        body = pack(body)
        headers["content-length"] = str(len(body))
        await send({**start, "headers": headers.raw})
        await send({"type": "http.response.body", "body": body})

    return send_page


def _in_language(page: str, language: Language) -> str:
    language_mark, head_end = AS_GRADIO_WRITES_IT
    page = page.replace(language_mark, f'lang="{LOCALES[language]}"', 1)
    return page.replace(head_end, f"<title>{say('header.title', language)}</title>{script(language)}{head_end}", 1)
