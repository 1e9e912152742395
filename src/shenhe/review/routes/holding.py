"""What an open page says of its group: that it is still open, or that it was left."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from shenhe.review.forms import Form, SentForm
from shenhe.review.holding import second_hold
from shenhe.review.site import CurrentSite, Site

router = APIRouter()


@router.post("/hold")
def hold(request: Request, site: CurrentSite, form: SentForm) -> Response:
    """Go on holding a group; say who else has it, but of nobody who gives a second opinion."""
    key, reviewer = _read_key(request, site, form), site.reviewer(request)
    holder = site.index.claims.take(key, reviewer, form.get("page", "")) if reviewer else ""
    return JSONResponse({"holder": "" if "second" in form else holder})


@router.post("/leave")
def leave(request: Request, site: CurrentSite, form: SentForm) -> Response:
    """Let others have a group."""
    key, page = _read_key(request, site, form), form.get("page", "")
    if page:
        site.index.claims.release(key, site.reviewer(request), page)
    return Response(status_code=204)


def _read_key(request: Request, site: Site, form: Form) -> str:
    """Give what the page of a group holds; a page that hides decisions names its ticket.

    Raises: HTTPException 404 for no group of the run.
    """
    reviewer = site.reviewer(request)
    if "second" in form:
        queue = site.index.second
        entry = queue.find(reviewer, form["second"]) if queue and reviewer else None
        key = second_hold(entry.key) if entry and entry.state != "own" else ""
    elif "ticket" in form:
        audit = site.index.audit
        drawn = audit.find(reviewer, form["ticket"]) if audit else None
        key = drawn.key if drawn else ""
    else:
        group = site.index.group_by_key(form.get("key", ""))
        key = group.entry.key if group else ""
    if not key:
        raise HTTPException(404)
    return key
