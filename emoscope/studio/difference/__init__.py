"""What the part `difference` is given of two reports: what the second has more of, in words, numbers and as a table."""

import csv
import io
from collections.abc import Mapping
from typing import Any

from emoscope.cells import harmless
from emoscope.compare import Difference, compare
from emoscope.labels import LABELS
from emoscope.report import Report
from emoscope.studio.shelf import Shelf
from emoscope.studio.words import Language, say

View = dict[str, Any]  # JSON types

LEAST = 0.5  # points; less rounds to 0, and is not worth a sentence
TABLE = "comparison.csv"
COLUMNS = ("file_a", "file_b", "measure", "emotion", "a", "b", "points", "distance")


def view(first: Report, second: Report, shelf: Shelf, language: Language) -> View:
    """Return both comparisons, and a table of them to download."""
    found = compare(first, second)
    table = shelf.put(TABLE, write_table(first, second, found).encode("utf-8", "backslashreplace"))
    return {name: _show(name, each, language) for name, each in found.items()} | {"csv": table}


def named(verdict: View, side: str) -> View:
    """Return a verdict that says which of the two it is about, "a" or "b"."""
    return {**verdict, "file": f"{side.upper()} · {verdict['file']}"}


def _show(measure: str, found: Difference | None, language: Language) -> View:
    """Return one of the two comparisons in words and numbers, what B has more of on top."""
    if found is None:
        return {"sentence": say("compare.no_shares", language), "help": "", "rows": None}
    points = found.points
    return {
        "sentence": sentence(found, language),
        "help": say(f"compare.{measure}_help", language),
        "rows": [
            {"name": name, "first": found.first[name], "second": found.second[name], "points": points[name]}
            for name in sorted(LABELS, key=lambda name: -points[name])
        ],
        "distance": found.distance,
        "meaning": say(f"compare.{found.closeness}", language),
    }


def sentence(found: Difference, language: Language) -> str:
    """Say the main difference: "B is 23 points sadder; A is 21 points angrier."."""
    gain, loss = found.points[found.gained], -found.points[found.lost]
    which = {(True, True): "both", (True, False): "gain", (False, True): "loss", (False, False): "none"}
    return say(
        f"compare.{which[gain >= LEAST, loss >= LEAST]}",
        language,
        gain=_points(gain, language),
        gained=say(f"compare.more_{found.gained}", language),
        loss=_points(loss, language),
        lost=say(f"compare.more_{found.lost}", language),
    )


def _points(points: float, language: Language) -> str:
    count = round(points)
    return say("verdict.point" if count == 1 else "verdict.points", language, count=count)


def write_table(first: Report, second: Report, found: Mapping[str, Difference | None]) -> str:
    """Return the comparison as CSV, a line for each measure and emotion; no cell can become a formula."""
    names = [harmless(report.name) for report in (first, second)]
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for measure, each in found.items():
        if each is not None:
            writer.writerows(
                [*names, measure, name, each.first[name], each.second[name], each.points[name], each.distance]
                for name in LABELS
            )
    return out.getvalue()
