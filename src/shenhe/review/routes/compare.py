"""Two runs side by side: what changed its verdict, and each group with both lines and captions."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, HTTPException, Request, Response

from shenhe.review.blinding import require_sight_of_all
from shenhe.review.compared import compare_photos
from shenhe.review.differences import mark_differences
from shenhe.review.forms import PathNumber, QueryNumber
from shenhe.review.index import CHANGES, GroupRows, PairedGroup
from shenhe.review.routes.photos import find_photo
from shenhe.review.site import CurrentSite, OtherRun, Site, site_of
from shenhe.web.pictures import PictureSize
from shenhe.web.sent_pictures import show_picture

PAGE_SIZE = 50


async def _sight(request: Request) -> None:
    """Refuse whoever may be asked for a second opinion: the pages show what people decided."""
    require_sight_of_all(request, site_of(request))


router = APIRouter(prefix="/compare", dependencies=[Depends(_sight)])


class ComparisonFilters(NamedTuple):
    """Which groups are listed: of a kind of change, and of a mission; empty: all changes."""

    change: str
    mission: str

    @property
    def tail(self) -> str:
        """The end of an address, with its question mark."""
        query = urlencode({name: text for name, text in self._asdict().items() if text})
        return f"?{query}" if query else ""


@router.get("")
def show_comparison(request: Request, site: CurrentSite, after: QueryNumber = 0) -> Response:
    """Show the counts by mission, and a page of the groups with the kind of change."""
    other, filters = _other_run(site), _read_filters(request)
    groups = other.comparison.page(*filters, after, PAGE_SIZE + 1)
    alone_now, alone_before = other.comparison.count_alone()
    return site.render(
        request,
        "compare.html",
        section="compare",
        missions=other.comparison.missions(),
        alone_now=alone_now,
        alone_before=alone_before,
        groups=groups[:PAGE_SIZE],
        matching=other.comparison.count(*filters),
        next_after=groups[PAGE_SIZE - 1].number if len(groups) > PAGE_SIZE else None,
        after=after,
        filters=filters,
        changes=tuple(CHANGES),
        comparison_tail=filters.tail,
    )


@router.get("/{number}")
def show_pair(request: Request, site: CurrentSite, number: PathNumber) -> Response:
    """Show a group as both runs have it."""
    other, filters = _other_run(site), _read_filters(request)
    group, before, now = _find(site, other, number)
    neighbour = other.comparison.neighbour
    return site.render(
        request,
        "compare_group.html",
        section="compare",
        group=group,
        runs=(before, now),
        reasons=mark_differences(before.verdict.reason, now.verdict.reason),
        photos=compare_photos(before, now),
        preceding=neighbour(*filters, number, next_one=False),
        following=neighbour(*filters, number, next_one=True),
        comparison_tail=filters.tail,
    )


@router.get("/{number}/photo/{position}/{size}.jpg")
def show_photo_before(
    request: Request, site: CurrentSite, number: PathNumber, position: PathNumber, size: PictureSize
) -> Response:
    """Show a photo that only the other run has, by its position, from 1 on."""
    _, before, _ = _find(site, _other_run(site), number)
    return show_picture(request, find_photo(request, before, position), size)


def _other_run(site: Site) -> OtherRun:
    """Give the run to compare with.

    Raises: HTTPException 404 where there is none.
    """
    if site.other is None:
        raise HTTPException(404)
    return site.other


def _read_filters(request: Request) -> ComparisonFilters:
    """Read the filters of an address.

    Raises: HTTPException 400 for an unknown kind of change.
    """
    query = request.query_params
    filters = ComparisonFilters(query.get("change", ""), query.get("mission", ""))
    if filters.change not in CHANGES:
        raise HTTPException(400)
    return filters


def _find(site: Site, other: OtherRun, number: int) -> tuple[PairedGroup, GroupRows, GroupRows]:
    """Find a group in both runs: its pair, its rows before and its rows now.

    Raises: HTTPException 404 for a group that is not in both.
    """
    pair = other.comparison.find(number)
    before = other.index.group(pair.other_number) if pair else None
    now = site.index.group(pair.number) if pair else None
    if pair is None or before is None or now is None:
        raise HTTPException(404)
    return pair, before, now
