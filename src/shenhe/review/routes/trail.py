"""The audit trail: decisions, second opinions, and what was done to the team, the last ones first.

Whoever is no lead sees what is of his own: a second opinion is given without knowing of others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fastapi import APIRouter, Request, Response

from shenhe.review.blinding import sees_all
from shenhe.review.forms import QueryNumber
from shenhe.review.identity import require_lead
from shenhe.review.site import CurrentSite, Site

PAGE_SIZE = 50
router = APIRouter(prefix="/trail")


class Numbered(Protocol):
    """A row of the trail."""

    @property
    def number(self) -> int:
        """Number of the row: later rows have higher ones."""


@router.get("")
def show_trail(request: Request, site: CurrentSite, before: QueryNumber | None = None) -> Response:
    """Show a page of the decisions, from before one of them on."""
    reviewer = None if sees_all(request) else site.reviewer(request)
    rows = site.index.decisions.trail(before, PAGE_SIZE + 1, reviewer)
    return _render(request, site, "trail.html", "decisions", rows)


@router.get("/second")
def show_seconds(
    request: Request, site: CurrentSite, before: QueryNumber | None = None
) -> Response:
    """Show a page of the second opinions, from before one of them on."""
    require_lead(request)
    return _render(
        request, site, "trail.html", "second", site.opinions.trail(before, PAGE_SIZE + 1)
    )


@router.get("/team")
def show_team(request: Request, site: CurrentSite, before: QueryNumber | None = None) -> Response:
    """Show a page of what was done to accounts, and of who signed in."""
    require_lead(request)
    rows = site.identity.people.events.page(before, PAGE_SIZE + 1)
    return _render(request, site, "trail_team.html", "team", rows)


def _render(
    request: Request, site: Site, template: str, tab: str, rows: Sequence[Numbered]
) -> Response:
    """Show rows in a tab; one more than a page holds says that there are earlier ones."""
    return site.render(
        request,
        template,
        section="trail",
        tab=tab,
        rows=rows[:PAGE_SIZE],
        next_before=rows[PAGE_SIZE - 1].number if len(rows) > PAGE_SIZE else None,
    )
