"""A text becomes sentences and words: spans of its own characters, in any script."""

import re
import unicodedata
from collections.abc import Iterable
from itertools import groupby, pairwise
from typing import TypeAlias

from emoscope.errors import InputError, TooLargeError

Span: TypeAlias = tuple[int, int]  # first character, character after the last

LONGEST = 200_000  # characters; a hundred pages
INVISIBLE = dict.fromkeys((*range(9), 11, 12, *range(14, 32), *range(127, 160)), " ")  # control characters
BROKEN = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")  # halves of characters, which no tokenizer takes
CLEANED = INVISIBLE | BROKEN

# A full stop of Chinese, Arabic, Hindi, Amharic... ends a sentence wherever it stands; ours only before a space. A run
# of them is looked at once, as a whole (`++`): 200,000 would take minutes otherwise.
ENDS = re.compile(
    r"(?:[。！？｡؟۔।॥።፧။։]|(?<![.!?…])[.!?…]++(?=[\"'”’»)\]]*+(?:\s|$)))[.!?…。！？]*[\"'”’»」』）)\]]*|\n+",
)
SHORTENED = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|sr|jr|st|vs|etc|e\.g|i\.e|z\.b|bzw|vol)|\b[a-hj-z])\.$", re.IGNORECASE
)
# Scripts without spaces between words: Thai, Lao, Burmese, Khmer, kana, Han.
UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
JOINED = "\u200d\ufe0f"  # what joins two emoji into one, and what makes a sign an emoji


def clean(text: str) -> str:
    """Return the text as models take it, every character in its place: control characters become spaces.

    Raises InputError when nothing can be read in it, TooLargeError when it is over the limit.
    """
    if len(text) > LONGEST:
        raise TooLargeError(f"The text has {len(text):,} characters; the limit is {LONGEST:,}. Read it in parts.")
    cleaned = text.translate(CLEANED)
    if not any(unicodedata.category(letter)[0] in "LMNPS" for letter in cleaned):
        raise InputError("There is no text to read. Type or paste a sentence.")
    return cleaned


def sentences(text: str) -> list[Span]:
    """Return the sentences of a text, without the spaces around them; at least one when there is anything in it."""
    cuts = [0]
    for end in ENDS.finditer(text):
        if not _goes_on(text, end):
            cuts.append(end.end())
    return [span for span in (trim(text, cut) for cut in pairwise([*cuts, len(text)])) if span[0] < span[1]]


def trim(text: str, span: Span) -> Span:
    """Return a span without the spaces at its ends."""
    start, end = span
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def _goes_on(text: str, end: re.Match[str]) -> bool:
    """Say whether a sentence goes on: after a shortened word, and in small letters after an ellipsis or a quotation."""
    if end[0] == ".":
        return SHORTENED.search(text, max(0, end.end() - 12), end.end()) is not None
    return end[0][-1] in "…\"'”’»" and text[end.end() : end.end() + 20].lstrip(" \t")[:1].islower()


def words(text: str, span: Span, cuts: Iterable[int] = ()) -> list[Span]:
    """Return the words of a span: runs of letters, emoji, and runs of “!” and “?”.

    In scripts without spaces a run is cut at `cuts`: where the tokenizer's pieces begin.
    """
    start, end = span
    kinds = [_kind(letter) for letter in text[start:end]]
    for place in range(1, len(kinds) - 1):  # don't, l’eau
        if text[start + place] in "'’" and kinds[place - 1] == kinds[place + 1] == "letter":
            kinds[place] = "letter"
    found: list[Span] = []
    first = start
    for kind, run in groupby(kinds):
        last = first + sum(1 for _ in run)
        if kind == "unspaced":
            found += pairwise([first, *sorted({cut for cut in cuts if first < cut < last}), last])
        elif kind:
            found.append((first, last))
        first = last
    return found


def _kind(letter: str) -> str:
    """Return which run a character belongs to, or nothing for spaces and punctuation."""
    if UNSPACED.match(letter):
        return "unspaced"
    if letter in "!?！？":
        return "call"
    category = unicodedata.category(letter)
    if letter in JOINED or category in ("So", "Sk"):
        return "emoji"
    return "letter" if category[0] in "LMN" else ""
