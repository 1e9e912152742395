"""Templates of the pages: a missing name is an error, only text and numbers are ever printed."""

from __future__ import annotations

import math

from jinja2 import Environment, PackageLoader, StrictUndefined, Undefined
from markupsafe import Markup

from shenhe.printable import printable


def environment(package: str) -> Environment:
    r"""Open the templates of a package, escaped; foreign text stands apart from its sentence.

    Printing anything but text and finite numbers (a method, None, NaN) raises TypeError, and a
    missing name `jinja2.UndefinedError`: neither ever becomes a word of a page.
    Filters: `isolated` shows foreign text, `filled` fills a sentence with it, `spelled` is for
    attributes and titles, where no element can stand. Test: `finite`.

        >>> environment("shenhe.review").from_string("{{ 'a\\u202eb' | isolated }}").render()
        '<bdi>a\\u202eb</bdi>'
    """
    opened = Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=require_text_or_number,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    opened.filters |= {"isolated": isolate, "filled": fill_sentence, "spelled": printable}
    opened.tests["finite"] = lambda value: value is not None and math.isfinite(value)
    return opened


def require_text_or_number(value: object) -> object:
    """Let text and finite numbers through, the absent else of an expression as nothing.

    Raises: TypeError for everything else.
    """
    if isinstance(value, str | Undefined):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    raise TypeError(f"a template prints {value!r}, which is neither text nor a number")


def isolate(text: str) -> Markup:
    """Show foreign text in its own direction, so that no mark in it turns the words beside it."""
    return Markup("<bdi>{}</bdi>").format(text)


def fill_sentence(sentence: str, **values: str) -> Markup:
    """Fill a sentence in with foreign text, each value isolated."""
    return (
        Markup("{}")
        .format(sentence)
        .format(**{name: isolate(text) for name, text in values.items()})
    )
