"""The application: which address shows and does what; all of it is served from here."""

from __future__ import annotations

import getpass
from importlib.resources import files
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, RedirectResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from shenhe.errors import PhotoError, ShenheError
from shenhe.review.access import TOKEN_COOKIE, Access
from shenhe.review.export import EXPORTS
from shenhe.review.forms import Form, InPath, InQuery, read_form, reviewer_name
from shenhe.review.pages import Pages, Review
from shenhe.review.pictures import Size, fingerprint, jpeg, tag
from shenhe.review.words import LANGUAGES

YEAR = 365 * 24 * 3600
Sent = Annotated[Form, Depends(read_form)]
STATIC = {"app.css": "text/css", "app.js": "text/javascript", "icon.svg": "image/svg+xml"}


def create_app(review: Review, token: str | None = None, reviewer: str | None = None) -> FastAPI:
    """Make the application; with a token it answers only those who have it.

    `reviewer` signs for who has not said his name; None: everybody is asked.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    access = Access(token)
    app.middleware("http")(access)
    pages = Pages(review, reviewer)
    app.exception_handler(StarletteHTTPException)(pages.refused)
    app.exception_handler(RequestValidationError)(pages.refused)
    app.exception_handler(ShenheError)(pages.failed)
    _route_pages(app, pages)
    _route_pictures(app, review)
    _route_people(app, pages, access)
    return app


def default_reviewer() -> str | None:
    """Give the name of who is logged in to this machine, where the system knows it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None


def _route_pages(app: FastAPI, pages: Pages) -> None:
    @app.get("/")
    def queue(request: Request, after: InQuery = 0) -> Response:
        return pages.queue(request, after)

    @app.get("/group/{number}")
    def group(request: Request, number: InPath) -> Response:
        return pages.group(request, number)

    @app.post("/group/{number}")
    def decide(request: Request, number: InPath, form: Sent) -> Response:
        return pages.decide(request, number, form)

    @app.post("/undo")
    def undo(request: Request, form: Sent) -> Response:
        return pages.undo(request)

    @app.get("/find")
    def find(key: str) -> Response:
        return pages.find(key)

    @app.get("/trail")
    def trail(request: Request, before: InQuery | None = None) -> Response:
        return pages.trail(request, before)

    @app.get("/export")
    def exports(request: Request) -> Response:
        return pages.render(request, "export.html", exports=list(EXPORTS))

    @app.get("/export/{name}")
    def exported(name: str) -> Response:
        return pages.export(name)


def _route_pictures(app: FastAPI, review: Review) -> None:
    def picture(request: Request, number: int, place: int, size: Size, drawn: bool) -> Response:
        found = review.index.group(number)
        if found is None or not 1 <= place <= len(found.images):
            raise HTTPException(404)
        image = found.images[place - 1]
        if request.query_params.get("of", tag(image)) != tag(image):
            raise HTTPException(404)
        caption = found.captions.get(image) if drawn else None
        if drawn and caption is None:
            raise HTTPException(404)
        # Another run, or another order, may give the same address to another photo: browsers keep
        # photos, and ask each time whether they still are the ones.
        known = f'"{fingerprint(image, size, caption)}"'
        headers = {"Cache-Control": "private, no-cache", "ETag": known}
        if request.headers.get("if-none-match") == known:
            return Response(status_code=304, headers=headers)
        try:
            content = jpeg(image, size, caption)
        except PhotoError as error:
            return PlainTextResponse(f"{error.code}: {error}\n", 404)
        return Response(content, media_type="image/jpeg", headers=headers)

    @app.get("/photo/{number}/{place}/{size}.jpg")
    def photo(request: Request, number: InPath, place: InPath, size: Size) -> Response:
        return picture(request, number, place, size, drawn=False)

    @app.get("/overlay/{number}/{place}/{size}.jpg")
    def overlay(request: Request, number: InPath, place: InPath, size: Size) -> Response:
        return picture(request, number, place, size, drawn=True)

    @app.get("/static/{name}")
    def static(name: str) -> Response:
        if name not in STATIC:
            raise HTTPException(404)
        content = (files("shenhe.review") / "static" / name).read_bytes()
        headers = {"Cache-Control": "no-cache"}
        return Response(content, media_type=STATIC[name], headers=headers)


def _route_people(app: FastAPI, pages: Pages, access: Access) -> None:
    @app.get("/login")
    def login_page(request: Request, token: str = "") -> Response:
        return _login(request, token) if token else pages.render(request, "login.html")

    @app.post("/login")
    def login(request: Request, form: Sent) -> Response:
        return _login(request, form.get("token", ""))

    def _login(request: Request, token: str) -> Response:
        if not access.knows(token.strip()):
            return pages.render(request, "login.html", status=403)
        response = RedirectResponse("/", 303)
        _keep(response, TOKEN_COOKIE, token.strip())
        return response

    @app.get("/name")
    def name_page(request: Request) -> Response:
        return pages.render(request, "name.html")

    @app.post("/name")
    def name(request: Request, form: Sent) -> Response:
        reviewer = reviewer_name(form.get("reviewer", ""))
        response = RedirectResponse("/" if reviewer else "/name", 303)
        _keep(response, "reviewer", quote(reviewer))
        return response

    @app.post("/language")
    def language(request: Request, form: Sent) -> Response:
        here = form.get("here", "/")
        # Only a path of this site: "//elsewhere" and "/\elsewhere" are not.
        safe = here if here.startswith("/") and here[1:2] not in ("/", "\\") else "/"
        response = RedirectResponse(safe, 303)
        if form.get("language") in LANGUAGES:
            _keep(response, "language", form["language"])
        return response


def _keep(response: Response, name: str, value: str) -> None:
    response.set_cookie(name, value, max_age=YEAR, httponly=True, samesite="lax")
