"""The words of the pages, in Chinese and English."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

LANGUAGES = ("zh", "en")
Words = Mapping[str, str]


@cache
def load_words(language: str) -> Words:
    """Load the words of a language."""
    text = (files("shenhe.review") / "words.toml").read_text(encoding="utf-8")
    words: Words = tomllib.loads(text)[language]
    return words


def choose_language(cookie: str | None, accepted: str) -> str:
    """Choose the language of the cookie, else the first supported one that the browser accepts."""
    if cookie in LANGUAGES:
        return cookie
    codes = (part.strip()[:2].casefold() for part in accepted.split(","))
    return next((language for language in codes if language in LANGUAGES), LANGUAGES[0])
