"""What a person may not see who may be asked for a second opinion: the decisions of others."""

from __future__ import annotations

from fastapi import HTTPException, Request

from shenhe.review.site import Site
from shenhe.review.viewers import account_of, needs_account


def second_address(request: Request, site: Site, number: int) -> str:
    """Give the address of the page that shows a group without the decision of somebody else.

    Empty where a person may see that decision: a lead, whoever has decided the group too, and where
    it is not among those that are reviewed twice.
    """
    account, queue = account_of(request), site.index.second
    if account is None or account.is_lead or queue is None:
        return ""
    entry = queue.find_number(account.name, number)
    return f"/second/{entry.ticket}" if entry and entry.state != "own" else ""


def require_sight_of_all(request: Request, site: Site) -> None:
    """Refuse whoever may be asked for a second opinion, where any is asked for.

    Raises: HTTPException 403.
    """
    if site.index.second is not None:
        require_sight(request)


def sees_all(request: Request) -> bool:
    """Whether the decisions of all people may be shown: without accounts, and to leads."""
    account = account_of(request)
    return not needs_account(request) or (account is not None and account.is_lead)


def require_sight(request: Request) -> None:
    """Refuse whoever may not see the decisions of all people.

    Raises: HTTPException 403.
    """
    if not sees_all(request):
        raise HTTPException(403)
