"""The application: its routes, its access rules, and the pages of its errors."""

from __future__ import annotations

import getpass

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from shenhe.errors import DatabaseAwayError, ShenheError
from shenhe.review.access import Access
from shenhe.review.identity import Identity
from shenhe.review.routes import ROUTERS
from shenhe.review.site import Review, Site, site_of
from shenhe.team import People

RETRY_SECONDS = "5"
"""When a browser or a proxy may ask again while the database is away."""
TYPED = ("comment", "line-", "desc-")
"""Beginnings of the fields that people write in; passwords and tokens are shown nowhere."""


def create_app(
    review: Review,
    token: str | None = None,
    reviewer: str | None = None,
    public_url: str = "",
    people: People | None = None,
) -> FastAPI:
    """Create the application; with a token it answers only browsers that have it.

    `reviewer` signs for people who have not given a name; None asks everybody. `public_url` is
    where browsers find it behind a proxy, the only name that it then answers to. Once `people` have
    accounts, it answers only whoever has signed in, and neither token nor name counts any more;
    None are those of the run's database.

        app = create_app(Review("out", Index(Path("out")), prompting))
        uvicorn.run(app, port=8765)
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    identity = Identity(people or People.of(review.index.database), public_url)
    access = Access(token, public_url, identity, _tell_error)
    app.middleware("http")(access)
    app.state.site = Site(review, access, reviewer, identity)
    app.exception_handler(HTTPException)(_show_refusal)
    app.exception_handler(RequestValidationError)(_show_refusal)
    app.exception_handler(ShenheError)(_show_error)
    app.exception_handler(DatabaseAwayError)(_show_away)
    for router in ROUTERS:
        app.include_router(router)
    return app


def default_reviewer() -> str | None:
    """Give the name of the user who is logged in to this machine; None where it is unknown.

    Example:
        app = create_app(review, reviewer=default_reviewer())

    """
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None


def _show_refusal(request: Request, error: Exception) -> Response:
    """Answer a request for a missing page, or an invalid one."""
    status = error.status_code if isinstance(error, HTTPException) else 400
    word = {403: "leads_only", 404: "missing_page", 409: "another_run"}.get(status, "wrong")
    return site_of(request).render(request, "message.html", status, word=word, detail="")


def _show_error(request: Request, error: Exception) -> Response:
    """Answer a request that failed, as on a full disk or missing rows."""
    return site_of(request).render(request, "message.html", 500, word="wrong", detail=str(error))


def _tell_error(request: Request, error: Exception) -> Response:
    """Answer a request of which nobody can say who sends it."""
    is_away = isinstance(error, DatabaseAwayError)
    return _show_away(request, error) if is_away else _show_error(request, error)


def _show_away(request: Request, error: Exception) -> Response:
    """Answer a request while the database is away; what was typed into its form is shown."""
    form = getattr(request.state, "form", {})
    typed = {name: text for name, text in form.items() if text and name.startswith(TYPED)}
    page = site_of(request).render(
        request,
        "away.html",
        503,
        typed=typed if request.method == "POST" else {},
        detail=str(error),
        # Who it is may stand in the database.
        reviewer="",
    )
    page.headers["Retry-After"] = RETRY_SECONDS
    return page
