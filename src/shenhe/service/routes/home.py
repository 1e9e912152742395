"""The pages of the service: handing photos in, what becomes of them, everything under way."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from typing import Annotated, Final, cast, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from shenhe.locations import location_text
from shenhe.service.access import Caller, needs
from shenhe.service.job_view import JobView, view_job
from shenhe.service.jobs import Job, JobState
from shenhe.service.overview import JobFilter, read_overview
from shenhe.service.pages import may, render, words_for
from shenhe.service.parts import Service, service_of
from shenhe.service.photo_uses import find_uses
from shenhe.service.refusal_pages import describe_refusal, fill_refusals
from shenhe.service.refusals import RefusedError
from shenhe.service.routes.groups import JobId, find_job, take_in
from shenhe.web.pictures import PictureSize, photo_tag
from shenhe.web.preferences import read_language
from shenhe.web.sent_pictures import send_picture

router = APIRouter(include_in_schema=False)
MAX_NUMBER: Final = 2**63 - 1
SCRIPTED: Final = "script_"
"""Begins the names of words that the script shows."""
COMMANDS: Final = {
    "report": "shenhe report {}",
    "review": "shenhe review {}",
    "watch": "shenhe watch {}",
    "evaluate": "shenhe evaluate verdicts {}",
}
"""How the rows of the service are opened, at the machine where they lie."""


@router.get("/")
async def show_home(request: Request) -> Response:
    """Show the page on which photos are handed in."""
    return await _render_home(request)


@router.post("/groups")
async def hand_in(request: Request, caller: Annotated[Caller, needs("submit")]) -> Response:
    """Take a group in from a browser without a script, and go to its page."""
    service = service_of(request)
    try:
        job = await take_in(service, request, caller)
    except RefusedError as refusal:
        problem = describe_refusal(request, refusal, service.limits)
        return await _render_home(request, refusal.status, problem)
    return RedirectResponse(f"/groups/{job.id}", 303)


@router.get("/overview")
async def show_overview(request: Request, caller: Annotated[Caller, needs("read")]) -> Response:
    """Show everything under way, as a part of the home page."""
    values = await run_in_threadpool(_lay_out, service_of(request), _read_filter(request))
    return render(request, "overview.html", **values)


@router.get("/groups/{job_id}")
async def show_group(
    request: Request, caller: Annotated[Caller, needs("read")], job_id: JobId
) -> Response:
    """Show a group: its photos beside their lines, and its verdict."""
    view, newer = await _view(request, job_id)
    reloads = not view.is_over
    return render(request, "group.html", view=view, newer=newer, reloads=reloads)


@router.get("/groups/{job_id}/part")
async def show_part(
    request: Request, caller: Annotated[Caller, needs("read")], job_id: JobId
) -> Response:
    """Show a group as a part of another page."""
    view, _ = await _view(request, job_id)
    return render(request, "part.html", view=view)


@router.get("/groups/{job_id}/photo/{position}/{size}.jpg")
async def show_photo(
    request: Request,
    caller: Annotated[Caller, needs("read")],
    job_id: JobId,
    position: Annotated[int, Path(ge=1, le=MAX_NUMBER)],
    size: PictureSize,
) -> Response:
    """Show a photo of a group by its position, from 1 on."""
    job = await find_job(service_of(request), job_id)
    if position > len(job.new.photos):
        raise RefusedError(404, "unknown_photo", f"the group has no photo {position}")
    image = location_text(job.new.photos[position - 1].location)
    if request.query_params.get("of", photo_tag(image)) != photo_tag(image):
        raise RefusedError(404, "unknown_photo", "another photo has come to its place")
    return await send_picture(request, image, size)


async def _render_home(request: Request, status: int = 200, problem: str = "") -> Response:
    service, words = service_of(request), words_for(request)
    may_read = may(request, "read")
    chosen = _read_filter(request)
    values = await run_in_threadpool(_lay_out, service, chosen) if may_read else {}
    folder = str(service.submissions.inbox.folder.parent.absolute())
    script_words = {name: word for name, word in words.items() if name.startswith(SCRIPTED)}
    script_words |= fill_refusals(words, service.limits)
    values |= {
        "missions": [mission.name for mission in service.submissions.missions],
        "may_submit": may(request, "submit"),
        "may_read": may_read,
        "problem": problem,
        "script_words": {**script_words, "may_read": may_read},
        # Where the rows lie is nothing for whoever may only hand in and read.
        "folder": folder if may(request) else "",
        "commands": {name: text.format(shlex.quote(folder)) for name, text in COMMANDS.items()},
    }
    return render(request, "home.html", status, **values)


def _lay_out(service: Service, chosen: JobFilter) -> dict[str, object]:
    overview = read_overview(service.store, chosen)
    left = overview.pace.seconds_left
    return {
        "overview": overview,
        "chosen": chosen,
        "missions": [mission.name for mission in service.submissions.missions],
        "minutes_left": f"{max(1, math.ceil((left or 0) / 60))}",
        "query": _query_of(chosen, chosen.before),
        "older_query": _query_of(chosen, overview.older),
    }


def _query_of(chosen: JobFilter, before: int) -> str:
    values: Mapping[str, object] = {
        "state": chosen.state,
        "mission": chosen.mission,
        "before": before,
    }
    return urlencode({name: value for name, value in values.items() if value})


def _read_filter(request: Request) -> JobFilter:
    """Read a filter; what is none filters nothing."""
    query = request.query_params
    state, before = query.get("state", ""), query.get("before", "")
    is_number = before.isascii() and before.isdigit() and len(before) < 19
    return JobFilter(
        cast(JobState, state) if state in get_args(JobState) else None,
        query.get("mission", ""),
        int(before) if is_number else 0,
    )


async def _view(request: Request, job_id: str) -> tuple[JobView, str]:
    """Lay out a job; gives also the id of the current version of its group, if that is another.

    Raises: RefusedError; DatabaseAwayError; RunError.
    """
    service, language = service_of(request), read_language(request)
    job = await find_job(service, job_id)

    def view() -> tuple[JobView, str]:
        current = job if job.is_current else service.store.latest(*_names(job))
        newer = current.id if current and current.id != job.id else ""
        return view_job(job, find_uses(service.store, job.new), language), newer

    return await run_in_threadpool(view)


def _names(job: Job) -> tuple[str, str]:
    return job.new.mission, job.new.group_id
