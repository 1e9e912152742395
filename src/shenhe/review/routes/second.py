"""Second opinions: drawn groups that somebody has decided, shown without a word of the decision.

Whoever gives one sees what the first one saw: photos, lines, the model's verdict.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, HTTPException, Path, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from shenhe.errors import ConflictError
from shenhe.review.forms import QueryNumber, SentForm, read_version, wants_json
from shenhe.review.group_page import check_opinion, describe_group, first_photo_tag
from shenhe.review.holding import HeldPage, second_hold
from shenhe.review.index import GroupRows, SecondEntry, SecondQueue
from shenhe.review.site import CurrentSite, Site
from shenhe.review.unsaved import (
    UnsavedDecision,
    ask_back,
    confirming_query,
    keeping_query,
    kept_query,
    send_on,
)
from shenhe.review.viewers import account_of
from shenhe.review.views import CHOICES, Draft, read_opinion
from shenhe.rows.decision_rows import Opinion
from shenhe.team import Account, Drawn

PAGE_SIZE = 50
OPEN = ("open", "deferred")
"""States of a group on which a person may give a second opinion."""
Ticket = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
router = APIRouter(prefix="/second")


async def _inspector(request: Request) -> Account:
    """Give the account that has signed in.

    Raises: HTTPException 403 for a lead, who sees all decisions.
    """
    account = account_of(request)
    if account is None or account.is_lead:
        raise HTTPException(403)
    return account


Inspector = Annotated[Account, Depends(_inspector)]


@router.get("")
def show_seconds(request: Request, site: CurrentSite, after: QueryNumber = 0) -> Response:
    """Show the groups that wait for a second opinion of a person, or how to begin."""
    queue, account = site.index.second, account_of(request)
    if queue is None or account is None or account.is_lead:
        plan = queue.plan if queue else None
        return site.render(request, "seconds.html", section="second", queue=None, plan=plan)
    entries = queue.page(account.name, after, PAGE_SIZE + 1)
    return site.render(
        request,
        "seconds.html",
        section="second",
        queue=queue,
        entries=entries[:PAGE_SIZE],
        next_after=entries[PAGE_SIZE - 1].rank if len(entries) > PAGE_SIZE else None,
        after=after,
        progress=queue.progress(account.name),
        start=queue.following(account.name, without=_open_elsewhere(site, account.name)),
    )


@router.post("/undo")
def undo_second(request: Request, site: CurrentSite, account: Inspector) -> Response:
    """Take the reader's last second opinion back, and show its group."""
    queue = _queue_of(site)
    try:
        undone = queue.opinions.undo(account.name)
    except ConflictError:
        undone = None
    if undone is None:
        return RedirectResponse("/second?told=nothing_to_undo", 303)
    group = site.index.group_by_key(undone.key)
    entry = queue.find_number(account.name, group.entry.number) if group else None
    place = f"/{entry.ticket}" if entry and entry.state in OPEN else ""
    query = urlencode({"told": "undone", "about": undone.group_id})
    return RedirectResponse(f"/second{place}?{query}", 303)


@router.get("/{ticket}")
def show_second(
    request: Request, site: CurrentSite, account: Inspector, ticket: Ticket
) -> Response:
    """Show a drawn group."""
    entry, group = _find(site, account, ticket)
    return _render(request, site, account, entry, group)


@router.post("/{ticket}")
def give_second(
    request: Request, site: CurrentSite, account: Inspector, ticket: Ticket, form: SentForm
) -> Response:
    """Store a second opinion and go on to the next group."""
    if form.get("choice") not in CHOICES:
        raise HTTPException(400)
    version, (entry, group) = read_version(form), _find(site, account, ticket)
    try:
        opinion = read_opinion(form, group)
    except ValidationError as error:
        raise HTTPException(400) from error
    unsaved, notice = None, "" if entry.state in OPEN else "second_closed"
    if entry.state in OPEN:
        opinion, unsaved = check_opinion(request, site, form, group, opinion)
        if unsaved is None and not _store(site, account, entry, group, opinion, version):
            notice = "second_closed"
    if unsaved is None:
        return send_on(request, _next_address(site, account, entry, notice))
    if unsaved.faults and wants_json(request):
        query = confirming_query(kept_query(request), unsaved.faults)
        return ask_back(unsaved, f"/second/{ticket}{query}")
    return _render(request, site, account, entry, group, unsaved)


def _store(
    site: Site,
    account: Account,
    entry: SecondEntry,
    group: GroupRows,
    opinion: Opinion,
    version: int,
) -> bool:
    """Store a second opinion, unless its page showed an earlier state of the group."""
    queue, first = _queue_of(site), site.index.decisions.current(group.entry.key)
    if first is None or first.number != entry.first:
        return False
    drawn = Drawn(first, queue.plan.share)
    try:
        queue.opinions.add(group.entry, opinion, account.name, version + 1, drawn)
    except ConflictError:
        return False
    return True


def _queue_of(site: Site) -> SecondQueue:
    """Give the queue.

    Raises: HTTPException 404 where nothing is reviewed twice.
    """
    if site.index.second is None:
        raise HTTPException(404)
    return site.index.second


def _find(site: Site, account: Account, ticket: str) -> tuple[SecondEntry, GroupRows]:
    """Find a drawn group that a person may see without a word of its decision.

    Raises: HTTPException 404 for a ticket of no such group, or of one's own.
    """
    entry = _queue_of(site).find(account.name, ticket)
    group = site.index.group(entry.number) if entry and entry.state != "own" else None
    if entry is None or group is None:
        raise HTTPException(404)
    return entry, group


def _render(
    request: Request,
    site: Site,
    account: Account,
    entry: SecondEntry,
    group: GroupRows,
    unsaved: UnsavedDecision | None = None,
) -> Response:
    queue, key = _queue_of(site), group.entry.key
    own = [each for each in queue.opinions.standing(key) if each.reviewer == account.name]
    draft = unsaved.draft if unsaved else Draft.of(own[0].opinion if own else None)
    is_held = bool(site.index.claims.take(second_hold(key), account.name))
    following = queue.following(account.name, entry.rank, _open_elsewhere(site, account.name))
    following = following if following and following.rank != entry.rank else None
    faults = unsaved.faults if unsaved else ()
    address = f"/second/{entry.ticket}"
    return site.render(
        request,
        "second.html",
        unsaved.status if unsaved else 200,
        **describe_group(request, site, group, draft),
        section="second",
        entry=entry,
        own=own[0].opinion if own else None,
        is_open=entry.state in OPEN,
        is_held=is_held,
        version=queue.opinions.version(key),
        unsaved=unsaved,
        action=address,
        undo_action="/second/undo",
        despite=address + confirming_query(kept_query(request), faults),
        keeping=address + keeping_query({}, unsaved.unknown if unsaved else ()),
        draft_name=f"second {key}",
        held_as=f"second={entry.ticket}",
        next_address=f"/second/{following.ticket}" if following else "",
        next_photo=_next_photo(site, following),
        progress=queue.progress(account.name),
        held=HeldPage("", ()),
        preceding=None,
        following=None,
    )


def _next_photo(site: Site, following: SecondEntry | None) -> str:
    """Give the address of the first photo of the next group, which the browser fetches ahead."""
    tag = first_photo_tag(site, following.number) if following else ""
    return f"/photo/{following.number}/1/small.jpg?of={tag}" if following and tag else ""


def _next_address(site: Site, account: Account, entry: SecondEntry, notice: str) -> str:
    """Give the address of the next group that waits for a person, or of the queue."""
    queue, claims = _queue_of(site), site.index.claims
    claims.release(second_hold(entry.key), account.name)
    following = queue.following(account.name, entry.rank, _open_elsewhere(site, account.name))
    if following is None:
        return "/second?" + urlencode({"told": notice or "second_end", "about": entry.group_id})
    query = "?" + urlencode({"told": notice, "about": entry.group_id}) if notice else ""
    return f"/second/{following.ticket}{query}"


def _open_elsewhere(site: Site, reviewer: str) -> set[str]:
    """Give the keys of groups that others have open for a second opinion."""
    beginning = second_hold("")
    held = site.index.claims.held(but=reviewer)
    return {key.removeprefix(beginning) for key in held if key.startswith(beginning)}
