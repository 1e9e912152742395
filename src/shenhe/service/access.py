"""Access: loopback without a key, anywhere else with one; names of this machine; own pages alone.

It looks at headers only, so that a body that is refused is never read.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shenhe.errors import DatabaseAwayError, RunError
from shenhe.service.refusals import RefusedError
from shenhe.web.addresses import is_loopback, is_of_host, is_readable, read_host
from shenhe.web.headers import HEADERS

KeyScope = Literal["submit", "read", "admin"]
SCOPES: Final[tuple[KeyScope, ...]] = ("submit", "read", "admin")
SAFE: Final = ("GET", "HEAD", "OPTIONS")
OPEN_PATHS: Final = ("/healthz", "/readyz")
"""Paths that are answered without a key: they tell nothing of groups."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the name of the key, empty where none is required, and what it may do.

    `rate` is how many requests a minute it may send, 0 for any number.

    Example:
        Caller("工单系统", frozenset({"submit", "read"}))

    """

    name: str
    scopes: frozenset[KeyScope]
    rate: float = 0.0


EVERYBODY: Final = Caller("", frozenset(SCOPES))
FindCaller = Callable[[str], Caller | None]
"""Finds who has a key, which may be empty; None: nobody."""


CountRequest = Callable[[Caller], float]
"""Counts a request of a caller; gives how long it has to wait. Units: seconds."""


class Access:
    """An ASGI middleware that holds the rules, and adds the headers of safety."""

    def __init__(self, app: ASGIApp, find_caller: FindCaller, take: CountRequest) -> None:
        """Answer whoever `find_caller` knows; the empty key is that of those who send none."""
        self._app, self._find_caller, self._take = app, find_caller, take

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a forbidden request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self._check(Request(scope))
        except RefusedError as refusal:
            await _answer(refusal, send_safely)
            return
        await self._app(scope, receive, send_safely)

    async def _check(self, request: Request) -> None:
        """Find who asks.

        Raises: RefusedError.
        """
        host = request.headers.get("host", "")
        name = read_host(f"//{host}")
        if name is None or not is_readable(request):
            raise RefusedError(400, "bad_address", "no address that can be read")
        origin = request.headers.get("origin")
        if origin is not None and not is_of_host(origin, host):
            raise RefusedError(403, "foreign_origin", "only this site's own pages may ask")
        try:
            caller = await run_in_threadpool(self._find_caller, _key_of(request))
        except DatabaseAwayError as error:
            raise RefusedError(503, "database_away", "the database does not answer", 5) from error
        except RunError as error:
            raise RefusedError(500, "internal", "keys cannot be read") from error
        if caller is EVERYBODY and not is_loopback(name):
            # DNS rebinding: a foreign page can give its own name this machine's address.
            raise RefusedError(
                421, "unknown_host", "this service answers to names of its machine alone"
            )
        if caller is None and request.scope["path"] not in OPEN_PATHS:
            raise RefusedError(401, "bad_key", "give a key: Authorization: Bearer KEY")
        if caller is not None and (seconds := self._take(caller)):
            problem = f"this key may send {caller.rate:g} requests a minute"
            raise RefusedError(429, "rate_exceeded", problem, seconds)
        request.scope["state"] = request.scope.get("state", {}) | {"caller": caller}


def needs(scope: KeyScope) -> object:
    """Make a dependency that gives who asks, and refuses a key without a scope; admin has all.

    Example:
        caller: Annotated[Caller, needs("read")]

    """

    def require(request: Request) -> Caller:
        caller = request.state.caller
        assert isinstance(caller, Caller)
        if scope not in caller.scopes and "admin" not in caller.scopes:
            raise RefusedError(403, "missing_scope", f"this key may not do this: it lacks {scope}")
        return caller

    return Depends(require)


def _key_of(request: Request) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")


async def _answer(refusal: RefusedError, send: Send) -> None:
    body = json.dumps(refusal.body, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json", "Connection": "close"} | refusal.headers
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": refusal.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
