"""What the part `trends` is given of the history: how verdicts, confidence and latency were, day by day."""

import json
from collections.abc import Sequence
from typing import Any

from emoscope.history import Day
from emoscope.labels import LABELS
from emoscope.studio.shelf import Shelf


def view(days: Sequence[Day], shelf: Shelf) -> dict[str, Any]:
    """Return where the days are: a file, because Gradio's own scripts copy the values of a page several times."""
    return {"file": shelf.put("trends.json", json.dumps([pack(day) for day in days]).encode())}


def pack(day: Day) -> list[Any]:
    """Return [day, runs, how many of them are silent, nine shares, median confidence or null, median latency]."""
    shares = [round(day.shares[label], 5) for label in LABELS]
    return [day.day.isoformat(), day.runs, day.silent, shares, day.confidence, day.latency]
