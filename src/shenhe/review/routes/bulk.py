"""The second look at several groups of the queue, which are decided at once afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import RedirectResponse

from shenhe.review.blinding import is_veiled, second_address
from shenhe.review.bulk import AGREE, MOST, BulkOutcome, decide_each, look_again
from shenhe.review.forms import MAX_INTEGER, Form, SentForm, query_suffix, read_filters
from shenhe.review.index import GroupRows
from shenhe.review.site import CurrentSite, Site
from shenhe.review.views import CHOICES
from shenhe.web.pictures import photo_tag
from shenhe.web.preferences import read_language

SHOWN_PHOTOS = 12
"""How many photos of a group the second look shows."""
Picked = Annotated[list[Annotated[int, Query(ge=1, le=MAX_INTEGER)]], Query()]
router = APIRouter(prefix="/bulk")


@router.get("")
def show_second_look(request: Request, site: CurrentSite, pick: Picked = []) -> Response:  # noqa: B006
    """Show the picked groups once more, with the buttons that decide them."""
    filters = read_filters(request)
    numbers = list(dict.fromkeys(pick))
    if filters.queue or len(numbers) > MOST:
        return site.render(request, "message.html", 400, word="bulk_limit", detail="")
    if not numbers:
        query = filters.to_query() | {"told": "bulk_none"}
        return RedirectResponse("/?" + urlencode(query), 303)
    groups = [group for group in map(site.index.group, numbers) if group]
    groups = _seen(request, site, groups)
    if not groups:
        raise HTTPException(404)
    return _render(request, site, groups)


@router.post("")
def decide_picked(request: Request, site: CurrentSite, form: SentForm) -> Response:
    """Decide the ticked groups; show those that could not be decided once more, with the reason."""
    filters, reviewer = read_filters(request), site.reviewer(request)
    if filters.queue or not form.get("key-0"):
        raise HTTPException(400)
    if not reviewer:
        return RedirectResponse("/name", 303)
    # What somebody else has decided meanwhile, and is to be judged once more, is left out unseen.
    form = _without_hidden(request, site, form)
    language = read_language(request)
    outcome = decide_each(site.index, form, reviewer, site.reasons.vocabulary, language)
    if not outcome.left:
        query = filters.to_query() | {"told": "bulk_decided", "about": str(outcome.decided)}
        return RedirectResponse("/?" + urlencode(query), 303)
    groups = [group for group in map(site.index.group_by_key, outcome.left) if group]
    groups = _seen(request, site, groups)
    return _render(request, site, groups, outcome, form.get("comment", ""))


def _seen(request: Request, site: Site, groups: Iterable[GroupRows]) -> list[GroupRows]:
    """Leave out the groups whose decision the reader must not see."""
    return [
        group
        for group in groups
        if not second_address(request, site, group.entry.number)
        and not is_veiled(request, site, group)
    ]


def _without_hidden(request: Request, site: Site, form: Form) -> Form:
    """Untick the groups of a form that the reader may not decide openly."""
    keys = {name: text for name, text in form.items() if name.startswith("key-")}
    found = {name: site.index.group_by_key(key) for name, key in keys.items() if key}
    hidden = {
        name.replace("key-", "take-", 1)
        for name, group in found.items()
        if group and not _seen(request, site, [group])
    }
    return {name: text for name, text in form.items() if name not in hidden}


def _render(
    request: Request,
    site: Site,
    groups: Iterable[GroupRows],
    outcome: BulkOutcome | None = None,
    comment: str = "",
) -> Response:
    language, filters = read_language(request), read_filters(request)
    looks = [
        look_again(site.index, group, site.reasons.vocabulary, comment, language)
        for group in groups
    ]
    left: Mapping[str, str] = outcome.left if outcome else {}
    held = site.index.claims.held(but=site.reviewer(request))
    return site.render(
        request,
        "bulk.html",
        409 if outcome else 200,
        section="need",
        looks=looks,
        left=left,
        outcome=outcome,
        held=held,
        comment=comment,
        tags={look.group.entry.key: _tags(look.group) for look in looks},
        choices=(*CHOICES, AGREE),
        tail=query_suffix(filters),
    )


def _tags(group: GroupRows) -> list[str]:
    return [photo_tag(image) for image in group.images[:SHOWN_PHOTOS]]
