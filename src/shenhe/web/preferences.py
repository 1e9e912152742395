"""What a browser remembers of its reader: the language and the theme, in cookies."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Final

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from shenhe.languages import Language
from shenhe.web.words import choose_language

THEMES: Final = {
    "system": "screen and (prefers-color-scheme: dark)",
    "light": "not all",
    "dark": "screen",
}
"""The media for which the dark colours hold, by the theme that a reader chose."""
YEAR: Final = 365 * 24 * 3600
"""How long a browser keeps a cookie. Units: seconds."""


def read_language(request: Request) -> Language:
    """Give the language of a browser."""
    accepted = request.headers.get("accept-language", "")
    return choose_language(request.cookies.get("language"), accepted)


def read_theme(request: Request) -> str:
    """Give the theme that a browser's reader chose; else that of the system."""
    theme = request.cookies.get("theme", "")
    return theme if theme in THEMES else "system"


def remember(form: Mapping[str, str], name: str, values: Container[str]) -> Response:
    """Remember a choice of a form, if it is one of these, and go back to its page.

    Example:
        remember({"theme": "dark", "here": "/"}, "theme", THEMES)

    """
    address = form.get("here", "/")
    response = RedirectResponse(address if is_local_path(address) else "/", 303)
    if form.get(name) in values:
        set_cookie(response, name, form[name])
    return response


def set_cookie(response: Response, name: str, value: str) -> None:
    """Store a cookie that no script reads and no other site sends."""
    response.set_cookie(name, value, max_age=YEAR, httponly=True, samesite="lax")


def is_local_path(address: str) -> bool:
    r"""Whether an address leads to a page of this site.

    A browser reads `//elsewhere` and `/\elsewhere` as addresses of another one, and drops tabs and
    newlines before it does.

        >>> is_local_path("/group/5?state=open"), is_local_path("//elsewhere")
        (True, False)
    """
    is_path = address.startswith("/") and address[1:2] not in ("/", "\\")
    return is_path and address.isprintable()
