"""Groups: handing them in, and what became of them."""

from __future__ import annotations

import time
from contextlib import ExitStack, nullcontext
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from shenhe.config.missions import normalize_name
from shenhe.row_types import describe_invalid
from shenhe.service.access import Caller, needs
from shenhe.service.inbox import Reception
from shenhe.service.jobs import Job, JobState
from shenhe.service.limits import MAX_NAME
from shenhe.service.openapi import JSON, answers, refusals
from shenhe.service.pages import may
from shenhe.service.parts import Service, service_of
from shenhe.service.photo_uses import show_with_uses
from shenhe.service.receiving import drain, receive_json, receive_photos
from shenhe.service.refusals import RefusedError
from shenhe.service.shown import Shown, is_over, url_of
from shenhe.service.submissions import Draft

router = APIRouter(prefix="/v1/groups", tags=["groups"])
MAX_NUMBER: Final = 2**63 - 1
MAX_LIMIT: Final = 200
JOB_ID: Final = r"^[0-9A-Za-z_-]{1,80}$"
MULTIPART: Final = "multipart/form-data"
JobId = Annotated[str, Path(pattern=JOB_ID)]
WaitSeconds = Annotated[float, Query(ge=0, le=86_400, allow_inf_nan=False)]
Number = Annotated[int, Query(ge=0, le=MAX_NUMBER)]


def _none_if_empty(value: str) -> str | None:
    return value or None


class SentGroup(BaseModel):
    """A group whose photos the service fetches."""

    model_config = ConfigDict(extra="forbid")

    mission: str = Field(max_length=MAX_NAME)
    group_id: str = Field(min_length=1, max_length=MAX_NAME)
    photos: list[Annotated[str, Field(max_length=4096)]] = Field(min_length=1)
    lane: str = ""
    callback: str = Field("", max_length=4096)


FORM: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["mission", "group_id", "photos"],
    "properties": {
        "mission": {"type": "string"},
        "group_id": {"type": "string", "maxLength": MAX_NAME},
        "photos": {"type": "array", "items": {"type": "string", "format": "binary"}},
        "lane": {"type": "string", "enum": ["interactive", "bulk"]},
        "callback": {"type": "string", "format": "uri"},
    },
}
BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            MULTIPART: {"schema": FORM},
            "application/json": {"schema": SentGroup.model_json_schema()},
        },
    }
}


@router.post(
    "",
    status_code=202,
    openapi_extra=BODY,
    summary="Hand in a group",
    responses={
        200: answers("Its verdict is there", JSON, located=True),
        202: answers("It is on disk", JSON, located=True),
        **refusals(408, 413, 415, 422),
    },
)
async def submit_group(
    request: Request, caller: Annotated[Caller, needs("submit")], wait: WaitSeconds = 0
) -> JSONResponse:
    """Take a group in: 202 once it is on disk, 200 where its verdict is there.

    The photos are 图片_1 on, in the order in which they are sent. The same photos of the same group
    are one job; other photos are its next version.
    """
    service = service_of(request)
    with service.places.taken("waits", request) if wait else nullcontext():
        job = await take_in(service, request, caller)
        job = await _wait_for(service, job, wait)
    names_uses = may(request, "read")  # of groups that may be those of somebody else
    return await _answer(service, job, 200 if is_over(job) else 202, names_uses=names_uses)


@router.get(
    "/{job_id}",
    summary="A group, and what became of it",
    responses={200: answers("The group", JSON, located=True), **refusals(404)},
)
async def show_group(
    request: Request, caller: Annotated[Caller, needs("read")], job_id: JobId, wait: WaitSeconds = 0
) -> JSONResponse:
    """Show a job; with `wait` as soon as it is over, or after so many seconds."""
    service = service_of(request)
    job = await find_job(service, job_id)
    with service.places.taken("waits", request) if wait else nullcontext():
        job = await _wait_for(service, job, wait)
    return await _answer(service, job, 200)


@router.get("", summary="Groups, by state and mission", responses=refusals())
def list_groups(
    request: Request,
    caller: Annotated[Caller, needs("read")],
    state: Annotated[JobState | None, BeforeValidator(_none_if_empty)] = None,
    mission: Annotated[str, Query(max_length=MAX_NAME)] = "",
    after: Number = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 50,
) -> dict[str, object]:
    """List jobs by their number, of any state or mission where it is left empty.

    `next` is the `after` of the next page, null on the last one.
    """
    service = service_of(request)
    named = _name_of(service, mission) if mission else None
    jobs = service.store.list(state, named, after, limit)
    next_number = jobs[-1].number if len(jobs) == limit else None
    return {"groups": show_with_uses(service.store, jobs), "next": next_number}


async def find_job(service: Service, job_id: str) -> Job:
    """Find a job.

    Raises: RefusedError where there is none; DatabaseAwayError; RunError.
    """
    job = await run_in_threadpool(service.store.get, job_id)
    if job is None:
        raise RefusedError(404, "unknown_group", f"no group has the id {job_id}")
    return job


async def take_in(service: Service, request: Request, caller: Caller) -> Job:
    """Receive a submission and make its job; what is refused leaves nothing behind.

    Raises: RefusedError; DatabaseAwayError; RunError.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(service.places.taken("uploads", request))
            await run_in_threadpool(service.pressure.enter)
        except RefusedError:
            await drain(request)
            raise
        stack.callback(service.pressure.leave)
        reception = await run_in_threadpool(service.submissions.inbox.receive, service.limits)
        try:
            draft = await _receive(request, reception, service, caller)
            # A client that leaves now has handed in all the same.
            job, _ = await run_in_threadpool(service.submissions.accept, draft, reception)
        finally:
            await run_in_threadpool(reception.close)
    return job


async def _receive(
    request: Request, reception: Reception, service: Service, caller: Caller
) -> Draft:
    """Receive a submission in either of its forms.

    Raises: RefusedError; RunError.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == MULTIPART:
        fields = await receive_photos(request, reception)
        missing = [name for name in ("mission", "group_id") if not fields.get(name)]
        if missing:
            raise RefusedError(400, "missing_field", f"give {' and '.join(missing)}")
        return Draft(**fields, submitted_by=caller.name)
    if kind == "application/json":
        sent = read_sent(await receive_json(request, service.limits))
        draft = Draft(sent.mission, sent.group_id, sent.lane, sent.callback, caller.name)
        service.submissions.check(draft)
        await service.fetcher.fetch(sent.photos, reception)
        return draft
    raise RefusedError(415, "wrong_type", f"send {MULTIPART} or application/json")


def read_sent(body: bytes) -> SentGroup:
    """Read a group whose photos are to be fetched.

    Raises: RefusedError for JSON that is no such group.
    """
    try:
        return SentGroup.model_validate_json(body)
    except ValidationError as error:
        raise RefusedError(400, "malformed_body", describe_invalid(error)) from error


def _name_of(service: Service, mission: str) -> str:
    known = service.submissions.missions.find(mission)
    return known.name if known else normalize_name(mission)


async def _wait_for(service: Service, job: Job, seconds: float) -> Job:
    """Wait until a job is over, but not for longer than that, nor than the service waits at all."""
    until = time.monotonic() + min(seconds, service.limits.wait_seconds)
    if is_over(job) or seconds <= 0:
        return job
    async with service.bell.listening() as number:
        job = await find_job(service, job.id)
        while not is_over(job) and (left := until - time.monotonic()) > 0:
            number = await service.bell.wait(number, left)
            job = await find_job(service, job.id)
            if service.bell.is_closing:
                break
    return job


async def _answer(
    service: Service, job: Job, status: int, *, names_uses: bool = True
) -> JSONResponse:
    shown: Shown = await run_in_threadpool(service.show, job, names_uses=names_uses)
    return JSONResponse(shown, status, {"Location": url_of(job)})
