"""Pages of the service: templates in the language, the theme and with the rights of the reader."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import SimpleNamespace
from typing import Final

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment

from shenhe.languages import LANGUAGES
from shenhe.printable import worded
from shenhe.rows.words import words_of
from shenhe.service.access import EVERYBODY, Caller
from shenhe.templating import environment
from shenhe.web.preferences import THEMES, read_language, read_theme
from shenhe.web.static_files import SHARED, list_modules, tag_files
from shenhe.web.words import Words, load_words

PACKAGE: Final = "shenhe.service"
KINDS: Final = {"通过": "pass", "不通过": "fail"}
"""Looks of verdicts; whatever has none is undecided."""


def render(request: Request, template: str, status: int = 200, /, **values: object) -> HTMLResponse:
    """Render a template in the reader's language.

    Example:
        render(request, "message.html", 404, word="missing_page", detail="")

    """
    language = read_language(request)
    path, query = request.url.path, request.url.query
    caller = caller_of(request)
    text = (
        _templates()
        .get_template(template)
        .render(
            w=SimpleNamespace(**load_words(PACKAGE, language)),
            language=language,
            themes=THEMES,
            theme=read_theme(request),
            other_language=next(name for name in LANGUAGES if name != language),
            address=f"{path}?{query}" if query else path,
            signed_in=caller.name if caller and caller is not EVERYBODY else "",
            **{"section": "", "reloads": False, **values},
        )
    )
    return HTMLResponse(text, status)


def words_for(request: Request) -> Words:
    """Give the words of pages in the reader's language."""
    return load_words(PACKAGE, read_language(request))


def caller_of(request: Request) -> Caller | None:
    """Give who asks; None on a page that is shown to anybody."""
    caller = getattr(request.state, "caller", None)
    return caller if isinstance(caller, Caller) else None


def may(request: Request, *scopes: str) -> bool:
    """Whether whoever asks may do one of these.

    >>> from starlette.requests import Request
    >>> may(Request({"type": "http", "state": {}}), "read")
    False
    """
    caller = caller_of(request)
    return caller is not None and bool(caller.scopes & {*scopes, "admin"})


def is_page(request: Request) -> bool:
    """Whether a browser asks for something that a person reads."""
    accepts: Mapping[str, str] = request.headers
    path: str = request.scope["path"]
    return "text/html" in accepts.get("accept", "") and not path.startswith("/v1/")


@cache
def _templates() -> Environment:
    templates = environment(PACKAGE, SHARED)
    templates.globals |= {
        "words_of": words_of,
        "worded": worded,
        "kinds": KINDS,
        "static_tag": tag_files(PACKAGE),
        "modules": list_modules(PACKAGE, "service.js"),
    }
    templates.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    return templates
