"""The blind audit: drawn groups, whose pages show their photos and nothing that anybody said."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, HTTPException, Path, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from shenhe.errors import ConflictError
from shenhe.review.forms import PathNumber, QueryNumber, SentForm, read_faults, wants_json
from shenhe.review.holding import hold_page, take_next
from shenhe.review.index import AuditEntry, AuditQueue, GroupRows
from shenhe.review.routes.photos import send_picture
from shenhe.review.site import CurrentSite, Site
from shenhe.review.unsaved import (
    UnsavedDecision,
    ask_back,
    confirming_query,
    find_doubt,
    send_on,
)
from shenhe.review.views import (
    CHOICES,
    Draft,
    answer_label,
    lay_out_blind_photos,
)
from shenhe.rows.decision_rows import Decision, Opinion
from shenhe.web.pictures import PictureSize, photo_tag

PAGE_SIZE = 50
CLOSED = ("decided", "seen")
"""States of a group that a reviewer may not decide blind."""
Ticket = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
router = APIRouter(prefix="/audit")


@router.get("")
def show_audit(request: Request, site: CurrentSite, after: QueryNumber = 0) -> Response:
    """Show the queue of the blind audit, or how to start one."""
    queue, reviewer = site.index.audit, site.reviewer(request)
    if queue is None:
        return site.render(request, "audit.html", section="audit", queue=None)
    entries = queue.page(reviewer, after, PAGE_SIZE + 1)
    return site.render(
        request,
        "audit.html",
        section="audit",
        queue=queue,
        entries=entries[:PAGE_SIZE],
        next_after=entries[PAGE_SIZE - 1].rank if len(entries) > PAGE_SIZE else None,
        after=after,
        progress=queue.progress(reviewer),
        start=queue.following(reviewer, without=site.index.claims.held(but=reviewer)),
    )


@router.get("/{ticket}")
def show_blind_group(request: Request, site: CurrentSite, ticket: Ticket) -> Response:
    """Show the photos of a drawn group."""
    queue, entry, group = _find(request, site, ticket)
    return _render_blind_group(request, site, queue, entry, group)


def _drawn_group(request: Request, site: CurrentSite, ticket: Ticket) -> GroupRows:
    return _find(request, site, ticket)[2]


@router.get("/{ticket}/photo/{position}/{size}.jpg")
async def show_blind_photo(
    request: Request,
    group: Annotated[GroupRows, Depends(_drawn_group)],
    position: PathNumber,
    size: PictureSize,
) -> Response:
    """Show a photo of a drawn group by its position, from 1 on."""
    return await send_picture(request, group, position, size)


@router.post("/{ticket}")
def decide_blind(request: Request, site: CurrentSite, ticket: Ticket, form: SentForm) -> Response:
    """Store a blind decision and go on to the next group."""
    if form.get("choice") not in CHOICES:
        raise HTTPException(400)
    reviewer = site.reviewer(request)
    if not reviewer:
        return RedirectResponse("/name", 303)
    try:
        fields = {name: form.get(name, "").strip() for name in ("choice", "comment")}
        opinion = Opinion.model_validate(fields | {"faults": read_faults(form)})
    except ValidationError as error:
        raise HTTPException(400) from error
    queue, entry, group = _find(request, site, ticket)
    unsaved = None
    if entry.state not in CLOSED:
        unsaved = _store(request, site, form.get("shown", ""), queue, group, opinion)
    if unsaved is None:
        # Also where somebody else has decided it: what they decided is told nowhere here.
        notice = f"blind_{entry.state}" if entry.state in CLOSED else ""
        address = _next_address(site, queue, reviewer, entry, notice)
        site.index.claims.release(entry.key, reviewer)
        return send_on(request, address)
    if unsaved.faults and wants_json(request):
        return ask_back(unsaved, f"/audit/{ticket}{confirming_query({}, unsaved.faults)}")
    return _render_blind_group(request, site, queue, entry, group, unsaved)


def send_to_audit(site: Site, reviewer: str, notice: str, group: GroupRows | None) -> Response:
    """Redirect to the blind page of a group whose decision was taken back, or to the queue."""
    queue = site.index.audit
    entry = queue.find_number(reviewer, group.entry.number) if queue and group else None
    is_open = notice == "undone" and entry and entry.state not in CLOSED
    query = {"told": notice} | ({"about": group.entry.group_id} if group else {})
    place = f"/{entry.ticket}" if is_open and entry else ""
    return RedirectResponse(f"/audit{place}?{urlencode(query)}", 303)


def _find(request: Request, site: Site, ticket: str) -> tuple[AuditQueue, AuditEntry, GroupRows]:
    """Find a drawn group.

    Raises: HTTPException 404 for a ticket of no drawn group.
    """
    queue = site.index.audit
    entry = queue.find(site.reviewer(request), ticket) if queue else None
    group = site.index.group(entry.number) if entry else None
    if queue is None or entry is None or group is None:
        raise HTTPException(404)
    return queue, entry, group


def _store(
    request: Request,
    site: Site,
    shown: str,
    queue: AuditQueue,
    group: GroupRows,
    opinion: Opinion,
) -> UnsavedDecision | None:
    """Store a decision; a page that shows an earlier state of its group stores nothing."""
    decisions = site.index.decisions
    current = decisions.current(group.entry.key)
    if shown != _identify_state(queue, group, current):
        return UnsavedDecision(Draft.of(opinion), 409, changed=True)
    if unsaved := find_doubt(request, opinion, site.reasons.vocabulary):
        return unsaved
    opinion = answer_label(opinion, group, current, asked=False)
    version = (current.version if current else 0) + 1
    reviewer, share = site.reviewer(request), queue.plan.share
    try:
        decisions.add(Decision.on(group.entry, opinion, reviewer, version, audit=share))
    except ConflictError:
        return UnsavedDecision(Draft.of(opinion), 409, changed=True)
    return None


def _identify_state(queue: AuditQueue, group: GroupRows, current: Decision | None) -> str:
    """Identify what a page shows, and the decisions before it, without telling any of it."""
    parts = (
        *(queue.plan.seed, group.entry.key, group.verdict.timestamp, group.entry.inputs),
        current.version if current else 0,
    )
    return hashlib.sha256("\x1f".join(map(str, parts)).encode("utf-8", "replace")).hexdigest()


def _render_blind_group(
    request: Request,
    site: Site,
    queue: AuditQueue,
    entry: AuditEntry,
    group: GroupRows,
    unsaved: UnsavedDecision | None = None,
) -> Response:
    reviewer = site.reviewer(request)
    held = hold_page(site.index.claims, entry.key, reviewer)
    # After that: whoever let go of it by deciding it has decided it by now.
    current = site.index.decisions.current(group.entry.key)
    entry = queue.find(reviewer, entry.ticket) or entry
    following = queue.following(reviewer, entry.rank, held.of_others)
    following = following if following and following.rank != entry.rank else None
    ahead = site.index.group(following.number) if following else None
    faults = unsaved.faults if unsaved else ()
    draft = unsaved.draft if unsaved else Draft()
    return site.render(
        request,
        "blind.html",
        unsaved.status if unsaved else 200,
        section="audit",
        entry=entry,
        is_closed=entry.state in CLOSED,
        photos=lay_out_blind_photos(group),
        shown=_identify_state(queue, group, current),
        draft=draft,
        unsaved=unsaved,
        held=held,
        despite=f"/audit/{entry.ticket}{confirming_query({}, faults)}",
        following=following,
        ahead=photo_tag(ahead.images[0]) if ahead and ahead.images else "",
        choices=CHOICES,
        chips=site.reasons.offer(entry.mission, draft.faults),
        progress=queue.progress(reviewer),
    )


def _next_address(
    site: Site, queue: AuditQueue, reviewer: str, entry: AuditEntry, notice: str
) -> str:
    """Give the address of the next group that waits for a reviewer, or of the queue."""
    find = partial(queue.following, reviewer, entry.rank)
    following = take_next(site.index.claims, site.index.decisions, reviewer, find)
    if following is None:
        notice = notice or ("end_held" if find() else "blind_end")
        return "/audit?" + urlencode({"told": notice, "about": entry.group_id})
    query = "?" + urlencode({"told": notice, "about": entry.group_id}) if notice else ""
    return f"/audit/{following.ticket}{query}"
