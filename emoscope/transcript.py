"""What was said, line by line, and when."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

TYPED, FILE = "typed", "file"  # where a transcript comes from, if not from a model
Seconds = tuple[float, float]  # start and end on the clock of the uploaded file


@dataclass(frozen=True)
class Moment:
    """Some characters of a line, and when they were said."""

    start: int  # characters from the beginning of the line
    end: int
    begins: float  # seconds on the clock of the uploaded file
    ends: float


@dataclass(frozen=True)
class Line:
    """What was said in one go."""

    text: str  # without line breaks
    time: Seconds | None = None  # None where nobody knows
    emotion: str = ""  # what the speech recogniser heard on its own, one of `LABELS`; "" when it says nothing
    events: tuple[str, ...] = ()  # what else it heard: "laughter", "applause", "music", …
    moments: tuple[Moment, ...] = ()  # of the words or characters, where they are known

    def __post_init__(self) -> None:
        if "\n" in self.text or "\r" in self.text:
            raise ValueError("a line of a transcript has no line break")
        if self.time is not None and not 0 <= self.time[0] <= self.time[1] < float("inf"):
            raise ValueError(f"a line is said from an earlier to a later second, not from {self.time}")

    def when(self, start: int, end: int) -> Seconds | None:
        """Return when its characters from `start` to `end` were said; between known times, by their number."""
        if self.time is None or not self.text:
            return self.time
        inside = [moment for moment in self.moments if moment.start < end and moment.end > start]
        if inside:
            return inside[0].begins, max(inside[0].begins, inside[-1].ends)
        begins, ends = self.time
        pace = (ends - begins) / len(self.text)
        return begins + pace * start, begins + pace * end

    def later(self, seconds: float) -> "Line":
        """Return the same, said so much later."""
        time = self.time and (self.time[0] + seconds, self.time[1] + seconds)
        moments = (replace(each, begins=each.begins + seconds, ends=each.ends + seconds) for each in self.moments)
        return replace(self, time=time, moments=tuple(moments))


@dataclass(frozen=True)
class Transcript:
    """Everything that was said; `text` is what a text model reads, and spans of it are characters of `text`."""

    lines: tuple[Line, ...]
    origin: str = TYPED  # "typed", "file", or the name of the model that wrote it down
    language: str = ""  # ISO 639-1, "" where nobody knows
    confidence: float = 1.0  # of the words, 0 to 1; 1 for what a person wrote
    note: str = ""  # a sentence for the person

    @property
    def text(self) -> str:
        """Return all lines as one text."""
        return "\n".join(line.text for line in self.lines)

    @property
    def timed(self) -> bool:
        """Say whether there is a line with its time."""
        return any(line.time for line in self.lines)

    def when(self, start: int, end: int) -> Seconds | None:
        """Return when the characters from `start` to `end` of `text` were said, or None where nobody knows."""
        firsts = self._firsts
        inside = range(max(0, bisect_right(firsts, start) - 1), bisect_left(firsts, end))
        found = [
            time
            for line, first in ((self.lines[place], firsts[place]) for place in inside)
            if start < first + len(line.text)
            and (time := line.when(max(0, start - first), min(len(line.text), end - first)))
        ]  # fmt: skip
        return (found[0][0], max(end for _, end in found)) if found else None

    @cached_property
    def _firsts(self) -> list[int]:
        """Where the lines begin in `text`."""
        return [0, *accumulate(len(line.text) + 1 for line in self.lines)][:-1]

    def later(self, seconds: float) -> "Transcript":
        """Return the same, said so much later."""
        if not seconds:
            return self
        return replace(self, lines=tuple(line.later(seconds) for line in self.lines))

    @classmethod
    def typed(cls, text: str) -> "Transcript":
        """Return what a person typed or pasted: its lines, without times."""
        return cls(tuple(Line(line) for line in text.splitlines()) or (Line(""),))
