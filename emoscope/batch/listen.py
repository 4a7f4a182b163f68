"""Decoded recordings become rows: clips together, long recordings by themselves."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

from emoscope.analyzer import Analyzer
from emoscope.batch.decoder import Decoded, Decoder, Place
from emoscope.batch.inputs import Item
from emoscope.batch.rows import Keep, Row, answer, failure
from emoscope.errors import Cancelled, EmoscopeError
from emoscope.report import Report
from emoscope.results import Progress, Recording, quiet
from emoscope.settings import Options

log = logging.getLogger(__name__)

TOGETHER = 128  # recordings in a batch at most: what a kill can lose
LOUDEST = 300.0  # seconds of sound in a batch: five full passes of the network, so little padding
LONG = 30.0  # seconds; a longer recording is heard by itself, in windows, and its row is written at once


def ignore(_place: Place, _report: Report) -> None:
    """Leave a report to be forgotten."""


@dataclass
class Listener:
    """Turns places into rows, a batch at a time.

    The inputs are cut into batches by their index alone, so whoever hears them (this process, one of a cluster's, or a
    later one after a kill) makes the same batches, and so the same numbers to the last bit.
    """

    analyzer: Analyzer
    options: Options
    keep: Keep
    together: int = TOGETHER
    progress: Progress = quiet  # told while the model listens; stops the work by raising `Cancelled`
    seen: Callable[[Place, Report], None] = ignore  # given every report, for who wants more of it than its row
    _clips: list[tuple[Place, Recording, float]] = field(default_factory=list)
    _failed: list[Row] = field(default_factory=list)

    def rows(self, places: Iterable[Place], decoder: Decoder) -> Iterator[list[Row]]:
        """Yield the rows of every batch, and of every long recording, as soon as they are heard."""
        for _, batch in groupby(decoder.ahead(places), key=lambda entry: entry[0][0] // self.together):
            for place, decoded in batch:
                yield from self._take(place, decoded)
            yield from self._hear_clips()

    def _take(self, place: Place, decoded: Decoded) -> Iterator[list[Row]]:
        if decoded.recording is None:
            self._failed.append(failure(*place, decoded.error))
        elif decoded.recording.wave.seconds > LONG:
            yield self._hear([(place, decoded.recording, decoded.seconds)])
        else:
            self._clips.append((place, decoded.recording, decoded.seconds))
            if sum(recording.wave.seconds for _, recording, _ in self._clips) >= LOUDEST:
                yield from self._hear_clips()

    def _hear_clips(self) -> Iterator[list[Row]]:
        clips, failed = self._clips, self._failed
        self._clips, self._failed = [], []
        rows = failed + (self._hear(clips) if clips else [])
        if rows:
            yield sorted(rows, key=lambda row: int(row["index"]))

    def _hear(self, clips: list[tuple[Place, Recording, float]]) -> list[Row]:
        """Return the rows of some recordings; if they cannot be heard together, each is tried by itself."""
        try:
            recordings = [recording for _, recording, _ in clips]
            reports = self.analyzer.analyze_many(recordings, self.options, progress=self.progress)
        except Cancelled:
            raise
        except Exception as error:  # one recording must never end a batch of a million
            if len(clips) > 1:
                return [row for clip in clips for row in self._hear([clip])]
            [(place, _, _)] = clips
            return [failure(*place, _sentence(place[1], error))]
        return [self._row(place, report, seconds) for (place, _, seconds), report in zip(clips, reports, strict=True)]

    def _row(self, place: Place, report: Report, seconds: float) -> Row:
        self.seen(place, report)
        return answer(*place, report, self.keep, decoding=seconds)


def _sentence(item: Item, error: Exception) -> str:
    if isinstance(error, EmoscopeError):
        return str(error)
    log.error("%s could not be heard", item.path, exc_info=error)
    return f"The model failed in a way nobody foresaw ({type(error).__name__}: {error})."
