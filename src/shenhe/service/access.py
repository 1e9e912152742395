"""Access: loopback without a key, anywhere else with one; names of this machine; own pages alone.

It looks at headers only, so that a body that is refused is never read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Final, Literal

from fastapi import Depends, Request, Response
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shenhe.errors import DatabaseAwayError, RunError
from shenhe.service.client_language import note_language
from shenhe.service.refusals import RefusedError
from shenhe.service.session import read_cookie
from shenhe.web.addresses import is_loopback, is_of_host, is_readable, read_host
from shenhe.web.headers import HEADERS

KeyScope = Literal["submit", "read", "admin"]
SCOPES: Final[tuple[KeyScope, ...]] = ("submit", "read", "admin")
SAFE: Final = ("GET", "HEAD", "OPTIONS")
OPEN_PATHS: Final = ("/healthz", "/readyz", "/sign-in", "/sign-out", "/language", "/theme")
"""Paths that are answered without a key: they tell nothing of groups."""
STATIC: Final = "/static/"
ALIVE: Final = "/healthz"
"""Asks of the process alone, by whatever name, and of no database."""


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


TellRefusal = Callable[[Request, RefusedError], Response]
CountRequest = Callable[[Caller], float]
"""Counts a request of a caller; gives how long it has to wait. Units: seconds."""
CheckKey = Callable[[Request, str], Awaitable[Caller | None]]
"""Finds who has the key of a request; refuses whoever tries too many."""
HoldPlace = Callable[[Request], AbstractContextManager[None]]
"""Holds a place for a request; refuses one whose caller has too many."""


class Access:
    """An ASGI middleware that holds the rules, and adds the headers of safety."""

    def __init__(
        self,
        app: ASGIApp,
        check_key: CheckKey,
        take: CountRequest,
        hold: HoldPlace,
        tell: TellRefusal,
    ) -> None:
        """Answer whoever `check_key` knows; the empty key is that of those who send none."""
        self._app, self._check_key = app, check_key
        self._take, self._hold, self._tell = take, hold, tell

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

        request = Request(scope)
        chosen = request.cookies.get("language", "")  # by the switch of the pages
        note_language(f"{chosen},{request.headers.get('accept-language', '')}")
        if scope["path"] == ALIVE:  # whatever else is away
            await self._app(scope, receive, send_safely)
            return
        with ExitStack() as stack:
            try:
                await self._check(request)
                stack.enter_context(self._hold(request))
            except RefusedError as refusal:
                answer = self._tell(request, refusal)
                answer.headers["Connection"] = "close"
                await answer(scope, receive, send_safely)
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
        path: str = request.scope["path"]
        is_open = path in OPEN_PATHS or path.startswith(STATIC)
        caller = await self._find(request, is_open)
        if caller is EVERYBODY and not is_loopback(name):
            # DNS rebinding: a foreign page can give its own name this machine's address.
            raise RefusedError(
                421, "unknown_host", "this service answers to names of its machine alone"
            )
        if caller is None and not is_open:
            raise RefusedError(401, "bad_key", "give a key: Authorization: Bearer KEY")
        if caller is not None and not is_open and (seconds := self._take(caller)):
            problem = f"this key may send {caller.rate:g} requests a minute"
            raise RefusedError(429, "rate_exceeded", problem, seconds)
        request.scope["state"] = request.scope.get("state", {}) | {"caller": caller}

    async def _find(self, request: Request, is_open: bool) -> Caller | None:
        """Find who asks; where anybody may, it does not matter that too many keys were tried.

        Raises: RefusedError.
        """
        try:
            return await self._check_key(request, _key_of(request))
        except DatabaseAwayError as error:
            raise RefusedError(503, "database_away", "the database does not answer", 5) from error
        except RunError as error:
            raise RefusedError(500, "internal", "keys cannot be read") from error
        except RefusedError:
            if is_open:
                return None
            raise


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
    if scheme.lower() == "bearer":
        return key.strip()
    named = request.headers.get("x-api-key", "")
    # A cookie is sent by the browser alone: with what changes something, a page of ours must be
    # behind it, and says so by its Origin, which was compared.
    is_own = request.method in SAFE or "origin" in request.headers
    return named or (read_cookie(request) if is_own else "")
