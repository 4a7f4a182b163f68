"""How far an analysis is as a whole, and how long it will still take, from the pace it has shown."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from emoscope.studio.work import Moment

# The part of the bar that each step fills: listening takes nearly all of the time. A test holds these names to those
# that an analysis says; a step with another name leaves the bar where it is.
STEPS = {
    "Reading the recording": (0.00, 0.08),
    "Reducing the noise": (0.08, 0.14),
    "Normalising the loudness": (0.14, 0.14),
    "Waiting for an analysis before this one": (0.14, 0.14),
    "Loading the model": (0.14, 0.14),
    "Listening": (0.15, 0.97),
    "Reading": (0.15, 0.75),
    "Weighing the words": (0.75, 0.97),  # a pass for each, but for few of a long text
    "Writing the files": (0.97, 1.00),
}
# The same where there are words too: they come after the sound.
WITH_WORDS = STEPS | {
    "Listening": (0.15, 0.55),
    "Finding speech": (0.55, 0.57),
    "Writing down what is said": (0.57, 0.80),
    "Reading": (0.80, 0.85),
    "Weighing the words": (0.85, 0.97),
}
EARLIEST = 1.0, 0.03  # seconds and share of a step from which its pace can be told
RECENT = 16  # moments that the pace is taken from: a machine that gets busy is noticed
SLOWER = 1.25  # times longer or shorter until a new guess is told: one that jumps is worth nothing


@dataclass
class Pace:
    """Follows the moments of one analysis."""

    steps: Mapping[str, tuple[float, float]] = field(default_factory=lambda: STEPS, repr=False)
    done: float = 0.0  # of all, never falling
    left: float | None = None  # seconds of the present step, as last told
    _step: str = ""
    _recent: deque[Moment] = field(default_factory=lambda: deque(maxlen=RECENT), repr=False)

    def follow(self, moment: Moment) -> None:
        """Take in another moment."""
        begin, end = self.steps.get(moment.what, (self.done, self.done))
        self.done = max(self.done, begin + (end - begin) * moment.done)
        if moment.what != self._step:
            self._step, self.left = moment.what, None
            self._recent.clear()
        elif self.left is not None:
            self.left -= moment.at - self._recent[-1].at
        self._recent.append(moment)
        guess = self._guess()
        if guess is not None and (self.left is None or not self.left / SLOWER <= guess <= self.left * SLOWER):
            self.left = guess

    def _guess(self) -> float | None:
        """Return the seconds left at the recent pace; the first moments, when all begins, are no measure of it."""
        first, last = self._recent[1 if len(self._recent) > 3 else 0], self._recent[-1]
        passed, gained = last.at - first.at, last.done - first.done
        if passed < EARLIEST[0] or gained < EARLIEST[1]:
            return None
        return passed * (1 - last.done) / gained
