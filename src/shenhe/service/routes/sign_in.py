"""Signing in with a key, and what a browser remembers: language, theme."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from shenhe.languages import LANGUAGES
from shenhe.service.access import EVERYBODY
from shenhe.service.key_guard import KeyGuard
from shenhe.service.pages import render
from shenhe.service.session import begin_session, end_session
from shenhe.web.forms import Form, read_form
from shenhe.web.preferences import THEMES, is_local_path, remember

MAX_FORM: Final = 20_000
"""Units: bytes."""
router = APIRouter(include_in_schema=False)


async def _read(request: Request) -> Form:
    return await read_form(request, MAX_FORM)


SentForm = Annotated[Form, Depends(_read)]


@router.get("/sign-in")
async def show_sign_in(request: Request) -> Response:
    """Ask for a key, where one is needed."""
    if await _find(request, "") is EVERYBODY:
        return RedirectResponse("/", 303)
    return _ask(request, request.query_params.get("next", "/"))


@router.post("/sign-in")
async def sign_in(request: Request, form: SentForm) -> Response:
    """Have the browser keep a key that somebody has."""
    key, next_page = form.get("key", "").strip(), form.get("next", "/")
    if await _find(request, key) is None:
        return _ask(request, next_page, refused=True)
    response = RedirectResponse(next_page if is_local_path(next_page) else "/", 303)
    begin_session(request, response, key)
    return response


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """Have the browser forget its key."""
    response = RedirectResponse("/sign-in", 303)
    end_session(request, response)
    return response


@router.post("/language")
async def set_language(form: SentForm) -> Response:
    """Remember a language, and go back to the page."""
    return remember(form, "language", LANGUAGES)


@router.post("/theme")
async def set_theme(form: SentForm) -> Response:
    """Remember a theme, and go back to the page."""
    return remember(form, "theme", THEMES)


def _ask(request: Request, next_page: str, refused: bool = False) -> Response:
    next_page = next_page if is_local_path(next_page) else "/"
    status = 403 if refused else 200
    return render(request, "sign_in.html", status, next_page=next_page, refused=refused)


async def _find(request: Request, key: str) -> object:
    guard: KeyGuard = request.app.state.guard
    return await guard.find(request, key)
