"""The strings of the page: one JSON file per area, each string in English and in Chinese."""

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from emoscope.labels import INDEX, emotion

if TYPE_CHECKING:
    from gradio.i18n import I18nData

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)  # in the order of the two strings in a file
LOCALES: dict[Language, str] = {"en": "en", "zh": "zh-CN"}  # as HTML, browsers and Gradio call them

HERE = Path(__file__).parent
SENTENCES = "sentences"  # what the core says; keyed by the English, so no area of the page
AREAS = tuple(sorted(file.stem for file in HERE.glob("*.json") if file.stem != SENTENCES))
SILENCE_TITLE = "静音"
PREFIX = "emoscope."  # Gradio looks its own strings up in the same place


@cache
def words(language: Language) -> dict[str, str]:
    """Return every string of the page in one language, by its key `area.key`."""
    column = LANGUAGES.index(language)
    return {
        f"{area}.{key}": pair[column]
        for area in AREAS
        for key, pair in json.loads((HERE / f"{area}.json").read_text(encoding="utf-8")).items()
    }


def say(key: str, language: Language, **values: object) -> str:
    """Return a string in this language, with the values in its places."""
    return words(language)[key].format_map(values)


def label(key: str) -> "I18nData":
    """Return what a component shows where the browser chooses the language."""
    if key not in words("en"):
        raise KeyError(key)
    from gradio.i18n import I18nData

    return I18nData(PREFIX + key)


def translations() -> dict[str, dict[str, str]]:
    """Return the strings behind every `label`, as `gr.I18n` takes them."""
    return {LOCALES[each]: {PREFIX + key: text for key, text in words(each).items()} for each in LANGUAGES}


def emotion_title(name: str, language: Language) -> str:
    """Return what an emotion, or silence, is called in the middle of a sentence."""
    if language == "en":
        return name
    return emotion(name).chinese if name in INDEX else SILENCE_TITLE
