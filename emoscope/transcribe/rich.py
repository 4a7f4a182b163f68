"""What FunASR says of a stretch of sound: a text with tags and the times of words, which become lines."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from emoscope.text.split import Span, sentences
from emoscope.transcript import Line, Moment, Seconds

# {"text": "<|en|><|HAPPY|><|Speech|><|withitn|>Good morning.", "words": ["▁Good", "morning", "."],
#  "timestamp": [[30, 330], [330, 810], [810, 870]]}, in milliseconds from the beginning of the sound.
Result: TypeAlias = Mapping[str, Any]

TAG = re.compile(r"<\|([^|<>]*)\|>")
LANGUAGES = {"zh": "zh", "yue": "zh", "en": "en", "ja": "ja", "ko": "ko", "nospeech": ""}  # ISO 639-1 has no Cantonese
EMOTIONS = {
    "HAPPY": "happy",
    "SAD": "sad",
    "ANGRY": "angry",
    "NEUTRAL": "neutral",
    "FEARFUL": "fearful",
    "DISGUSTED": "disgusted",
    "SURPRISED": "surprised",
    "EMO_UNKNOWN": "unknown",
}
EVENTS = {
    "BGM": "music",
    "Applause": "applause",
    "Laughter": "laughter",
    "Cry": "crying",
    "Sneeze": "sneeze",
    "Breath": "breath",
    "Cough": "cough",
    "Sing": "singing",
    "Speech_Noise": "noise",
}
BOUNDARY = "▁"  # SentencePiece's sign for the beginning of a word
LOOK = 20  # characters that a word may stand behind the one before it; the text and the words can differ


@dataclass(frozen=True)
class Stretch:
    """A part of a result that has tags of its own."""

    start: int  # characters from the beginning of the text without tags
    end: int
    language: str = ""
    emotion: str = ""
    events: tuple[str, ...] = ()


@dataclass(frozen=True)
class Said:
    """What one result says."""

    lines: tuple[Line, ...]
    languages: tuple[tuple[str, int], ...]  # each language, and how many characters of the text are in it


def parse_result(result: Result, time: Seconds) -> Said:
    """Read one of FunASR's results about the sound from `time[0]` to `time[1]`: a line for each sentence.

    A sentence lasts from its first word to its last, where the times of words are known; otherwise its length in
    characters tells. Events are told with the first sentence after their tag, because nobody knows where they are.
    """
    text, stretches = _untagged(str(result.get("text") or ""))
    whole = Line(text, time, moments=_moments(text, result, time))
    lines = [line for stretch in stretches for line in _lines(whole, stretch)]
    languages = tuple((stretch.language, stretch.end - stretch.start) for stretch in stretches if stretch.language)
    return Said(tuple(lines), languages)


def _untagged(rich: str) -> tuple[str, list[Stretch]]:
    """Return the text without tags, and the stretches of it that begin at the tags of languages."""
    parts = TAG.split(rich)  # text, tag, text, tag, ..., text
    text, start = _plain(parts[0]), 0
    tags: list[str] = []
    stretches: list[Stretch] = []
    for tag, after in zip(parts[1::2], parts[2::2], strict=True):
        if tag in LANGUAGES and tags:
            stretches.append(_stretch(start, len(text), tags))
            start, tags = len(text), []
        tags.append(tag)
        said = _plain(after)
        text += f" {said}" if text and said else said
    return text, [*stretches, _stretch(start, len(text), tags)]


def _plain(text: str) -> str:
    return " ".join(text.split())


def _stretch(start: int, end: int, tags: list[str]) -> Stretch:
    return Stretch(
        start,
        end,
        next((LANGUAGES[tag] for tag in tags if tag in LANGUAGES), ""),
        next((EMOTIONS[tag] for tag in tags if tag in EMOTIONS), ""),
        tuple(dict.fromkeys(EVENTS[tag] for tag in tags if tag in EVENTS)),
    )


def _moments(text: str, result: Result, time: Seconds) -> tuple[Moment, ...]:
    """Find the words in the text; those that are not there, such as a number that was written out, have no time."""
    found: list[Moment] = []
    end = 0
    for word, (first, last) in zip(result.get("words") or (), result.get("timestamp") or (), strict=False):
        bare = str(word).replace(BOUNDARY, "").strip()
        start = text.find(bare, end, end + LOOK + len(bare)) if bare else -1
        if start < 0:
            continue
        end = start + len(bare)
        begins, ends = (min(max(time[0] + each / 1000, time[0]), time[1]) for each in (first, last))
        earliest = found[-1].begins if found else time[0]
        begins = max(begins, earliest)
        found.append(Moment(start, end, begins, max(begins, ends)))
    return tuple(found)


def _lines(whole: Line, stretch: Stretch) -> Iterator[Line]:
    text = whole.text[stretch.start : stretch.end]
    spans = [(start + stretch.start, end + stretch.start) for start, end in sentences(text)]
    for number, span in enumerate(spans):
        yield _line(whole, span, stretch.emotion, () if number else stretch.events)
    if not spans and stretch.events:  # somebody laughs
        yield Line("", whole.time, stretch.emotion, stretch.events)


def _line(whole: Line, span: Span, emotion: str, events: tuple[str, ...]) -> Line:
    start, end = span
    moments = tuple(
        Moment(moment.start - start, moment.end - start, moment.begins, moment.ends)
        for moment in whole.moments
        if start <= moment.start and moment.end <= end
    )
    return Line(whole.text[start:end], whole.when(start, end), emotion, events, moments)


def language_of(found: list[Said]) -> str:
    """Return the language of most of the text, "" where nobody knows."""
    counts: dict[str, int] = {}
    for language, characters in (each for said in found for each in said.languages):
        counts[language] = counts.get(language, 0) + characters
    return max(counts, key=lambda language: counts[language], default="")
