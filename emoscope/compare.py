"""Two recordings beside each other: what the second has more of than the first, and how far apart they are."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from emoscope import fusion
from emoscope.labels import LABELS
from emoscope.report import Report

Closeness = Literal["same", "similar", "different", "far"]

# Words for a Jensen-Shannon distance, each up to a limit; beside it how two emotions at 50 and 50 are as far from.
CLOSENESS: dict[Closeness, float] = {
    "same": 0.1,  # 61 and 39: less than one hears
    "similar": 0.25,  # 78 and 22
    "different": 0.5,  # 97 and 3
    "far": math.inf,
}


@dataclass(frozen=True)
class Difference:
    """How two distributions over the nine emotions differ; each maps every label to a number, sum 1."""

    first: dict[str, float]
    second: dict[str, float]

    def __post_init__(self) -> None:
        for each in (self.first, self.second):
            if set(each) != set(LABELS) or not math.isclose(sum(each.values()), 1.0, abs_tol=1e-3):
                raise ValueError(f"a distribution needs a number for each of the nine emotions, sum 1, not {each}")

    @property
    def points(self) -> dict[str, float]:
        """Return by how many percentage points the second has more of each emotion, -100 to 100."""
        return {label: 100 * (self.second[label] - self.first[label]) for label in LABELS}

    @property
    def gained(self) -> str:
        """Return the emotion that the second has most more of."""
        return max(LABELS, key=self.points.__getitem__)

    @property
    def lost(self) -> str:
        """Return the emotion that the first has most more of."""
        return min(LABELS, key=self.points.__getitem__)

    @property
    def distance(self) -> float:
        """Return the Jensen-Shannon distance: 0 when both are the same, 1 when they have no emotion in common."""
        first, second = (np.array([each[label] for label in LABELS]) for each in (self.first, self.second))
        return fusion.distance(first, second)

    @property
    def closeness(self) -> Closeness:
        """Return the distance in a word."""
        return closeness(self.distance)


def closeness(distance: float) -> Closeness:
    """Return a Jensen-Shannon distance in a word."""
    return next(word for word, limit in CLOSENESS.items() if distance < limit)


def compare(first: Report, second: Report) -> dict[str, Difference | None]:
    """Return how two recordings differ in the verdict's probabilities and in the shares of their sounding time.

    The keys are those of a report's own numbers, "scores" and "shares". Shares differ by nothing, None, where one of
    them is a text, or silent from beginning to end.
    """
    heard = [report for report in (first, second) if report.heard]
    shares = [report.speech.timeline.shares(report.options.smooth) for report in heard]
    sounding = len(shares) == 2 and all(any(each.values()) for each in shares)
    return {
        "scores": Difference(first.verdict.scores, second.verdict.scores),
        "shares": Difference(*shares) if sounding else None,
    }
