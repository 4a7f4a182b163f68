"""The studio's words in two languages: what a page shows, what a handler says, and what the core says in English."""

from emoscope.studio.words.catalogue import AREAS, LANGUAGES, LOCALES, Language, emotion_title, label, say, translations
from emoscope.studio.words.sentences import length_in, translate
from emoscope.studio.words.visitor import COOKIE, PageInLanguage, language_of, script

__all__ = [
    "AREAS",
    "COOKIE",
    "LANGUAGES",
    "LOCALES",
    "Language",
    "PageInLanguage",
    "emotion_title",
    "label",
    "language_of",
    "length_in",
    "say",
    "script",
    "translate",
    "translations",
]
