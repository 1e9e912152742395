"""The pages of a team: its accounts, which leads manage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from shenhe.review.forms import Form, SentForm
from shenhe.review.identity import require_lead
from shenhe.review.site import CurrentSite
from shenhe.team import Account, AccountError, Accounts, read_role

router = APIRouter(prefix="/team")


async def _lead(request: Request) -> Account:
    return require_lead(request)


Lead = Annotated[Account, Depends(_lead)]


class Link(NamedTuple):
    """A link to set a password, which is shown once."""

    name: str
    secret: str


@router.get("/accounts")
def show_accounts(request: Request, site: CurrentSite, lead: Lead) -> Response:
    """Show all accounts, and a form to add one."""
    return _render(request, site)


@router.post("/accounts")
def change_accounts(request: Request, site: CurrentSite, lead: Lead, form: SentForm) -> Response:
    """Add an account or change one, as the pressed button says."""
    accounts, name = site.identity.people.accounts, form.get("name", "")
    action = CHANGES.get(form.get("action", ""))
    if action is None:
        raise HTTPException(400)
    try:
        secret = action(accounts, name, form, lead.name)
    except AccountError as error:
        return _render(
            request,
            site,
            problem=PROBLEMS.get(error.problem, f"team_{error.problem}"),
            about=name,
            status=422,
        )
    if secret is not None:
        # Not sent on: a link stands in no address, and a reload would ask before it makes another.
        return _render(request, site, link=Link(name, secret))
    query = urlencode({"told": "team_changed", "about": name})
    return RedirectResponse(f"/team/accounts?{query}", 303)


def _add(accounts: Accounts, name: str, form: Form, lead: str) -> str:
    return accounts.add(name, read_role(form.get("role", "")), lead)


def _reset(accounts: Accounts, name: str, form: Form, lead: str) -> str:
    return accounts.reset(name, lead)


def _set_role(accounts: Accounts, name: str, form: Form, lead: str) -> None:
    accounts.set_role(name, read_role(form.get("role", "")), lead)


def _disable(accounts: Accounts, name: str, form: Form, lead: str) -> None:
    accounts.set_active(name, False, lead)


def _enable(accounts: Accounts, name: str, form: Form, lead: str) -> None:
    accounts.set_active(name, True, lead)


PROBLEMS = {"name": "team_problem_name", "role": "team_role_unknown"}
Change = Callable[[Accounts, str, Form, str], str | None]
CHANGES: dict[str, Change] = {
    "add": _add,
    "reset": _reset,
    "role": _set_role,
    "disable": _disable,
    "enable": _enable,
}


def _render(
    request: Request,
    site: CurrentSite,
    *,
    link: Link | None = None,
    problem: str = "",
    about: str = "",
    status: int = 200,
) -> Response:
    accounts = site.identity.people.accounts.list()
    return site.render(
        request,
        "accounts.html",
        status,
        section="team",
        accounts=accounts,
        link=link,
        link_address=f"{site.identity.address(request)}/join#{link.secret}" if link else "",
        problem=problem,
        about_name=about,
    )
