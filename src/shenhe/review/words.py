"""The words of the pages, in Chinese and English: a file of `wording/` for each kind of page."""

from __future__ import annotations

from typing import Final

from shenhe.web import words

PACKAGE: Final = "shenhe.review"
Words = words.Words


def load_words(language: str) -> Words:
    """Load the words of a language. A word stands in one file: `tests/review/test_words.py`."""
    return words.load_words(PACKAGE, language)


def select_words(language: str, beginning: str) -> Words:
    """Give the words that a script shows: those whose names begin in this way."""
    chosen = load_words(language)
    return {name: word for name, word in chosen.items() if name.startswith(beginning)}
