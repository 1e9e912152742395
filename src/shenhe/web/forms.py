"""Forms that browsers send, read whole and checked before anything is done."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Mapping
from typing import Final
from urllib.parse import parse_qsl

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

Form = Mapping[str, str]
MAX_VALUE: Final = 10_000
"""Maximum length of one field. Units: characters."""
FORM_SECONDS: Final = 60.0
"""How long a form may take to come."""


async def read_form(request: Request, max_body: int, long_fields: Container[str] = ()) -> Form:
    """Read a form in which no field is repeated; `long_fields` may be over MAX_VALUE.

    Raises: HTTPException 413 for a body over `max_body` bytes; 408 for one that takes longer than
    FORM_SECONDS; 400 for invalid UTF-8, a NUL, a repeated field, a value over MAX_VALUE, an
    incomplete body.
    """
    body = b""
    try:
        async with asyncio.timeout(FORM_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > max_body:
                    raise HTTPException(413)
    except TimeoutError as error:
        raise HTTPException(408) from error
    except ClientDisconnect as error:
        raise HTTPException(400) from error
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise HTTPException(400) from error
    form = dict(pairs)
    is_valid = len(form) == len(pairs) and all(
        "\0" not in name + text and (name in long_fields or max(len(name), len(text)) <= MAX_VALUE)
        for name, text in pairs
    )
    if not is_valid:
        raise HTTPException(400)
    return form
