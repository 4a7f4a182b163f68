"""Who asks: tokens, the sessions that browsers get for them, and how often somebody may be wrong.

A token is what programs send and people type. A browser shows it once and gets a session: a signed name with an end,
which this process alone can sign, so that a new start ends all of them.
"""

import hashlib
import hmac
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TypeAlias

from emoscope.errors import AccessError, BusyError
from emoscope.settings import Settings

Visitor: TypeAlias = str | None  # the name of an account; None where nobody has one, and everybody sees everything

LENGTH = 24  # bytes of a token that is made here
LASTING = 30 * 86_400  # seconds of a session
MOST_ENDED = 10_000  # sessions that were ended, and that are remembered until they would have ended by themselves
FREE = 10  # wrong tokens of an address before it has to wait
PAUSE = 6.0  # seconds for which it waits for each one more
MOST_ADDRESSES = 1024  # that are remembered; what is older is forgiven
NETWORK = 64  # bits of an IPv6 address that tell one house from the next

SCOPE = "emoscope.asker"  # where a request carries its `Asker`

WHO = "This server asks who you are. Send your token as “Authorization: Bearer …”, or sign in at “/signin”."
WAIT = "There were too many wrong tokens from your address. Try again in {seconds} s."


@dataclass(frozen=True)
class Asker:
    """Who asks, as far as that is known."""

    visitor: Visitor = None
    address: str = ""  # of another machine; "" is this one

    @property
    def owner(self) -> str:
        """Return whose the runs are that come of it."""
        return self.visitor or ""

    @property
    def side(self) -> str:
        """Return what shares one part of the queue: an account, else an address; "" for this machine, which has all."""
        return f"account {self.visitor}" if self.visitor else self.address

    def may_see(self, owner: str) -> bool:
        """Say whether the runs of this owner are theirs to see."""
        return self.visitor is None or self.visitor == owner


ANYBODY = Asker()
_asking: ContextVar[Asker] = ContextVar("asking")


@contextmanager
def asked_by(asker: Asker) -> Iterator[None]:
    """Let `asking` say who it is, in this task and in the threads that it waits for."""
    before = _asking.set(asker)
    try:
        yield
    finally:
        _asking.reset(before)


def asking(settings: Settings) -> Asker:
    """Return who asks in this task; raises AccessError where that has to be known and is not."""
    return known(_asking.get(None), settings)


def known(asker: Asker | None, settings: Settings) -> Asker:
    """Return the asker, or anybody where nobody has to say who he is; raises AccessError where he has to."""
    if settings.guarded and (asker is None or asker.visitor is None):
        raise AccessError(WHO)
    return asker or ANYBODY


class Access:
    """The tokens and sessions of a process; used by its event loop alone."""

    def __init__(self, settings: Settings) -> None:
        """A token is made where one is needed and none is set."""
        self.on = settings.guarded
        self.made = secrets.token_urlsafe(LENGTH) if self.on and not settings.accounts else ""
        accounts = settings.accounts or ({"": self.made} if self.on else {})
        self._digests = {name: _digest(token) for name, token in accounts.items()}
        self._key = secrets.token_bytes(32)
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._mistakes = Mistakes()

    def __repr__(self) -> str:
        return f"Access(on={self.on})"  # and no token

    def visitor_with(self, token: str, address: str) -> Visitor:
        """Return whose token it is, None where it is nobody's; raises BusyError after too many wrong ones."""
        self._mistakes.check(address)
        if not token:  # that is no guess
            return None
        given, found = _digest(token), None
        for name, digest in self._digests.items():  # to the end, so that the time tells nothing
            if hmac.compare_digest(given, digest):
                found = name
        if found is None:
            self._mistakes.note(address)
        return found

    def begin(self, visitor: str) -> str:
        """Return a new session, which is the value of a cookie."""
        content = f"{visitor}!{round(time.time() + LASTING)}!{secrets.token_urlsafe(9)}"
        return f"{content}!{self._sign(content)}"

    def visitor_in(self, session: str) -> Visitor:
        """Return whose session it is, None where it is nobody's, or over."""
        content, _, signature = session.rpartition("!")
        if not hmac.compare_digest(signature.encode(), self._sign(content).encode()) or session in self._ended:
            return None
        visitor, end, _ = content.split("!")
        return visitor if time.time() < int(end) else None

    def end(self, session: str) -> None:
        """End a session, so that a copy of its cookie is worth nothing."""
        if self.visitor_in(session) is not None:
            self._ended[session] = None
            if len(self._ended) > MOST_ENDED:
                self._ended.popitem(last=False)

    def _sign(self, content: str) -> str:
        return hmac.new(self._key, content.encode(), "sha256").hexdigest()


class Mistakes:
    """Wrong tokens by address: each one is forgiven after a while, and more than a few have to be waited for."""

    def __init__(self) -> None:
        self._until: OrderedDict[str, float] = OrderedDict()  # when all of an address are forgiven, `time.monotonic`

    def check(self, address: str) -> None:
        """Raise BusyError where nothing from this address is looked at now."""
        seconds = self._until.get(_house(address), 0.0) - time.monotonic() - (FREE - 1) * PAUSE
        if seconds > 0:
            rounded = math.ceil(seconds)
            raise BusyError(WAIT.format(seconds=rounded), seconds=rounded)

    def note(self, address: str) -> None:
        """Remember one more."""
        house = _house(address)
        self._until[house] = max(self._until.get(house, 0.0), time.monotonic()) + PAUSE
        self._until.move_to_end(house)
        if len(self._until) > MOST_ADDRESSES:
            self._until.popitem(last=False)


def address_of(client: object) -> str:
    """Return the address of an ASGI client, "" for this machine."""
    host = str(client[0]) if isinstance(client, tuple | list) and client else ""
    try:
        return "" if ip_address(host).is_loopback else host
    except ValueError:
        return host


def _house(address: str) -> str:
    """Return what one person has of addresses: of IPv6 all with the same beginning."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return str(ip_network((found, NETWORK), strict=False))
    return address


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
