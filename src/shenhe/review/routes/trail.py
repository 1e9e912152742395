"""The audit trail: decisions, second opinions, and what was done to the team, the last ones first.

Whoever is no lead sees what is of his own: a second opinion is given without knowing of others.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from shenhe.review.blinding import sees_all
from shenhe.review.forms import QueryNumber
from shenhe.review.identity import require_lead
from shenhe.review.site import CurrentSite

PAGE_SIZE = 50
router = APIRouter(prefix="/trail")


@router.get("")
def show_trail(request: Request, site: CurrentSite, before: QueryNumber | None = None) -> Response:
    """Show a page of the decisions, from before one of them on."""
    reviewer = None if sees_all(request) else site.reviewer(request)
    decisions = site.index.decisions.trail(before, PAGE_SIZE + 1, reviewer)
    next_before = decisions[PAGE_SIZE - 1].number if len(decisions) > PAGE_SIZE else None
    return site.render(
        request,
        "trail.html",
        section="trail",
        tab="decisions",
        decisions=decisions[:PAGE_SIZE],
        next_before=next_before,
    )


@router.get("/second")
def show_seconds(
    request: Request, site: CurrentSite, before: QueryNumber | None = None
) -> Response:
    """Show a page of the second opinions, from before one of them on."""
    require_lead(request)
    opinions = site.opinions.trail(before, PAGE_SIZE + 1)
    next_before = opinions[PAGE_SIZE - 1].number if len(opinions) > PAGE_SIZE else None
    return site.render(
        request,
        "trail.html",
        section="trail",
        tab="second",
        decisions=opinions[:PAGE_SIZE],
        next_before=next_before,
    )


@router.get("/team")
def show_team(request: Request, site: CurrentSite, before: QueryNumber | None = None) -> Response:
    """Show a page of what was done to accounts and assignments, and of who signed in."""
    require_lead(request)
    events = site.identity.people.events.page(before, PAGE_SIZE + 1)
    next_before = events[PAGE_SIZE - 1].number if len(events) > PAGE_SIZE else None
    return site.render(
        request,
        "trail_team.html",
        section="trail",
        tab="team",
        events=events[:PAGE_SIZE],
        next_before=next_before,
    )
