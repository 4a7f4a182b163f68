"""What the core says in English, put into Chinese: its templates are catalogued with the same holes on both sides."""

import json
import re
from dataclasses import dataclass
from functools import cache, lru_cache

from emoscope.audio.words import length
from emoscope.labels import EMOTIONS
from emoscope.studio.words.catalogue import HERE, SENTENCES, SILENCE_TITLE, Language
from emoscope.timeline import SILENCE

HOLE = re.compile(r"\{(\w+)\}")
ENDING = re.compile(r"(?<=[.!?:])\s+")  # where one sentence of several ends
MOST = 6  # endings that are tried, the last ones: before them stands the name of a file, which may hold any number
LENGTH = re.compile(r"\d+ h(?: \d+ min)?|\d+ min(?: \d+ s)?|\d+(?:\.\d+)? s")
CHOICE = re.compile(r"\w+(?:, \w+)* or \w+")  # "MP4, MOV or MKV"
UNITS = {"h": "小时", "min": "分", "s": "秒"}
TITLES = {each.name: each.chinese for each in EMOTIONS} | {SILENCE: SILENCE_TITLE}


@dataclass(frozen=True)
class Template:
    """A sentence with holes, in both languages."""

    pattern: re.Pattern[str]
    chinese: str
    letters: int  # how much of a sentence it explains: what stands outside of its holes


@dataclass(frozen=True)
class Reading:
    """A text in Chinese, and how many of its letters a template explained."""

    text: str
    letters: int = 0


def translate(sentence: str, language: Language) -> str:
    """Return a sentence of the core in this language; what nobody catalogued stays as it is."""
    return sentence if language == "en" else _read(sentence).text


def length_in(seconds: float, language: Language) -> str:
    """Return a length as people say it: "2 min 5 s" or "2 分 5 秒"."""
    return translate(length(seconds), language)


@cache
def catalogue() -> dict[str, str]:
    """Return the English templates, each with its Chinese."""
    found: dict[str, str] = json.loads((HERE / f"{SENTENCES}.json").read_text(encoding="utf-8"))
    return found


@cache
def _templates() -> tuple[Template, ...]:
    return tuple(_compile(english, chinese) for english, chinese in catalogue().items())


def _compile(english: str, chinese: str) -> Template:
    pieces = HOLE.split(english)  # text, name, text, name, ..., text
    seen: set[str] = set()
    pattern = ""
    for index, piece in enumerate(pieces):
        if index % 2 == 0:
            pattern += re.escape(piece)
        else:
            pattern += f"(?P={piece})" if piece in seen else f"(?P<{piece}>.+?)"
            seen.add(piece)
    return Template(re.compile(pattern, re.DOTALL), chinese, sum(map(len, pieces[::2])))


@lru_cache(maxsize=256)
def _read(text: str) -> Reading:
    """Return the reading that explains the most letters: as one sentence, or as several one after the other."""
    readings = [Reading(text)]
    for end in list(ENDING.finditer(text))[-MOST:]:
        readings.append(_join(_read_one(text[: end.start()]), _read(text[end.end() :])))
    return max(*readings, _read_one(text), key=lambda reading: reading.letters)  # of equal ones the first


@lru_cache(maxsize=256)
def _read_one(text: str) -> Reading:
    if text in TITLES:
        return Reading(TITLES[text], len(text))
    if LENGTH.fullmatch(text):
        return Reading(_length(text), len(text))
    if CHOICE.fullmatch(text):
        return Reading(text.replace(", ", "、").replace(" or ", " 或 "), len(text))
    readings = [_fill(template, found) for template in _templates() if (found := template.pattern.fullmatch(text))]
    return max(readings, key=lambda reading: reading.letters, default=Reading(text))


def _length(text: str) -> str:
    chinese = re.sub(r"[a-z]+", lambda unit: UNITS[unit[0]], text)
    return chinese + "钟" if chinese.endswith("分") else chinese  # as one says it


def _fill(template: Template, found: re.Match[str]) -> Reading:
    holes = {name: _read_one(text) for name, text in found.groupdict().items()}
    chinese = HOLE.sub(lambda hole: holes[hole[1]].text, template.chinese)
    return Reading(chinese, template.letters + sum(hole.letters for hole in holes.values()))


def _join(before: Reading, after: Reading) -> Reading:
    """Return two sentences after each other; Chinese ones need no space between them."""
    space = " " if before.text[-1:].isascii() else ""
    return Reading(before.text + space + after.text, before.letters + after.letters)
