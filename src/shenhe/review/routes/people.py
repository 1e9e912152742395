"""What a browser remembers of a person: the token, the name, the language."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from shenhe.languages import LANGUAGES
from shenhe.review.access import TOKEN_COOKIE
from shenhe.review.forms import SentForm
from shenhe.review.site import CurrentSite, Site
from shenhe.review.viewers import needs_account
from shenhe.team import clean_name
from shenhe.web.preferences import THEMES, remember, set_cookie

router = APIRouter()


@router.get("/login")
def show_login(request: Request, site: CurrentSite, token: str = "") -> Response:
    """Ask for the token, or check the one in the address."""
    if needs_account(request):
        return RedirectResponse("/sign-in", 303)
    return _log_in(request, site, token) if token else site.render(request, "login.html")


@router.post("/login")
def log_in(request: Request, site: CurrentSite, form: SentForm) -> Response:
    """Check a token."""
    return _log_in(request, site, form.get("token", ""))


@router.get("/name")
def show_name(request: Request, site: CurrentSite) -> Response:
    """Ask for the name of the reviewer; an account has one."""
    if needs_account(request):
        return RedirectResponse("/account", 303)
    return site.render(request, "name.html")


@router.post("/name")
def set_name(request: Request, form: SentForm) -> Response:
    """Remember the name of the reviewer; it signs for nobody once there are accounts."""
    if needs_account(request):
        return RedirectResponse("/account", 303)
    reviewer = clean_name(form.get("reviewer", ""))
    response = RedirectResponse("/" if reviewer else "/name", 303)
    set_cookie(response, "reviewer", quote(reviewer))
    return response


@router.post("/language")
def set_language(form: SentForm) -> Response:
    """Remember a language, and go back to the page."""
    return remember(form, "language", LANGUAGES)


@router.post("/theme")
def set_theme(form: SentForm) -> Response:
    """Remember a theme, and go back to the page."""
    return remember(form, "theme", THEMES)


def _log_in(request: Request, site: Site, token: str) -> Response:
    token = token.strip()
    if not site.access.accepts(token):
        return site.render(request, "login.html", status=403)
    response = RedirectResponse("/", 303)
    set_cookie(response, TOKEN_COOKIE, token)
    return response
