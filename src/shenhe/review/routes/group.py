"""A group: its page, decisions on it, and taking the last decision back."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from shenhe.errors import ConflictError
from shenhe.review.adjudication import find_dispute, name_dispute, read_adjudication
from shenhe.review.blinding import second_address, see_decisions
from shenhe.review.forms import (
    PathNumber,
    SentForm,
    query_suffix,
    read_decision_number,
    read_filters,
    read_version,
    wants_json,
)
from shenhe.review.group_page import check_opinion, describe_group
from shenhe.review.holding import hold_page, take_next
from shenhe.review.index import LABELS, Filters, GroupRows, QueueEntry
from shenhe.review.routes.audit import send_to_audit
from shenhe.review.site import CurrentSite, Site
from shenhe.review.unsaved import (
    UnsavedDecision,
    ask_back,
    confirming_query,
    keeping_query,
    kept_query,
    send_on,
)
from shenhe.review.views import CHOICES, Draft, answer_label, read_opinion
from shenhe.rows.decision_rows import Decision
from shenhe.rows.outcomes import Outcome
from shenhe.values import PASS

router = APIRouter()


@router.get("/group/{number}")
def show_group(request: Request, site: CurrentSite, number: PathNumber) -> Response:
    """Show a group, without the decision of somebody else where the reader may be asked second."""
    if address := second_address(request, site, number):
        return RedirectResponse(address, 303)
    return _render_group(request, site, number)


@router.post("/group/{number}")
def decide(request: Request, site: CurrentSite, number: PathNumber, form: SentForm) -> Response:
    """Store a decision and go on to the next group; show the group again where that fails."""
    filters, reviewer = read_filters(request), site.reviewer(request)
    if form.get("choice") not in CHOICES:
        raise HTTPException(400)
    if not reviewer:
        return RedirectResponse("/name", 303)
    if not form.get("key"):
        raise HTTPException(400)
    version = read_version(form)
    # By its key: the number may now be that of another group, even of another run.
    group = site.index.group_by_key(form["key"])
    if group is None:
        raise HTTPException(409)
    if address := second_address(request, site, group.entry.number):
        return send_on(request, address)
    try:
        opinion = read_opinion(form, group)
        current = site.index.decisions.current(group.entry.key)
        opinion = answer_label(opinion, group, current, asked=_asks_label(filters, group))
        between = read_adjudication(request, site, form, group.entry.key)
        opinion = opinion.model_copy(update={"adjudicates": between})
    except ValidationError as error:
        raise HTTPException(400) from error
    opinion, unsaved = check_opinion(request, site, form, group, opinion)
    unsaved = unsaved or _store(site, Decision.on(group.entry, opinion, reviewer, version + 1))
    if unsaved is None:
        address = _next_address(site, filters, group.entry.number, reviewer)
        address = "/team/disagreements?told=adjudicated" if between else address
        site.index.claims.release(group.entry.key, reviewer)
        return send_on(request, address)
    if address := second_address(request, site, group.entry.number):
        return send_on(request, address)  # somebody else has decided it at this moment
    if unsaved.faults and wants_json(request):
        query = confirming_query(filters.to_query() | kept_query(request), unsaved.faults)
        return ask_back(unsaved, f"/group/{group.entry.number}{query}")
    return _render_group(request, site, group.entry.number, unsaved)


@router.post("/undo")
def undo(request: Request, site: CurrentSite, form: SentForm) -> Response:
    """Take a decision of the reader back, the last one without its number, and show its group."""
    # A page of the blind audit, and one that was decided blind, lead to no page with a verdict.
    is_blind = request.query_params.get("queue") == "audit"
    filters = Filters() if is_blind else read_filters(request)
    reviewer, decisions = site.reviewer(request), site.index.decisions
    number = read_decision_number(form)
    notice, undone = "undone", None
    try:
        undone = decisions.undo(reviewer, number) if reviewer else None
        key = undone.key if undone else ""
    except ConflictError as error:
        notice, key = "not_undone", error.key
    group = site.index.group_of(key) if key else None
    if undone:
        earlier = decisions.history(key)
        is_blind |= any(d.number == undone.undoes and d.audit is not None for d in earlier)
    notice = notice if key else "nothing_to_undo"
    if is_blind:
        return send_to_audit(site, reviewer, notice, group)
    return _send_to_group(filters, notice, group)


def _store(site: Site, decision: Decision) -> UnsavedDecision | None:
    try:
        site.index.decisions.add(decision)
    except ConflictError:
        return UnsavedDecision(Draft.of(decision.opinion), 409, conflict=True)
    return None


def _render_group(
    request: Request, site: Site, number: int, unsaved: UnsavedDecision | None = None
) -> Response:
    group, index = site.index.group(number), site.index
    if group is None:
        raise HTTPException(404)
    filters, head = read_filters(request), index.last_decision()
    # Before looking at its decisions: whoever let go of it by deciding it has decided it by now.
    held = hold_page(index.claims, group.entry.key, site.reviewer(request))
    seen = see_decisions(request, site, group)
    draft = unsaved.draft if unsaved else Draft.of(seen.opinion)
    preceding = index.preceding(filters, number)
    following = index.following(filters, number, without=held.of_others)
    address, faults = f"/group/{number}", unsaved.faults if unsaved else ()
    return site.render(
        request,
        "group.html",
        unsaved.status if unsaved else 200,
        **describe_group(request, site, group, draft),
        asks_label=_asks_label(filters, group),
        section=filters.queue or "need",
        head=head,
        seen=seen,
        current=seen.current,
        outdated=seen.outdated,
        history=seen.history,
        version=seen.version,
        unsaved=unsaved,
        held=held,
        dispute=find_dispute(request, site, group.entry.key),
        name_dispute=name_dispute,
        despite=address + confirming_query(filters.to_query() | kept_query(request), faults),
        keeping=address + keeping_query(filters.to_query(), unsaved.unknown if unsaved else ()),
        preceding=preceding.number if preceding else None,
        following=following.number if following else None,
        ahead=following.tag if following else "",
        tail=query_suffix(filters),
        progress=index.progress(filters),
    )


def _asks_label(filters: Filters, group: GroupRows) -> bool:
    """Whether a page of a group asks whether its label is wrong."""
    outcome = Outcome.of(group.verdict)
    return filters.queue == LABELS and outcome.label == "fail" and outcome.ruling == PASS


def _next_address(site: Site, filters: Filters, number: int, reviewer: str) -> str:
    """Give the address of the next open group, of the first one after the last, or of the queue."""
    index = site.index

    def find(of_others: Collection[str]) -> QueueEntry | None:
        following = index.following(filters, number, open_only=True, without=of_others)
        if following is None and (filters.shows_all_states or filters.state == "open"):
            following = index.following(filters, 0, open_only=True, without=of_others)
        return following

    following = take_next(index.claims, index.decisions, reviewer, find)
    if following is None:
        notice = "end_held" if find(()) else "end"
        return "/?" + urlencode(filters.to_query() | {"told": notice})
    return f"/group/{following.number}{query_suffix(filters)}"


def _send_to_group(filters: Filters, notice: str, group: GroupRows | None) -> Response:
    """Redirect to a group, or to the queue where it is None, with a notice."""
    query = filters.to_query() | {"told": notice}
    if group is None:
        return RedirectResponse("/?" + urlencode(query), 303)
    query["about"] = group.entry.group_id
    return RedirectResponse(f"/group/{group.entry.number}?" + urlencode(query), 303)
