"""Whose sight is limited: people with accounts who may be asked for a second opinion."""

from __future__ import annotations

from fastapi import Request

from shenhe.review.index import Index
from shenhe.review.index.scopes import Scope
from shenhe.team import Account


def account_of(request: Request) -> Account | None:
    """Give the account that has signed in; None for nobody, and where there are no accounts."""
    account: Account | None = getattr(request.state, "account", None)
    return account


def needs_account(request: Request) -> bool:
    """Whether there are accounts, so that a name alone signs for nobody."""
    return bool(getattr(request.state, "needs_account", False))


def viewer_of(request: Request) -> str:
    """Give the name of an inspector; empty for a lead, and where there are no accounts."""
    account = account_of(request)
    return account.name if account and not account.is_lead else ""


def scope_of_reader(request: Request) -> Scope | None:
    """Give the groups that belong to an inspector; None for a lead, and where all belong to all."""
    name = viewer_of(request)
    index: Index = request.app.state.site.index
    return index.scope_of(name) if name else None
