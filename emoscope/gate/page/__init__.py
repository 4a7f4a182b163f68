"""The page to sign in at: no script, nothing from elsewhere, and a policy that allows no more than that."""

import hashlib
import html
from base64 import b64encode
from functools import cache
from pathlib import Path
from string import Template
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from emoscope.studio.words import COOKIE as LANGUAGE
from emoscope.studio.words import LANGUAGES, LOCALES, Language, language_of, say

HERE = Path(__file__).parent
LONGEST = 4096  # bytes of the form
YEAR = 365 * 86_400  # seconds
STYLE = (HERE / "page.css").read_text("utf-8")
STYLE_HASH = b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    # With “no-referrer” a browser would not say whose form it sends.
    "Referrer-Policy": "same-origin",
    "Vary": "Accept-Language, Cookie",
}
TEXTS = ("title", "explain", "token", "enter", "help")
TROUBLE = '<p class="trouble" id="trouble" role="alert">{sentence}</p>'
INVALID = ' aria-invalid="true" aria-describedby="trouble"'


def fill_in(request: Request, status: int, trouble: str = "", seconds: int = 0) -> Response:
    """Return the page, in the visitor's language, with what went wrong: a key of its words."""
    wish = request.query_params.get("language")
    language = next((each for each in LANGUAGES if each == wish), language_of(request))
    other: Language = "zh" if language == "en" else "en"
    sentence = html.escape(say(f"gate.{trouble}", language, seconds=seconds)) if trouble else ""
    texts = {name: html.escape(say(f"gate.{name}", language)) for name in TEXTS}
    body = _template("signin").substitute(
        texts,
        style=STYLE,
        locale=LOCALES[language],
        invalid=INVALID if trouble else "",
        trouble=TROUBLE.format(sentence=sentence) if trouble else "",
        other=other,
        other_locale=LOCALES[other],
        other_name=say("header.other", language),
        switch=say("header.switch", language),
    )
    headers = HEADERS | ({"Retry-After": str(seconds)} if seconds else {})
    headers |= {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    answer = Response(body, status, headers, "text/html")
    if wish == language:
        answer.set_cookie(LANGUAGE, language, max_age=YEAR, samesite="lax", path="/")
    return answer


def again(request: Request, address: str) -> Response:
    """Return a page that leads on to an address of ours by itself."""
    language = language_of(request)
    body = _template("again").substitute(
        style=STYLE,
        locale=LOCALES[language],
        address=html.escape(address),
        leading=html.escape(say("gate.leading", language)),
    )
    return Response(body, 200, HEADERS, "text/html")


async def read_form(request: Request) -> str:
    """Return the token that was typed, "" for a form that is none of ours."""
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > LONGEST:
                return ""
    except ClientDisconnect:
        return ""
    return parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0].strip()


@cache
def _template(name: str) -> Template:
    return Template((HERE / f"{name}.html").read_text("utf-8"))
