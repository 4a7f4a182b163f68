"""The model store: which folder answers to a name, what is on disk, and how a model is got, checked and removed.

Importing this touches neither the network nor a hub's library; only `fetch` does, in a process of its own.
"""

from emoscope.models.catalogue import COMPACT, COMPACT_TEXT, LARGE, PUBLISHED, Published
from emoscope.models.certify import Convert, certify, uncertified
from emoscope.models.choose import (
    COMPACT_NOTE,
    COMPACT_TEXT_NOTE,
    Choice,
    Transcriber,
    find,
    resolve,
    resolve_text,
    resolve_transcriber,
)
from emoscope.models.download import fetch
from emoscope.models.folders import is_model, kind_of
from emoscope.models.manifest import Manifest
from emoscope.models.removal import remove
from emoscope.models.store import Entry, inventory, verify

__all__ = [
    "COMPACT",
    "COMPACT_NOTE",
    "COMPACT_TEXT",
    "COMPACT_TEXT_NOTE",
    "LARGE",
    "PUBLISHED",
    "Choice",
    "Convert",
    "Entry",
    "Manifest",
    "Published",
    "Transcriber",
    "certify",
    "fetch",
    "find",
    "inventory",
    "is_model",
    "kind_of",
    "remove",
    "resolve",
    "resolve_text",
    "resolve_transcriber",
    "uncertified",
    "verify",
]
