"""Who a request comes from, once there are accounts: the session in its cookie."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import HTTPException, Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse

from shenhe.review.viewers import account_of, needs_account
from shenhe.team import Account, People

OPEN_PATHS = ("/sign-in", "/join", "/static/", "/language", "/theme")
"""Paths that are answered to whoever has not signed in."""
HERE = "/"


class Identity:
    """Who sends requests; without any account, whoever the cookie with a name says.

    Example:
        identity = Identity(People.of(open_database(Path("out"))))

    """

    def __init__(self, people: People, public_url: str = "") -> None:
        """Read sessions of these people; `public_url` is where browsers find the site."""
        self.people, self._public = people, public_url
        self._cookie = f"shenhe_session_{people.sessions.run[:8]}"

    def cookie_name(self, request: Request) -> str:
        """Name the cookie of this run's sessions; behind TLS no other host may set it."""
        return f"__Host-{self._cookie}" if self._is_secure(request) else self._cookie

    def check(self, request: Request) -> Response | None:
        """Note who sends a request, and refuse it where nobody has signed in but has to."""
        if not self.people.accounts.exist():
            return None
        request.state.needs_account = True
        if request.scope["path"].startswith("/static/"):
            return None
        secret = request.cookies.get(self.cookie_name(request), "")
        account = self.people.sessions.identify(secret) if secret else None
        request.state.account = account
        if account is not None or request.scope["path"].startswith(OPEN_PATHS):
            return None
        if request.method in ("GET", "HEAD") and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(f"/sign-in{_query_of(request)}", 303)
        return PlainTextResponse("nobody has signed in\n", 401)

    def set_cookie(self, request: Request, response: Response, secret: str) -> None:
        """Have the browser keep a session until it is closed, out of reach of any script."""
        response.set_cookie(
            self.cookie_name(request),
            secret,
            path="/",
            secure=self._is_secure(request),
            httponly=True,
            samesite="lax",
        )

    def clear_cookie(self, request: Request, response: Response) -> None:
        """Have the browser forget its session."""
        name, is_https = self.cookie_name(request), self._is_secure(request)
        response.delete_cookie(name, path="/", secure=is_https, httponly=True, samesite="lax")

    def address(self, request: Request) -> str:
        """Give where browsers find the site, without a path."""
        return self._public or str(request.base_url).rstrip("/")

    def _is_secure(self, request: Request) -> bool:
        """Whether the browser came by TLS, here or at a proxy."""
        return request.url.scheme == "https" or self._public.startswith("https://")


def require_lead(request: Request) -> Account:
    """Give the lead who sends a request.

    Raises: HTTPException 403 for whoever is no lead; 404 where there are no accounts.
    """
    if not needs_account(request):
        raise HTTPException(404)
    account = account_of(request)
    if account is None or not account.is_lead:
        raise HTTPException(403)
    return account


def address_of(request: Request) -> str:
    """Give the address of a browser; behind a proxy that this machine trusts, what that says."""
    return request.client.host if request.client else ""


def _query_of(request: Request) -> str:
    """Give the query that leads back to a page after signing in."""
    path, query = request.url.path, request.url.query
    address = f"{path}?{query}" if query else path
    return "" if address == HERE else "?" + urlencode({"next": address})
