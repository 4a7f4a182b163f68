"""Requests that the page of another site has a browser send: told by the names that they carry.

A page of another site cannot read an answer of this server, because none says that it may. What is left to refuse is a
request that changes something, and a site that gives this machine's address as its own (DNS rebinding), whose pages the
browser takes for ours.
"""

import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from emoscope.settings import Settings

SAFE = ("GET", "HEAD")  # methods that change nothing
OURS = ("same-origin", "none")  # what browsers say of our own page, and of what people type


def sent_by_another_site(method: str, headers: Headers) -> bool:
    """Say whether a page that is not ours has this done; programs, which say nothing of a page, are none."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if method in SAFE or (site is None and origin is None):
        return False
    if site is not None:  # no page can change this one, and behind a proxy no other tells the name in the address bar
        return site not in OURS
    return _place(origin or "") != headers.get("host")


def has_foreign_name(headers: Headers, settings: Settings) -> bool:
    """Say whether the request is for a server of another name, such as a site that points its name at this machine.

    Nobody can make a browser's page have a number, `localhost` or the name of this machine as its origin.
    """
    host = headers.get("host")
    if host is None:  # no browser
        return False
    name = _name(host)
    own = ("localhost", settings.host.lower(), socket.gethostname().lower(), *settings.names)
    return not (name in own or name.endswith(".localhost") or _is_number(name))


def _place(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return ""


def _is_number(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
