"""What the pages say, in Chinese and English."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

LANGUAGES = ("zh", "en")
Words = Mapping[str, str]


@cache
def words(language: str) -> Words:
    """Give the words of a language."""
    text = (files("shenhe.review") / "words.toml").read_text(encoding="utf-8")
    found: Words = tomllib.loads(text)[language]
    return found


def chosen(cookie: str | None, accepted: str) -> str:
    """Choose a language: the one that was chosen, else the first that the browser asks for."""
    if cookie in LANGUAGES:
        return cookie
    asked = (part.strip()[:2].casefold() for part in accepted.split(","))
    return next((language for language in asked if language in LANGUAGES), LANGUAGES[0])
