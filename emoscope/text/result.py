"""What a text model found: one verdict for the whole, one for each sentence, and what each word did."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoscope.labels import LABELS

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Word:
    """A word and what it did: `contributions` (9,) is how far each probability of its sentence falls without it."""

    start: int  # characters from the beginning of the text
    end: int
    contributions: Floats  # positive: the word speaks for the emotion


@dataclass(frozen=True, eq=False)
class Sentence:
    """A stretch of the text that was also read on its own."""

    start: int  # characters from the beginning of the text
    end: int
    scores: Floats  # (9,), sum 1
    words: tuple[Word, ...] = ()  # empty where words were not explained

    @property
    def emotion(self) -> str:
        """Return the most probable emotion."""
        return LABELS[int(self.scores.argmax())]


@dataclass(frozen=True, eq=False)
class TextResult:
    """What the text model read; the spans of sentences and words are characters of `text`."""

    text: str  # as it was given
    scores: Floats  # (9,), sum 1, in the order of `labels.LABELS`; what the model cannot say is 0
    own: dict[str, float]  # the model's own labels and what it gave them
    sentences: tuple[Sentence, ...]
    note: str = ""  # a sentence for the person

    @property
    def emotion(self) -> str:
        """Return the most probable emotion."""
        return LABELS[int(self.scores.argmax())]
