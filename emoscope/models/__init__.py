"""The model store: which folder answers to a name, what is on disk, and how a model is got, checked and removed.

Importing this touches neither the network nor a hub's library; only `fetch` does, in a process of its own.
"""

from emoscope.models.catalogue import COMPACT, LARGE, PUBLISHED, Published
from emoscope.models.certify import Convert, certify, uncertified
from emoscope.models.download import fetch
from emoscope.models.manifest import Manifest
from emoscope.models.removal import remove
from emoscope.models.store import COMPACT_NOTE, Choice, Entry, inventory, is_model, resolve, verify

__all__ = [
    "COMPACT",
    "COMPACT_NOTE",
    "LARGE",
    "PUBLISHED",
    "Choice",
    "Convert",
    "Entry",
    "Manifest",
    "Published",
    "certify",
    "fetch",
    "inventory",
    "is_model",
    "remove",
    "resolve",
    "uncertified",
    "verify",
]
