"""The pages: a queue, a group, the audit trail, exports; all of it served from here."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import ValidationError

from shenhe.config import load_vocabulary
from shenhe.errors import FormatError, PhotoError, ShenheError
from shenhe.formats import summary
from shenhe.records import utc_now
from shenhe.review.access import TOKEN_COOKIE, Access
from shenhe.review.export import EXPORTS, Prompting, export
from shenhe.review.index import Filters, Found, Index, States
from shenhe.review.pictures import Size, jpeg
from shenhe.review.views import (
    CHOICES,
    FURTHER_FAULTS,
    Draft,
    draft_of,
    photo_views,
    pieces,
    said_of,
)
from shenhe.review.words import LANGUAGES, chosen, words
from shenhe.runs.decisions import ConflictError, Decision

PAGE = 50
MAX_BODY = 1_000_000
"""Units: bytes of a form: comments and lines, no files."""
YEAR = 365 * 24 * 3600
PHOTO_SECONDS = 3600
STATIC = {"app.css": "text/css", "app.js": "text/javascript", "icon.svg": "image/svg+xml"}
CONTEXT_WORDS = ("undone", "nothing_to_undo", "end")
"""What a page may be asked to tell by its address."""

Form = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Review:
    """A run that is looked at: its groups and what people decided."""

    run_name: str
    index: Index
    prompting: Prompting


def create_app(review: Review, token: str | None = None, reviewer: str | None = None) -> FastAPI:
    """Make the application; with a token it answers only those who have it.

    `reviewer` signs for who has not said his name; None: everybody is asked.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    access = Access(token)
    app.middleware("http")(access)
    pages = _Pages(review, reviewer)
    app.exception_handler(HTTPException)(pages.refused)
    app.exception_handler(404)(pages.refused)
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


def _route_pages(app: FastAPI, pages: _Pages) -> None:
    @app.get("/")
    def queue(request: Request, after: int = 0) -> Response:
        return pages.queue(request, after)

    @app.get("/group/{number}")
    def group(request: Request, number: int) -> Response:
        return pages.group(request, number)

    @app.post("/group/{number}")
    def decide(request: Request, number: int, form: Annotated[Form, Depends(_form)]) -> Response:
        return pages.decide(request, number, form)

    @app.post("/undo")
    def undo(request: Request, form: Annotated[Form, Depends(_form)]) -> Response:
        return pages.undo(request)

    @app.get("/trail")
    def trail(request: Request, before: int | None = None) -> Response:
        return pages.trail(request, before)

    @app.get("/export")
    def exports(request: Request) -> Response:
        return pages.render(request, "export.html", exports=list(EXPORTS))

    @app.get("/export/{name}")
    def exported(name: str) -> Response:
        return pages.export(name)


def _route_pictures(app: FastAPI, review: Review) -> None:
    def picture(number: int, place: int, size: Size, drawn: bool) -> Response:
        found = review.index.group(number)
        if found is None or not 1 <= place <= len(found.images):
            raise HTTPException(404)
        image = found.images[place - 1]
        caption = found.captions.get(image) if drawn else None
        if drawn and caption is None:
            raise HTTPException(404)
        try:
            content = jpeg(image, size, caption)
        except PhotoError as error:
            return PlainTextResponse(f"{error.code}: {error}\n", 404)
        headers = {"Cache-Control": f"private, max-age={PHOTO_SECONDS}"}
        return Response(content, media_type="image/jpeg", headers=headers)

    @app.get("/photo/{number}/{place}/{size}.jpg")
    def photo(number: int, place: int, size: Size) -> Response:
        return picture(number, place, size, drawn=False)

    @app.get("/overlay/{number}/{place}/{size}.jpg")
    def overlay(number: int, place: int, size: Size) -> Response:
        return picture(number, place, size, drawn=True)

    @app.get("/static/{name}")
    def static(name: str) -> Response:
        if name not in STATIC:
            raise HTTPException(404)
        content = (files("shenhe.review") / "static" / name).read_bytes()
        headers = {"Cache-Control": "no-cache"}
        return Response(content, media_type=STATIC[name], headers=headers)


def _route_people(app: FastAPI, pages: _Pages, access: Access) -> None:
    @app.get("/login")
    def login_page(request: Request, token: str = "") -> Response:
        return _login(request, token) if token else pages.render(request, "login.html")

    @app.post("/login")
    def login(request: Request, form: Annotated[Form, Depends(_form)]) -> Response:
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
    def name(request: Request, form: Annotated[Form, Depends(_form)]) -> Response:
        said = " ".join(form.get("reviewer", "").split())[:80]
        response = RedirectResponse("/" if said else "/name", 303)
        _keep(response, "reviewer", quote(said))
        return response

    @app.post("/language")
    def language(request: Request, form: Annotated[Form, Depends(_form)]) -> Response:
        here = form.get("here", "/")
        # Only a path of this site: "//elsewhere" and "/\elsewhere" are not.
        safe = here if here.startswith("/") and here[1:2] not in ("/", "\\") else "/"
        response = RedirectResponse(safe, 303)
        if form.get("language") in LANGUAGES:
            _keep(response, "language", form["language"])
        return response


class _Pages:
    """Renders the pages."""

    def __init__(self, review: Review, reviewer: str | None) -> None:
        self._review, self._reviewer = review, reviewer
        self._templates = Environment(
            loader=PackageLoader("shenhe.review", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._faults = (*load_vocabulary().faults, *FURTHER_FAULTS)
        self._templates.filters["urlencode_map"] = urlencode

    def render(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        language = _language(request)
        path = request.url.path
        here = f"{path}?{request.url.query}" if request.url.query else path
        told = request.query_params.get("told", "")
        text = self._templates.get_template(template).render(
            w=words(language),
            language=language,
            other=next(name for name in LANGUAGES if name != language),
            run_name=self._review.run_name,
            reviewer=self._name(request),
            here=here if request.method == "GET" else "/",
            told=told if told in CONTEXT_WORDS else "",
            about=request.query_params.get("about", ""),
            **values,
        )
        return HTMLResponse(text, status)

    def queue(self, request: Request, after: int) -> Response:
        index, filters = self._review.index, _filters(request)
        entries = index.page(filters, after, PAGE + 1)
        return self.render(
            request,
            "queue.html",
            entries=entries[:PAGE],
            more=entries[PAGE - 1].number if len(entries) > PAGE else None,
            after=after,
            filters=filters,
            missions=index.missions(),
            states=States,
            progress=index.progress(filters),
            matching=index.matching(filters),
        )

    def group(
        self,
        request: Request,
        number: int,
        draft: Draft | None = None,
        conflict: ConflictError | None = None,
        problem: str = "",
        status: int = 200,
    ) -> Response:
        found = self._group(number)
        index, filters = self._review.index, _filters(request)
        history = self._review.index.decisions.history(found.entry.key)
        current = history[0] if history else None
        before, following = index.preceding(filters, number), index.following(filters, number)
        photos = photo_views(found, draft or draft_of(current))
        return self.render(
            request,
            "group.html",
            status,
            number=number,
            found=found,
            reason=pieces(found.verdict.reason, len(photos)),
            photos=photos,
            current=current,
            history=history,
            draft=draft or draft_of(current),
            conflict=conflict,
            problem=problem,
            previous=before.number if before else None,
            following=following.number if following else None,
            filters=filters,
            choices=CHOICES,
            faults=self._faults,
            progress=index.progress(filters),
        )

    def decide(self, request: Request, number: int, form: Form) -> Response:
        name = self._name(request)
        if not name:
            return RedirectResponse("/name", 303)
        # By its key: numbers are those of a queue that may have been made anew meanwhile.
        found = self._review.index.group_of(form.get("key", "")) or self._group(number)
        entry = found.entry
        draft = Draft()
        try:
            version = int(form.get("version", ""))
            said = said_of(form, found)
            draft = Draft(said.comment, said.fault, said.lines, said.descs)
            for key, line in said.lines.items():
                _check_line(key, line)
            self._review.index.decisions.add(
                Decision(
                    key=entry.key,
                    group_id=entry.group_id,
                    mission=entry.mission,
                    label=entry.label,
                    verdict=entry.verdict,
                    version=version + 1,
                    said=said,
                    reviewer=name,
                    at=utc_now(),
                )
            )
        except ConflictError as conflict:
            return self.group(request, entry.number, draft, conflict, status=409)
        except FormatError as error:
            return self.group(request, entry.number, draft, problem=str(error), status=422)
        except (ValueError, ValidationError) as error:
            raise HTTPException(422) from error
        return _onward(request, self._after(request, entry.number))

    def undo(self, request: Request) -> Response:
        name = self._name(request)
        try:
            undone = self._review.index.decisions.undo(name) if name else None
        except ConflictError as conflict:
            key = conflict.current.key if conflict.current else ""
            return self._undone("", self._review.index.group_of(key))
        found = self._review.index.group_of(undone.key) if undone else None
        return self._undone("undone" if undone else "nothing_to_undo", found)

    def trail(self, request: Request, before: int | None) -> Response:
        decisions = self._review.index.decisions.trail(before, PAGE + 1)
        more = decisions[PAGE - 1].number if len(decisions) > PAGE else None
        return self.render(request, "trail.html", decisions=decisions[:PAGE], more=more)

    def export(self, name: str) -> Response:
        if name not in EXPORTS:
            raise HTTPException(404)
        made = export(name, self._review.index, self._review.prompting)
        disposition = f'attachment; filename="{name}"'
        headers = {"Content-Disposition": disposition}
        return Response(made.content, media_type=EXPORTS[name], headers=headers)

    def refused(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        word = "missing_page" if status == 404 else "wrong"
        return self.render(request, "message.html", status, word=word, detail="")

    def failed(self, request: Request, error: Exception) -> Response:
        """Tell of a disk that is full, or rows that have gone."""
        return self.render(request, "message.html", 500, word="wrong", detail=str(error))

    def _undone(self, told: str, found: Found | None) -> Response:
        if found is None:
            return RedirectResponse(f"/?told={told}", 303)
        query = urlencode({"told": told, "about": found.entry.group_id} if told else {})
        return RedirectResponse(f"/group/{found.entry.number}?{query}", 303)

    def _after(self, request: Request, number: int) -> str:
        """Find where a reviewer goes on: the next group that is open, at the end the first one."""
        index, filters = self._review.index, _filters(request)
        following = index.following(filters, number, open_only=True)
        if following is None and filters.state in ("", "open"):
            following = index.following(filters, 0, open_only=True)
        query = urlencode(filters.query())
        if following is None:
            return "/?" + urlencode(filters.query() | {"told": "end"})
        return f"/group/{following.number}" + (f"?{query}" if query else "")

    def _group(self, number: int) -> Found:
        found = self._review.index.group(number)
        if found is None:
            raise HTTPException(404)
        return found

    def _name(self, request: Request) -> str:
        return unquote(request.cookies.get("reviewer", "")) or self._reviewer or ""


async def _form(request: Request) -> Form:
    """Read a form.

    Raises: HTTPException for one that is too large, or none.
    """
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise HTTPException(413)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True))
    except ValueError as error:
        raise HTTPException(422) from error


def _check_line(key: str, line: str) -> None:
    try:
        summary.parse(line)
    except FormatError as error:
        raise FormatError(error.code, f"{key}: {error}") from error


def _onward(request: Request, address: str) -> Response:
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"next": address})
    return RedirectResponse(address, 303)


def _filters(request: Request) -> Filters:
    told = request.query_params
    return Filters(
        told.get("mission", ""),
        told.get("verdict", ""),
        told.get("state", ""),
        bool(told.get("against")),
        " ".join(told.get("text", "").split()),
    )


def _language(request: Request) -> str:
    return chosen(request.cookies.get("language"), request.headers.get("accept-language", ""))


def _keep(response: Response, name: str, value: str) -> None:
    response.set_cookie(name, value, max_age=YEAR, httponly=True, samesite="lax")
