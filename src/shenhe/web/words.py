"""The words of a web app's pages, in Chinese and English, with those that all apps share."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from shenhe import templating
from shenhe.languages import LANGUAGES, Language

Words = Mapping[str, str]


@cache
def load_words(package: str, language: str) -> Words:
    """Load the words of a package in a language, and the shared ones.

    >>> load_words("shenhe.review", "en")["undecided"]
    'undecided'
    """
    shared = templating.load_words("shenhe.web", language)
    return {**shared, **templating.load_words(package, language)}


def choose_language(cookie: str | None, accepted: str) -> Language:
    """Choose the language of the cookie, else the first supported one that the browser accepts.

    >>> choose_language(None, "fr, en-GB;q=0.8")
    'en'
    """
    codes = (part.strip()[:2].casefold() for part in accepted.split(","))
    choices = (name for code in (cookie, *codes) for name in LANGUAGES if name == code)
    return next(choices, LANGUAGES[0])
