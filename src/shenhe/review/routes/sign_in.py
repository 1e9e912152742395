"""Signing in and out, setting a password by a link, and changing one's own."""

from __future__ import annotations

import math

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from shenhe.review.forms import Form, SentForm
from shenhe.review.identity import Identity, address_of
from shenhe.review.site import CurrentSite, Site
from shenhe.review.viewers import account_of
from shenhe.team import Account, AccountError, Refusal
from shenhe.web.preferences import is_local_path

router = APIRouter()


@router.get("/sign-in")
def show_sign_in(request: Request, site: CurrentSite) -> Response:
    """Ask for name and password."""
    _identity(site)
    if account_of(request):
        return RedirectResponse("/", 303)
    return _render_sign_in(request, site, request.query_params.get("next", ""))


@router.post("/sign-in")
def sign_in(request: Request, site: CurrentSite, form: SentForm) -> Response:
    """Begin a session, and go to the page that was wanted."""
    identity = _identity(site)
    next_page, name = form.get("next", ""), form.get("name", "")
    address = address_of(request)
    result = identity.people.sessions.sign_in(name, form.get("password", ""), address)
    if isinstance(result, Refusal):
        return _render_sign_in(request, site, next_page, name, result)
    return _begin(request, identity, result.secret, next_page)


@router.post("/sign-out")
def sign_out(request: Request, site: CurrentSite) -> Response:
    """End the session of a browser."""
    identity = _identity(site)
    identity.people.sessions.sign_out(request.cookies.get(identity.cookie_name(request), ""))
    response = RedirectResponse("/sign-in", 303)
    identity.clear_cookie(request, response)
    return response


@router.get("/join")
def show_join(request: Request, site: CurrentSite) -> Response:
    """Ask for a new password; the link is behind the # of the address, which is sent nowhere."""
    _identity(site)
    return site.render(request, "join.html", problem="", code="")


@router.post("/join")
def join(request: Request, site: CurrentSite, form: SentForm) -> Response:
    """Set a password by a link, and begin a session."""
    identity, code = _identity(site), form.get("code", "").strip()
    password = form.get("password", "")
    try:
        is_repeated = password == form.get("again", "")
        account = identity.people.accounts.use_link(code, password) if is_repeated else None
        problem = "ended" if is_repeated else "again"
    except AccountError as error:
        account, problem = None, error.problem
    if account is None:
        return site.render(request, "join.html", 422, problem=f"password_{problem}", code=code)
    result = identity.people.sessions.begin(account.name, address_of(request))
    if isinstance(result, Refusal):
        return RedirectResponse("/sign-in", 303)
    return _begin(request, identity, result.secret, "")


@router.get("/account")
def show_account(request: Request, site: CurrentSite) -> Response:
    """Show who has signed in, with a form to change the password."""
    _own_account(request)
    return site.render(request, "account.html", problem="")


@router.post("/account")
def change_password(request: Request, site: CurrentSite, form: SentForm) -> Response:
    """Change one's own password; all other sessions end."""
    identity, account = _identity(site), _own_account(request)
    result, problem = _change(request, identity, account, form)
    if result is None:
        return site.render(request, "account.html", 422, problem=f"password_{problem}")
    return _begin(request, identity, result, "/account?told=password_changed")


def _change(
    request: Request, identity: Identity, account: Account, form: Form
) -> tuple[str | None, str]:
    """Change a password; give the secret of a new session, or what is wrong."""
    sessions, address = identity.people.sessions, address_of(request)
    password = form.get("password", "")
    if password != form.get("again", ""):
        return None, "again"
    # The present password is guessed at no faster here than at the sign-in.
    if sessions.check(account.name, form.get("present", ""), address):
        return None, "present_wrong"
    try:
        identity.people.accounts.set_password(account.name, password, account.name)
    except AccountError as error:
        return None, error.problem
    result = sessions.begin(account.name, address)
    return (None, "present_wrong") if isinstance(result, Refusal) else (result.secret, "")


def _identity(site: Site) -> Identity:
    """Give who may sign in.

    Raises: HTTPException 404 where there are no accounts.
    """
    identity = site.identity
    if not identity.people.accounts.exist():
        raise HTTPException(404)
    return identity


def _own_account(request: Request) -> Account:
    """Give the account that has signed in.

    Raises: HTTPException 404 where there are no accounts.
    """
    account = account_of(request)
    if account is None:
        raise HTTPException(404)
    return account


def _begin(request: Request, identity: Identity, secret: str, next_page: str) -> Response:
    """Send a browser with a new session on; the one that it had ends."""
    identity.people.sessions.end(request.cookies.get(identity.cookie_name(request), ""))
    response = RedirectResponse(next_page if is_local_path(next_page) else "/", 303)
    identity.set_cookie(request, response, secret)
    return response


def _render_sign_in(
    request: Request, site: Site, next_page: str, name: str = "", refusal: Refusal | None = None
) -> Response:
    seconds = math.ceil(refusal.wait) if refusal else 0
    status = 200 if refusal is None else 429 if seconds else 403
    page = site.render(
        request,
        "sign_in.html",
        status,
        next_page=next_page if is_local_path(next_page) else "",
        name=name,
        refused=refusal is not None,
        seconds=seconds,
    )
    if seconds:
        page.headers["Retry-After"] = str(seconds)
    return page
