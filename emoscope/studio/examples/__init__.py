"""What the page offers to try: texts, and short clips of one sentence in several ways of speaking.

The clips are computed and spoken by nobody; `training/examples` makes them. They name how the voice is used and never
an emotion: what a model hears is its answer. The texts were written for this page, in several languages.
"""

import json
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent

SENTENCE = "I saw it this morning, and I told them everything."


@dataclass(frozen=True)
class Example:
    """A clip to try; `words` is the key of what the page calls its way of speaking."""

    name: str
    file: Path
    words: str


def _example(name: str) -> Example:
    return Example(name, HERE / f"{name}.flac", f"examples.{name}")


EXAMPLES = tuple(_example(name) for name in ("calm", "lively", "pressed", "soft", "rising"))

TEXTS: dict[str, str] = json.loads((HERE / "texts.json").read_text(encoding="utf-8"))  # their titles are `text.<name>`
