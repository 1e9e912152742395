"""The words of the pages, in Chinese and English: a file of `wording/` for each kind of page."""

from __future__ import annotations

from collections.abc import Mapping

from shenhe import templating

LANGUAGES = ("zh", "en")
Words = Mapping[str, str]


def load_words(language: str) -> Words:
    """Load the words of a language. A word stands in one file: `tests/review/test_words.py`."""
    return templating.load_words("shenhe.review", language)


def select_words(language: str, beginning: str) -> Words:
    """Give the words that a script shows: those whose names begin in this way."""
    words = load_words(language)
    return {name: word for name, word in words.items() if name.startswith(beginning)}


def choose_language(cookie: str | None, accepted: str) -> str:
    """Choose the language of the cookie, else the first supported one that the browser accepts."""
    if cookie in LANGUAGES:
        return cookie
    codes = (part.strip()[:2].casefold() for part in accepted.split(","))
    return next((language for language in codes if language in LANGUAGES), LANGUAGES[0])
