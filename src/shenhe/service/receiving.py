"""Bodies of submissions from the network to disk: bounded in memory, in size and in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from shenhe.service.inbox import Reception
from shenhe.service.limits import Limits
from shenhe.service.multipart import SubmissionParser
from shenhe.service.refusals import RefusedError

BATCH: Final = 1 << 18
"""Bytes that are gathered until a thread writes them."""
BESIDE: Final = 1_000_000
"""Bytes of a body beside its photos."""
MAX_JSON: Final = 1_000_000
DRAIN_BYTES: Final = 16_000_000
DRAIN_SECONDS: Final = 3.0
"""How much of a refused body is read on, so that its sender reads the answer."""
QUIET_SECONDS: Final = 0.3
"""A sender that is quiet for so long waits for the answer."""


async def receive_photos(request: Request, reception: Reception) -> dict[str, str]:
    """Receive a multipart body: its photos go to the reception; gives its fields.

    Raises: RefusedError for a body that is malformed, cut short, too slow or over a limit;
    RunError.
    """
    limits = reception.limits
    parser = SubmissionParser(request.headers.get("content-type", ""), reception)
    try:
        async for batch in _batches(request, limits, limits.group_bytes + BESIDE):
            await run_in_threadpool(parser.feed, batch)
        parser.finish()
    except RefusedError:
        await drain(request)
        raise
    return parser.fields


async def receive_json(request: Request, limits: Limits, max_bytes: int = MAX_JSON) -> bytes:
    """Receive a body of JSON.

    Raises: RefusedError for one that is cut short, too slow or too long.
    """
    body = bytearray()
    async for batch in _batches(request, limits, max_bytes):
        body += batch
    return bytes(body)


async def drain(request: Request) -> None:
    """Read on what is sent still, for a moment: many clients read no answer before that."""
    if "expect" in request.headers:  # nothing is sent before it is asked for
        return
    until, size = time.monotonic() + DRAIN_SECONDS, 0
    stream = request.stream()
    # A body that was read to its end cannot be read on: a RuntimeError of starlette.
    with suppress(ClientDisconnect, TimeoutError, StopAsyncIteration, RuntimeError):
        while size <= DRAIN_BYTES and time.monotonic() < until:
            async with asyncio.timeout(QUIET_SECONDS):
                size += len(await anext(stream))


async def _batches(request: Request, limits: Limits, max_bytes: int) -> AsyncIterator[bytes]:
    """Yield the body in batches.

    Raises: RefusedError.
    """
    if declared_length(request) > max_bytes:
        raise _too_long(max_bytes)
    batch, size = bytearray(), 0
    async for chunk in _chunks(request, limits):
        size += len(chunk)
        if size > max_bytes:
            raise _too_long(max_bytes)
        batch += chunk
        if len(batch) >= BATCH:
            yield bytes(batch)
            batch.clear()
    if batch:
        yield bytes(batch)


async def _chunks(request: Request, limits: Limits) -> AsyncIterator[bytes]:
    """Yield what comes, as long as it comes fast enough.

    Raises: RefusedError.
    """
    began, size = time.monotonic(), 0
    stream = request.stream()
    try:
        while True:
            left = began + limits.body_seconds(size) - time.monotonic()
            async with asyncio.timeout(min(left, limits.idle_seconds)):
                chunk = await anext(stream)
            size += len(chunk)
            yield chunk
    except StopAsyncIteration:
        return
    except TimeoutError as error:
        pause, least = limits.idle_seconds, limits.bytes_per_second
        problem = f"the body comes too slowly: a pause of {pause:g} s, or under {least:,} bytes/s"
        raise RefusedError(408, "too_slow", problem) from error
    except ClientDisconnect as error:
        problem = "the connection was lost in the middle of the body"
        raise RefusedError(400, "cut_short", problem) from error


def declared_length(request: Request) -> int:
    """Give the length of a body as its sender says it, 0 if it does not. Units: bytes."""
    if "transfer-encoding" in request.headers:  # which counts, whatever length stands beside it
        return 0
    text = request.headers.get("content-length", "0")
    return int(text) if text.isascii() and text.isdigit() else 0


def _too_long(max_bytes: int) -> RefusedError:
    return RefusedError(413, "body_too_large", f"a body of over {max_bytes:,} bytes")
