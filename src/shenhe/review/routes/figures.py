"""Pages of a team's figures: disagreements, agreement, work by day, and the trail as a file."""

from __future__ import annotations

from datetime import timezone

from fastapi import APIRouter, HTTPException, Request, Response
from pydantic_core import to_json

from shenhe.review.figures import (
    AGREEMENT_COLUMNS,
    WORK_COLUMNS,
    agreement_cells,
    list_agreement,
    list_pairs,
    list_work,
    make_sheet,
    work_cells,
)
from shenhe.review.identity import require_lead
from shenhe.review.site import CurrentSite, Site
from shenhe.review.team_trail import TRAIL_COLUMNS, trail_cells, whole_trail
from shenhe.review.viewers import account_of
from shenhe.team.agreement import CHOICES
from shenhe.team.work import local_zone, name_zone, read_zone

SHOWN_DAYS = 400
"""How many lines of work a page shows; files have all of them."""
CSV = "text/csv; charset=utf-8"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
router = APIRouter(prefix="/team")


@router.get("/disagreements")
def show_disagreements(request: Request, site: CurrentSite) -> Response:
    """Show the groups on which two people differ, for a lead to decide between them."""
    require_lead(request)
    pairs = site.index.second.pairs() if site.index.second else []
    disputed = [pair for pair in pairs if pair.is_disputed]
    entries = {pair.second.key: site.index.group_by_key(pair.second.key) for pair in disputed}
    return site.render(
        request,
        "disagreements.html",
        section="team",
        plan=site.index.second.plan if site.index.second else None,
        pairs=[pair for pair in disputed if entries[pair.second.key]],
        entries=entries,
    )


@router.get("/agreement")
def show_agreement(request: Request, site: CurrentSite) -> Response:
    """Show how far people agree."""
    require_lead(request)
    pairs = list_pairs(site.index.second) if site.index.second else []
    lines = list_agreement(pairs)
    return site.render(
        request, "agreement.html", section="team", lines=lines, whole=lines[0], choices=CHOICES
    )


@router.get("/agreement.{kind}")
def send_agreement(request: Request, site: CurrentSite, kind: str) -> Response:
    """Send how far people agree as a file."""
    require_lead(request)
    pairs = list_pairs(site.index.second) if site.index.second else []
    return _send("agreement", kind, AGREEMENT_COLUMNS, agreement_cells(list_agreement(pairs)))


@router.get("/work")
def show_work(request: Request, site: CurrentSite) -> Response:
    """Show what people did on each day: to a lead of all, to others of their own."""
    zone = _read_zone(request)
    lines = list_work(site.index, site.opinions, zone, _own_name(request, site))
    return site.render(
        request,
        "work.html",
        section="team",
        lines=lines[:SHOWN_DAYS],
        is_cut=len(lines) > SHOWN_DAYS,
        zone=name_zone(zone).removeprefix("UTC"),
    )


@router.get("/work.{kind}")
def send_work(request: Request, site: CurrentSite, kind: str) -> Response:
    """Send what people did on each day as a file."""
    zone = _read_zone(request)
    lines = list_work(site.index, site.opinions, zone, _own_name(request, site))
    return _send("work", kind, WORK_COLUMNS, work_cells(lines, zone))


@router.get("/trail.{kind}")
def send_trail(request: Request, site: CurrentSite, kind: str) -> Response:
    """Send the whole audit trail as a file, in the order of time."""
    require_lead(request)
    events = site.identity.people.events
    if kind == "jsonl":
        rows = whole_trail(site.index, site.opinions, events)
        content = b"".join(to_json(row) + b"\n" for row in rows)
        return _attach("trail.jsonl", content, "application/x-ndjson")
    cells = trail_cells(whole_trail(site.index, site.opinions, events))
    return _send("trail", kind, TRAIL_COLUMNS, cells)


def _own_name(request: Request, site: Site) -> str:
    """Give the name of whoever sees no work but his own; empty for a lead.

    Raises: HTTPException 404 where there are no accounts.
    """
    account = account_of(request)
    if account is None:
        raise HTTPException(404)
    return "" if account.is_lead else account.name


def _read_zone(request: Request) -> timezone:
    """Read the zone of days, an offset as +08:00; by default that of this machine.

    Raises: HTTPException 400 for anything else.
    """
    text = request.query_params.get("zone", "").replace(" ", "+")
    zone = read_zone(text) if text else local_zone()
    if zone is None:
        raise HTTPException(400)
    return zone


def _send(name: str, kind: str, columns: dict[str, int], rows: list[list[str]]) -> Response:
    """Send rows as a CSV or a workbook.

    Raises: HTTPException 404 for another kind of file.
    """
    if kind not in ("csv", "xlsx"):
        raise HTTPException(404)
    sheet = make_sheet(columns, rows, is_workbook=kind == "xlsx")
    return _attach(f"{name}.{kind}", sheet.content, XLSX if kind == "xlsx" else CSV)


def _attach(name: str, content: bytes, media_type: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)
