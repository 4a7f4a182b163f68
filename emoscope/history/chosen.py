"""Which runs of the history are meant: by words, emotions, dates, source, model and mode."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from sqlalchemy import ColumnElement, or_

from emoscope.errors import OptionError
from emoscope.history.entry import clean, folded
from emoscope.history.schema import runs
from emoscope.labels import LABELS
from emoscope.report import Mode

MODES: tuple[str, ...] = get_args(Mode)


@dataclass(frozen=True)
class Filter:
    """What runs have in common; without anything it is all of them."""

    text: str = ""  # words, all of which are in the name or in the text that was read
    emotions: tuple[str, ...] = ()  # of the verdict, one of them
    since: datetime | None = None  # with its time zone, and included
    until: datetime | None = None  # not included
    source: str = ""  # the name of the recording, or how its SHA-256 begins (eight digits or more)
    model: str = ""  # the name of the speech or the text model
    mode: str = ""  # of `report.Mode`

    def __post_init__(self) -> None:
        for name in self.emotions:
            if name not in LABELS:
                raise OptionError(f"An emotion is {', '.join(LABELS)}, not “{name}”.")
        if self.mode and self.mode not in MODES:
            raise OptionError(f"What was analysed is {', '.join(MODES)}, not “{self.mode}”.")

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return what a row has to fulfil."""
        found: list[ColumnElement[bool]] = [
            runs.c.found_by.contains(word, autoescape=True) for word in folded(clean(self.text)).split()
        ]
        if self.emotions:
            found.append(runs.c.emotion.in_(self.emotions))
        if self.since is not None:
            found.append(runs.c.made_at >= self.since)
        if self.until is not None:
            found.append(runs.c.made_at < self.until)
        if self.source:
            found.append(_is_source(clean(self.source)))
        if self.model:
            found.append(or_(runs.c.speech_model == clean(self.model), runs.c.text_model == clean(self.model)))
        if self.mode:
            found.append(runs.c.mode == self.mode)
        return found


def _is_source(source: str) -> ColumnElement[bool]:
    named: ColumnElement[bool] = runs.c.name == source
    if re.fullmatch(r"[0-9a-f]{8,64}", source):
        return or_(named, runs.c.sha256.startswith(source))
    return named


# In which order runs are listed; of equal ones the newer first.
ORDERS: dict[str, tuple[ColumnElement[Any], ...]] = {
    "newest": (runs.c.made_at.desc(), runs.c.number.desc()),
    "oldest": (runs.c.made_at, runs.c.number),
    "surest": (runs.c.confidence.desc(), runs.c.number.desc()),
    "longest": (runs.c.duration.is_(None), runs.c.duration.desc(), runs.c.number.desc()),
}
