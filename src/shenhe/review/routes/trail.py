"""The audit trail: all decisions, the last one first."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from shenhe.review.forms import QueryNumber
from shenhe.review.site import CurrentSite

PAGE_SIZE = 50
router = APIRouter()


@router.get("/trail")
def show_trail(request: Request, site: CurrentSite, before: QueryNumber | None = None) -> Response:
    """Show a page of the trail, from before a decision on."""
    decisions = site.index.decisions.trail(before, PAGE_SIZE + 1)
    next_before = decisions[PAGE_SIZE - 1].number if len(decisions) > PAGE_SIZE else None
    return site.render(
        request,
        "trail.html",
        section="trail",
        decisions=decisions[:PAGE_SIZE],
        next_before=next_before,
    )
