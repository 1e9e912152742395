"""The session of a browser: its key in a cookie that no script reads and no other site sends."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, unquote, urlsplit

from fastapi import Request, Response

COOKIE: Final = "shenhe_key"


def cookie_name(request: Request) -> str:
    """Name the cookie: browsers keep those of all ports of a machine together."""
    try:
        port = urlsplit(f"//{request.headers.get('host', '')}").port
    except ValueError:
        port = None
    return f"{COOKIE}_{port}" if port else COOKIE


def read_cookie(request: Request) -> str:
    """Give the key of a browser that has signed in; empty of any other."""
    return unquote(request.cookies.get(cookie_name(request), ""))


def begin_session(request: Request, response: Response, key: str) -> None:
    """Have the browser keep a key until it is closed."""
    name, value = cookie_name(request), quote(key, safe="")
    is_secure = _is_secure(request)
    response.set_cookie(name, value, secure=is_secure, httponly=True, samesite="strict")


def end_session(request: Request, response: Response) -> None:
    """Have the browser forget its key."""
    name, is_secure = cookie_name(request), _is_secure(request)
    response.delete_cookie(name, secure=is_secure, httponly=True, samesite="strict")


def _is_secure(request: Request) -> bool:
    """Whether the browser came by TLS, here or at a proxy: it says so in the Origin of forms."""
    return request.headers.get("origin", "").startswith("https:")
