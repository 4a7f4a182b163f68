"""What the part `chart` is given of the history: a map on which runs lie beside those that are like them."""

import json
from typing import Any

from emoscope.history import Chart
from emoscope.studio import past
from emoscope.studio.shelf import Shelf
from emoscope.studio.words import Language


def view(drawn: Chart, of: str, shelf: Shelf, language: Language) -> dict[str, Any]:
    """Return where the points are, each with its run; `of` says what is compared, "speech" or "text"."""
    points = [
        {**past.row(run, language), "x": round(x, 5), "y": round(y, 5), "cluster": cluster}
        for run, (x, y), cluster in zip(drawn.runs, drawn.points.tolist(), drawn.clusters.tolist(), strict=True)
    ]
    file = shelf.put("map.json", json.dumps(points, separators=(",", ":")).encode())
    return {"file": file, "count": len(points), "kind": drawn.kind, "of": of}
