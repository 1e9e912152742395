"""What browsers send: addresses, numbers and forms, all of them checked before anything is done."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from fastapi import HTTPException, Path, Query, Request
from starlette.requests import ClientDisconnect

from shenhe.review.index import VERDICTS, Filters, States

Form = Mapping[str, str]
MAX_BODY = 1_000_000
"""Units: bytes of a form: comments and lines, no files."""
MAX_VALUE = 10_000
"""Units: characters of one field."""
MAX_ADDRESS = 16_000
"""Units: bytes of a path or a query: the longest key of a group is far below."""
MAX_SEARCH = 1000
MAX_NAME = 80
LARGEST = 2**63 - 1
"""The largest number that SQLite knows."""
InPath = Annotated[int, Path(ge=-LARGEST, le=LARGEST)]
InQuery = Annotated[int, Query(ge=-LARGEST, le=LARGEST)]
_VERSION = re.compile(r"[0-9]{1,18}")


def is_readable(request: Request) -> bool:
    """Whether an address is text of bearable length: no NUL, no torn UTF-8, half a character."""
    query = request.scope["query_string"].decode("latin-1")
    path = request.scope.get("raw_path") or request.scope["path"].encode("utf-8", "replace")
    try:
        whole = unquote(path.decode("ascii"), errors="strict") + unquote(query, errors="strict")
    except UnicodeDecodeError:
        return False
    return "\0" not in whole and max(len(path), len(query)) <= MAX_ADDRESS


def host_of(address: str) -> str | None:
    """Give the name in an address without its port, lower case; None for no address at all."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:  # "[", or characters that Unicode turns into others
        return None


async def read_form(request: Request) -> Form:
    """Read a form in which every field stands once.

    Raises: HTTPException 413 for one that is too large, 400 for what is none: torn UTF-8, a NUL,
    a field twice, a value of more than MAX_VALUE characters, half a body.
    """
    body = b""
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_BODY:
                raise HTTPException(413)
    except ClientDisconnect as error:
        raise HTTPException(400) from error
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise HTTPException(400) from error
    form = dict(pairs)
    if len(form) != len(pairs) or any(
        "\0" in text or len(text) > MAX_VALUE for pair in pairs for text in pair
    ):
        raise HTTPException(400)
    return form


def version_of(form: Form) -> int:
    """Give the version of a group that a page showed.

    Raises: HTTPException 400 for what is no such number.
    """
    version = form.get("version", "")
    if not _VERSION.fullmatch(version):
        raise HTTPException(400)
    return int(version)


def reviewer_name(text: str) -> str:
    """Give a name that can stand in the trail: white space single, nothing that does not show."""
    words = "".join(letter if letter.isprintable() else " " for letter in text).split()
    return " ".join(words)[:MAX_NAME]


def filters_of(request: Request) -> Filters:
    """Read the filters of an address.

    Raises: HTTPException 400 for a verdict or state that there is none of, and endless words.
    """
    query = request.query_params
    filters = Filters(
        query.get("mission", ""),
        query.get("verdict", ""),
        query.get("state", ""),
        bool(query.get("against")),
        " ".join(query.get("text", "").split()),
    )
    known = filters.verdict in ("", *VERDICTS) and filters.state in ("", *States)
    if not known or len(filters.text) > MAX_SEARCH:
        raise HTTPException(400)
    return filters


def tail_of(filters: Filters) -> str:
    """Write filters as the end of an address."""
    query = urlencode(filters.query())
    return f"?{query}" if query else ""


def wants_json(request: Request) -> bool:
    """Whether the page's script asks, or the browser by itself."""
    return "application/json" in request.headers.get("accept", "")
