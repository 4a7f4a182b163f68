"""When each sound of the sentence is spoken, how high and how loud: a style becomes curves over time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.examples.phonemes import PHONES, SENTENCE, Phone, Sound
from training.examples.styles import Style

Curve = NDArray[np.float64]

REST = 0.15  # seconds of quiet before and after the sentence
BEFORE_PAUSE = 1.35  # factor of what follows the last vowel of a breath group, and of that vowel
ACCENTED, PLAIN = 0.30, 0.90  # a vowel takes 0.9 of its length, and a full accent adds 0.3
ACCENT = 0.30  # seconds that an accent's rise and fall take
LAST = 0.24  # seconds of the last rise or fall
FADE = 4.0  # dB that a breath group loses from its beginning to its end
DYING, DIES = 0.08, 10.0  # seconds before a pause in which the voice dies away, and by how many dB


@dataclass(frozen=True)
class Span:
    """A sound at its place: seconds from the beginning of the clip."""

    sound: Sound
    start: float
    end: float
    group: int

    @property
    def phone(self) -> Phone:
        """The sound's targets."""
        return PHONES[self.sound.symbol]


def spans(style: Style) -> tuple[Span, ...]:
    """Return the sounds of the sentence in this style, in order."""
    found, at = [], REST
    for number, group in enumerate(SENTENCE):
        last = max(k for k, sound in enumerate(group) if PHONES[sound.symbol].vowel)
        for k, sound in enumerate(group):
            length = _length(sound, style) * (BEFORE_PAUSE if k >= last else 1.0)
            found.append(Span(sound, at, at + length, number))
            at += length
        at += style.pause
    return tuple(found)


def _length(sound: Sound, style: Style) -> float:
    phone = PHONES[sound.symbol]
    if phone.vowel:
        return phone.seconds * style.pace * (PLAIN + ACCENTED * sound.accent)
    return float(phone.seconds * np.sqrt(style.pace))  # consonants stretch less than vowels


def seconds(spoken: tuple[Span, ...]) -> float:
    """Return the length of the clip."""
    return spoken[-1].end + REST


def pitch(spoken: tuple[Span, ...], style: Style, times: Curve) -> Curve:
    """Return the fundamental in Hz at these times.

    A line that sinks, a hump on every accent, the last syllable's rise or fall, and the slow wander of any voice
    (Klatt and Klatt 1990).
    """
    through = _through_group(spoken, times)
    semitones = style.fall * (0.5 - through)
    for span in spoken:
        middle = span.start + 0.55 * (span.end - span.start)
        semitones += style.swing * span.sound.accent * _hump(times - middle, ACCENT * np.sqrt(style.pace))
    ending = np.clip((times - (spoken[-1].end - LAST * style.pace)) / (LAST * style.pace), 0, 1)
    semitones += style.last * (0.5 - 0.5 * np.cos(np.pi * ending))
    wander = sum(np.sin(2 * np.pi * hertz * times) for hertz in (12.7, 7.1, 4.7)) / 3
    return np.asarray(style.pitch * 2 ** (semitones / 12) * (1 + 0.008 * wander))


def loudness(spoken: tuple[Span, ...], style: Style, times: Curve) -> Curve:
    """Return how many dB the voice is over its plain level at these times: accents are louder, ends softer."""
    decibels = -FADE * _through_group(spoken, times)
    for end in (spoken[k].end for k in _last_of_groups(spoken)):
        decibels -= DIES * np.interp(times, (end - DYING, end, end + DYING), (0, 1, 0))
    for span in spoken:
        middle = (span.start + span.end) / 2
        decibels += style.stress * span.sound.accent * _hump(times - middle, 0.35)
    return np.asarray(decibels)


def _last_of_groups(spoken: tuple[Span, ...]) -> list[int]:
    """Return the places of the last sounds before a pause."""
    return [k for k, span in enumerate(spoken) if k + 1 == len(spoken) or spoken[k + 1].group != span.group]


def _hump(distance: Curve, width: float) -> Curve:
    """A raised cosine of height 1."""
    return np.where(np.abs(distance) < width / 2, 0.5 + 0.5 * np.cos(2 * np.pi * distance / width), 0.0)


def _through_group(spoken: tuple[Span, ...], times: Curve) -> Curve:
    """Return how far each time is through its breath group, 0 to 1; pauses lead from 1 back to 0."""
    last = _last_of_groups(spoken)
    first = [0, *(k + 1 for k in last[:-1])]
    where = [edge for a, b in zip(first, last, strict=True) for edge in (spoken[a].start, spoken[b].end)]
    return np.interp(times, where, [0.0, 1.0] * len(last))
