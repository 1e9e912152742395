"""Jinja templates of the pages: a missing name is an error, and only text and numbers print."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Undefined
from markupsafe import Markup

from shenhe.languages import current_language, page_language
from shenhe.printable import printable


def environment(*packages: str) -> Environment:
    r"""Open the templates of packages, escaped, with filters for foreign text.

    Printing anything but text and finite numbers (a method, None, NaN) raises TypeError, and a
    missing name `jinja2.UndefinedError`: neither becomes a word of a page.
    Filters: `isolated` shows foreign text, `filled` fills a sentence with it, `spelled` is for
    attributes and titles, which hold no elements; `spoken` writes a pair of Chinese and English,
    `moment` shows a time. Test: `finite`. `page_language()` is the language of the page.

        >>> environment("shenhe.review").from_string("{{ 'a\u202eb' | isolated }}").render()
        '<bdi>a\u202eb</bdi>'
    """
    templates = Environment(
        loader=ChoiceLoader([PackageLoader(package, "templates") for package in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=require_text_or_number,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"isolated": isolate, "filled": fill_sentence, "spelled": printable}
    templates.filters["spoken"] = speak
    templates.globals["page_language"] = page_language
    templates.filters["moment"] = show_moment
    templates.tests["finite"] = lambda value: value is not None and math.isfinite(value)
    return templates


@cache
def load_words(package: str, language: str) -> Mapping[str, str]:
    """Load the words of a package in a language, from all files of its folder `wording`.

    >>> load_words("shenhe.report", "zh")["title"]
    '验收单'
    """
    words: dict[str, str] = {}
    for file in (files(package) / "wording").iterdir():
        words |= tomllib.loads(file.read_text(encoding="utf-8"))[language]
    return words


def require_text_or_number(value: object) -> object:
    """Return text, finite numbers and undefined values, which Jinja handles itself.

    Raises: TypeError for everything else.
    """
    if isinstance(value, str | Undefined):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    raise TypeError(f"a template prints {value!r}, which is neither text nor a number")


def isolate(text: str) -> Markup:
    """Mark foreign text as isolated, so that its direction does not change the words beside it."""
    return Markup("<bdi>{}</bdi>").format(text)


def speak(words: tuple[str, str]) -> Markup:
    """Write Chinese or English, as is spoken; where nobody has asked, both, the English marked.

    >>> str(speak(("结论", "verdict")))
    '结论 <span class="soft" lang="en">verdict</span>'
    """
    chinese, english = words
    if current_language() == "zh" or chinese == english:
        return Markup("{}").format(chinese)
    if current_language() == "en":
        return Markup("{}").format(english)
    return Markup('{} <span class="soft" lang="en">{}</span>').format(chinese, english)


def show_moment(text: str) -> Markup:
    """Show a time of a row: in UTC, which the pages' script turns to the reader's zone.

    What is no time is shown as it is, isolated.

    >>> str(show_moment("2025-10-24T12:34:56.000000Z"))
    '<time datetime="2025-10-24T12:34:56Z">2025-10-24 12:34:56 UTC</time>'
    """
    with suppress(ValueError, OverflowError):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            shown = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
            element = Markup('<time datetime="{}Z">{} UTC</time>')
            return element.format(shown.replace(" ", "T"), shown)
    return isolate(text)


def fill_sentence(sentence: str, **values: str) -> Markup:
    """Fill foreign text into a sentence, each value isolated.

    >>> str(fill_sentence("photo {name}", name="a<b"))
    'photo <bdi>a&lt;b</bdi>'
    """
    return (
        Markup("{}")
        .format(sentence)
        .format(**{name: isolate(text) for name, text in values.items()})
    )
