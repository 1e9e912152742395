"""What an open page says of its group: that it is still open, or that it was left."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from shenhe.review.forms import Form, SentForm
from shenhe.review.site import CurrentSite, Site

router = APIRouter()


@router.post("/hold")
def hold(request: Request, site: CurrentSite, form: SentForm) -> Response:
    """Go on holding a group; say who else has it."""
    key, reviewer = _read_key(request, site, form), site.reviewer(request)
    holder = site.index.claims.take(key, reviewer, form.get("page", "")) if reviewer else ""
    return JSONResponse({"holder": holder})


@router.post("/leave")
def leave(request: Request, site: CurrentSite, form: SentForm) -> Response:
    """Let others have a group."""
    key, page = _read_key(request, site, form), form.get("page", "")
    if page:
        site.index.claims.release(key, site.reviewer(request), page)
    return Response(status_code=204)


def _read_key(request: Request, site: Site, form: Form) -> str:
    """Give the key of the group of a page; a blind page names its ticket.

    Raises: HTTPException 404 for no group of the run.
    """
    queue, ticket = site.index.audit, form.get("ticket", "")
    entry = queue.find(site.reviewer(request), ticket) if queue and ticket else None
    group = None if ticket else site.index.group_by_key(form.get("key", ""))
    if entry is None and group is None:
        raise HTTPException(404)
    return entry.key if entry else form["key"]
