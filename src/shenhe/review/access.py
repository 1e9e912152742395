"""Access rules: loopback or a token, writes from this site's own pages only, no foreign content.

Behind a proxy the site has one public address. It then answers to no other name, takes writes only
from pages of that address, and its cookies travel over TLS alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from urllib.parse import urlsplit

from fastapi import HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse, RedirectResponse

from shenhe.errors import ShenheError
from shenhe.review.forms import read_form
from shenhe.review.identity import Identity
from shenhe.review.index.moments import begin_moment
from shenhe.review.viewers import needs_account
from shenhe.web.addresses import is_loopback, is_of_host, is_readable, read_host
from shenhe.web.headers import HEADERS

TOKEN_COOKIE = "shenhe_token"
OPEN_PATHS = ("/login", "/static/", "/language", "/theme")
"""Paths that are answered without a token."""
Next = Callable[[Request], Awaitable[Response]]
Tell = Callable[[Request, Exception, bool], Response]


class Access:
    """A middleware that holds the rules; without a token it answers the names of loopback only."""

    def __init__(self, token: str | None, public_url: str, identity: Identity, tell: Tell) -> None:
        """Require a token, None requires none, or a session once there are accounts.

        `public_url` is where browsers find the site. `tell` makes the page of an error: where
        nobody can say who has signed in, nobody has. Its last argument says whether the browser
        has shown what a site without accounts asks for.
        """
        self._token, self._public = token, public_url
        self._identity, self._tell = identity, tell

    async def __call__(self, request: Request, call_next: Next) -> Response:
        """Refuse a forbidden request, and add the security headers to every response."""
        begin_moment()
        response = self._refuse_foreign(request)
        if response is None:
            response = await self._check(request)
        if response is None and not needs_account(request):
            response = self._refuse_unasked(request)
        response = response or await call_next(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "no-store")
        if self._public.startswith("https:"):
            secure_cookies(response)
        return response

    def accepts(self, token: str) -> bool:
        """Whether a token is the required one."""
        return self._token is not None and secrets.compare_digest(
            token.encode("utf-8", "replace"), self._token.encode()
        )

    def _is_admitted(self, request: Request) -> bool:
        """Whether a browser has the token, or is of this machine where none is required."""
        if self._token is None:
            return not self._is_rebound(request)
        return self.accepts(request.cookies.get(TOKEN_COOKIE, ""))

    def _is_rebound(self, request: Request) -> bool:
        """Whether a site of this machine alone is asked for by another name.

        DNS rebinding: a foreign page could give its own name this machine's address.
        """
        name = read_host(f"//{request.headers.get('host', '')}") or ""
        return not self._public and self._token is None and not is_loopback(name)

    async def _check(self, request: Request) -> Response | None:
        try:
            return await run_in_threadpool(self._identity.check, request)
        except ShenheError as error:
            if request.method == "POST":
                with suppress(HTTPException):  # the page shows what was typed into it
                    await read_form(request)
            return await run_in_threadpool(self._tell, request, error, self._is_admitted(request))

    def _is_own(self, request: Request, host: str) -> bool:
        """Whether a write comes from a page of this site, by the Origin that browsers send."""
        origin = request.headers.get("origin")
        if self._public:
            return origin == self._public
        return is_of_host(origin, host)

    def _refuse_foreign(self, request: Request) -> Response | None:
        """Refuse what no browser sends from a page of this site, and what nobody can read."""
        host = request.headers.get("host", "")
        name = read_host(f"//{host}")
        if name is None or not is_readable(request):
            return PlainTextResponse("no address that can be read\n", 400)
        if self._public and host.lower() != urlsplit(self._public).netloc:
            return PlainTextResponse("unknown host\n", 421)
        if request.method not in ("GET", "HEAD") and not self._is_own(request, host):
            return PlainTextResponse("only this site's own pages may write\n", 403)
        return None

    def _refuse_unasked(self, request: Request) -> Response | None:
        """Refuse whoever lacks the token; without one, all but the names of this machine."""
        if self._is_rebound(request):
            return PlainTextResponse("unknown host\n", 421)
        if self._is_admitted(request) or request.scope["path"].startswith(OPEN_PATHS):
            return None
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/login", 303)
        return PlainTextResponse("the token is missing\n", 401)


def secure_cookies(response: Response) -> None:
    """Let the cookies of a response travel over TLS alone."""
    for place, (name, value) in enumerate(response.raw_headers):
        if name.lower() == b"set-cookie" and b"; secure" not in value.lower():
            response.raw_headers[place] = (name, value + b"; Secure")
