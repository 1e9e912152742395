"""The queue: groups in the order in which people should look at them, by filters."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from shenhe.review.forms import QueryNumber, query_suffix, read_filters
from shenhe.review.index import ALL, STATES, Filters
from shenhe.review.listing import explain_entry, read_page, sort_links
from shenhe.review.site import CurrentSite
from shenhe.web.preferences import read_language

LAST_ANSWERS = 20
"""How many labels are looked at before the page says whether more of them are likely wrong."""
router = APIRouter()


@router.get("/")
def show_queue(
    request: Request,
    site: CurrentSite,
    after: QueryNumber = 0,
    before: QueryNumber = 0,
    at: QueryNumber = 0,
) -> Response:
    """Show a page of the queue, from after a group on or up to one; open groups by default."""
    index, filters = site.index, read_filters(request)
    head = index.last_decision()
    page = read_page(index, filters, after, before, at)
    whole = Filters(queue=filters.queue, viewer=filters.viewer)
    is_narrowed = filters.in_any_state != whole
    return site.render(
        request,
        "queue.html",
        page=page,
        head=head,
        after=after or before,
        filters=filters,
        tail=query_suffix(filters),
        section=filters.queue or "need",
        answers=index.last_answers(filters, LAST_ANSWERS) if filters.queue else [],
        enough=LAST_ANSWERS,
        missions=index.missions(),
        states=(*STATES[1:], ALL),
        progress=index.progress(whole),
        part=index.progress(filters) if is_narrowed else None,
        by_mission={} if filters.queue else index.counts.by_mission(whole),
        matching=index.count_matching(filters.of_list),
        held=index.claims.held(but=site.reviewer(request)) if page.entries else {},
        sorts=sort_links(filters),
        reasons={e.number: explain_entry(e, filters, read_language(request)) for e in page.entries},
    )


@router.get("/find")
def find_group(site: CurrentSite, key: str) -> Response:
    """Redirect to a group by its key, or by one that it had under another label."""
    group = site.index.group_of(key)
    if group is None:
        raise HTTPException(404)
    return RedirectResponse(f"/group/{group.entry.number}", 303)
