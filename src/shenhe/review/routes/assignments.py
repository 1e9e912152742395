"""Which groups belong to which people: a lead's page."""

from __future__ import annotations

import json

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from shenhe.review.forms import Form, SentForm
from shenhe.review.identity import require_lead
from shenhe.review.index.owners import list_regions, note_owners
from shenhe.review.site import CurrentSite, Site
from shenhe.team.assignments import MAX_REGION, REGION, Assignments

KINDS = ("missions", "regions", "share")
router = APIRouter(prefix="/team/assignments")


@router.get("")
def show_assignments(request: Request, site: CurrentSite) -> Response:
    """Show who has which missions, regions and shares."""
    require_lead(request)
    return _render(request, site)


@router.post("")
def set_assignments(request: Request, site: CurrentSite, form: SentForm) -> Response:
    """Put other rules in force; show them beside those that somebody else has changed meanwhile."""
    lead = require_lead(request)
    rules = _read_rules(site, form)
    if not site.index.assignments.write(rules, lead.name, form.get("seen", "")):
        return _render(request, site, rules)
    return RedirectResponse("/team/assignments?told=assigned", 303)


def _render(request: Request, site: Site, sent: Assignments | None = None) -> Response:
    """Show the rules in force, or those that were sent and did not come into force."""
    index, in_force = site.index, site.index.assignments.read()
    note_owners(index.path, index.run_dir, in_force.region_field)
    regions = dict(list_regions(index.path))
    missions = {name: progress.groups for name, progress in index.counts.by_mission().items()}
    shown, now = _people_of(sent or in_force), _people_of(in_force)
    rows = [
        *(("missions", name, count) for name, count in missions.items()),
        *(("regions", name, count) for name, count in regions.items()),
    ]
    listed = {row[:2] for row in rows}
    rows += [(*key, 0) for key in (shown | now) if key not in listed and key[0] != "share"]
    return site.render(
        request,
        "assignments.html",
        409 if sent else 200,
        section="team",
        rules=sent or in_force,
        seen=in_force.digest,
        in_force=in_force if sent else None,
        people=[each.name for each in site.identity.people.accounts.list() if each.is_active],
        rows=[*rows, ("share", "", 0)],
        chosen=shown,
        # In another order they are the same people.
        changed={
            key: now.get(key, ())
            for key in shown | now
            if set(shown.get(key, ())) != set(now.get(key, ()))
        },
        field_name=lambda *box: json.dumps(box),
    )


def _people_of(rules: Assignments) -> dict[tuple[str, str], tuple[str, ...]]:
    """Give the people of each rule, by its kind and its mission or region."""
    return {
        **{("missions", name): people for name, people in rules.missions.items()},
        **{("regions", name): people for name, people in rules.regions.items()},
        ("share", ""): rules.share,
    }


def _read_rules(site: Site, form: Form) -> Assignments:
    """Read rules from the boxes that are ticked.

    Raises: HTTPException 400 for a box that no page has, or a field that is too long.
    """
    region_field = " ".join(form.get("region_field", REGION).split()) or REGION
    if len(region_field) > MAX_REGION:
        raise HTTPException(400)
    names = {account.name for account in site.identity.people.accounts.list()}
    chosen: dict[str, dict[str, list[str]]] = {kind: {} for kind in KINDS}
    for box in form:
        if not box.startswith("["):
            continue
        kind, value, name = _read_box(box)
        if kind not in KINDS or name not in names or (kind == "share") == bool(value):
            raise HTTPException(400)
        chosen[kind].setdefault(value, []).append(name)
    missions, regions = (
        {value: tuple(people) for value, people in chosen[kind].items()} for kind in KINDS[:2]
    )
    return Assignments(region_field, missions, regions, tuple(chosen["share"].get("", ())))


def _read_box(box: str) -> tuple[str, str, str]:
    """Read the name of a box: the kind of a rule, its mission or region, and a person.

    Raises: HTTPException 400 for anything but three texts, or half a character.
    """
    try:
        texts = json.loads(box)
        "".join(texts).encode()
        kind, value, name = texts
    except (ValueError, TypeError, RecursionError) as error:
        raise HTTPException(400) from error
    if kind == "regions" and len(value) > MAX_REGION:
        raise HTTPException(400)
    return kind, value, name
