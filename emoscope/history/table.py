"""The history as a table for spreadsheets."""

import csv
import json
from collections.abc import Iterable
from typing import Any, TextIO

from emoscope.cells import harmless
from emoscope.history.entry import Run
from emoscope.labels import LABELS

COLUMNS = (
    "id", "made_at", "mode", "name", "sha256", "duration", "emotion", "confidence", *LABELS, "silent", "granularity",
    "speech_model", "text_model", "latency", "seconds", "options", "folder", "text",
)  # fmt: skip


def write_csv(runs: Iterable[Run], out: TextIO, *, folders: bool = True) -> int:
    """Write a line for every run, and return how many; no cell can become a formula.

    `folders` says where each one's files are, which is nobody's business but the machine's owner's.
    """
    columns = [name for name in COLUMNS if folders or name != "folder"]
    writer = csv.writer(out)
    writer.writerow(columns)
    count = 0
    for run in runs:
        found = {**run.to_dict(), **run.scores}
        writer.writerow([_cell(found[name]) for name in columns])
        count += 1
    return count


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return harmless(value) if isinstance(value, str) else value
