"""The application: its routes, its access rules, and the pages of its errors."""

from __future__ import annotations

import getpass

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from shenhe.errors import ShenheError
from shenhe.review.access import Access
from shenhe.review.identity import Identity
from shenhe.review.routes import ROUTERS
from shenhe.review.site import Review, Site, site_of
from shenhe.team import People


def create_app(
    review: Review,
    token: str | None = None,
    reviewer: str | None = None,
    people: People | None = None,
) -> FastAPI:
    """Create the application; with a token it answers only browsers that have it.

    `reviewer` signs for people who have not given a name; None asks everybody. Once `people` have
    accounts, it answers only whoever has signed in, and neither token nor name counts any more.

        app = create_app(Review("out", Index(Path("out")), prompting))
        uvicorn.run(app, port=8765)
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    identity = Identity(people) if people else None
    access = Access(token, identity, _show_error)
    app.middleware("http")(access)
    app.state.site = Site(review, access, reviewer, identity)
    app.exception_handler(HTTPException)(_show_refusal)
    app.exception_handler(RequestValidationError)(_show_refusal)
    app.exception_handler(ShenheError)(_show_error)
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
