"""The queue: groups in the order in which people should look at them, by filters."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from shenhe.review.forms import QueryNumber, query_suffix, read_filters
from shenhe.review.index import LABELS, STATES
from shenhe.review.site import CurrentSite

PAGE_SIZE = 50
LAST_ANSWERS = 20
"""How many labels are looked at before the page says whether more of them are likely wrong."""
router = APIRouter()


@router.get("/")
def show_queue(request: Request, site: CurrentSite, after: QueryNumber = 0) -> Response:
    """Show a page of the queue, from after a group on."""
    filters = read_filters(request)
    entries = site.index.page(filters, after, PAGE_SIZE + 1)
    progress = site.index.progress(filters)
    is_last = len(entries) <= PAGE_SIZE
    # Labels in doubt change their order as they are decided: their pages are counted.
    position = (
        after + PAGE_SIZE
        if filters.queue == LABELS
        else entries[:PAGE_SIZE][-1].number
        if entries
        else 0
    )
    return site.render(
        request,
        "queue.html",
        entries=entries[:PAGE_SIZE],
        next_after=None if is_last else position,
        after=after,
        filters=filters,
        tail=query_suffix(filters),
        section=filters.queue or "need",
        answers=site.index.last_answers(filters, LAST_ANSWERS) if filters.queue else [],
        enough=LAST_ANSWERS,
        missions=site.index.missions(),
        states=STATES,
        progress=progress,
        matching=site.index.count_matching(filters, progress),
    )


@router.get("/find")
def find_group(site: CurrentSite, key: str) -> Response:
    """Redirect to a group by its key."""
    group = site.index.group_by_key(key)
    if group is None:
        raise HTTPException(404)
    return RedirectResponse(f"/group/{group.entry.number}", 303)
