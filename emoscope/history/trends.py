"""How verdicts, confidence and latency change over the days."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from statistics import median
from typing import NamedTuple

from emoscope.labels import LABELS


class Point(NamedTuple):
    """What a trend needs to know of one run."""

    made_at: datetime  # on the clock whose days are meant
    emotion: str
    confidence: float
    latency: float  # seconds
    silent: bool


@dataclass(frozen=True)
class Day:
    """The runs of one day; those that are nothing but silence count, but say nothing about emotions."""

    day: date
    runs: int
    silent: int  # of them
    shares: dict[str, float]  # of the nine emotions among the other verdicts, sum 1, or all 0 where there are none
    confidence: float | None  # median of the other verdicts
    latency: float  # median, seconds


def by_day(points: Iterable[Point]) -> list[Day]:
    """Return the days that have runs, the first one first; `points` are in the order of time."""
    return [_day(day, list(there)) for day, there in groupby(points, key=lambda point: point.made_at.date())]


def _day(day: date, points: list[Point]) -> Day:
    sounding = [point for point in points if not point.silent]
    won = [point.emotion for point in sounding]
    return Day(
        day=day,
        runs=len(points),
        silent=len(points) - len(sounding),
        shares={label: won.count(label) / max(1, len(won)) for label in LABELS},
        confidence=median(point.confidence for point in sounding) if sounding else None,
        latency=median(point.latency for point in points),
    )
