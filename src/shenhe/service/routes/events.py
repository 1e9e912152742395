"""Server-sent events: results as they come, for one group or for all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Annotated, Final

from fastapi import APIRouter, Header, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from shenhe.errors import DatabaseAwayError
from shenhe.service.access import Caller, needs
from shenhe.service.bell import read_last_end
from shenhe.service.openapi import EVENTS, answers, refusals
from shenhe.service.parts import Service, service_of
from shenhe.service.photo_uses import show_with_uses
from shenhe.service.routes.groups import JobId, Number, find_job
from shenhe.service.shown import is_over

router = APIRouter(prefix="/v1", tags=["events"])
QUIET_SECONDS: Final = 10.0
"""How often a stream says that it lives; also how soon it notices that its reader is gone."""
STATE_SECONDS: Final = 0.5
"""How often the state of one group is looked at beside its end."""
PAGE: Final = 50
STREAM: Final = answers("Events as they come", EVENTS)


class EventStream(StreamingResponse):
    """A response of server-sent events, which no proxy is to hold back."""

    media_type = EVENTS

    def __init__(self, events: AsyncIterator[str], stack: AsyncExitStack) -> None:
        """Send events; close the stack behind the last one, or as soon as the client is gone."""
        super().__init__(events, headers={"X-Accel-Buffering": "no"})
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        async with self._stack:
            await super().__call__(scope, receive, send)


@router.get(
    "/groups/{job_id}/events",
    status_code=200,
    summary="The states of a group",
    response_class=EventStream,
    responses={200: STREAM, **refusals(404)},
)
async def follow_group(
    request: Request, caller: Annotated[Caller, needs("read")], job_id: JobId
) -> EventStream:
    """Send the group whenever its state changes, each time whole; ends with its end."""
    service = service_of(request)
    await find_job(service, job_id)
    async with AsyncExitStack() as stack:
        stack.enter_context(service.places.taken("streams", request))
        return EventStream(_states(service, job_id), stack.pop_all())


@router.get(
    "/events",
    status_code=200,
    summary="All results as they come",
    response_class=EventStream,
    responses={200: STREAM, **refusals()},
)
async def follow_results(
    request: Request,
    caller: Annotated[Caller, needs("read")],
    after: Number | None = None,
    last_event_id: Annotated[str, Header(max_length=40)] = "",
) -> EventStream:
    """Send each group at its end, in the order of ends, from `after` on, else from now on.

    A reader that was cut off goes on behind the `id` that it had last (`Last-Event-ID`).
    """
    service = service_of(request)
    if last_event_id.isascii() and last_event_id.isdigit():
        after = int(last_event_id)
    # An id that was never given: of a database that was restored since, or of no number at all.
    last = await run_in_threadpool(read_last_end, service.store)
    after = last if after is None else min(after, last)
    async with AsyncExitStack() as stack:
        stack.enter_context(service.places.taken("streams", request))
        return EventStream(_results(service, after), stack.pop_all())


async def _states(service: Service, job_id: str) -> AsyncIterator[str]:
    """Yield a group at each change; where the database is away the reader comes again."""
    with suppress(DatabaseAwayError):
        async for event in _changes(service, job_id):
            yield event


async def _changes(service: Service, job_id: str) -> AsyncIterator[str]:
    shown_state, quiet = "", 0.0
    async with service.bell.listening() as number:
        while not service.bell.is_closing:
            job = await find_job(service, job_id)
            if job.state != shown_state:
                shown_state, quiet = job.state, 0.0
                yield _event(job.state, await run_in_threadpool(service.show, job))
            if is_over(job):
                return
            number = await service.bell.wait(number, STATE_SECONDS)
            quiet += STATE_SECONDS
            if quiet >= QUIET_SECONDS:
                quiet = 0.0
                yield ": \n\n"


async def _results(service: Service, after: int) -> AsyncIterator[str]:
    async with service.bell.listening() as number:
        yield ": \n\n"
        while not service.bell.is_closing:
            try:
                ended = await run_in_threadpool(service.store.finished_after, after, PAGE)
                jobs = [end.job for end in ended]
                shown = await run_in_threadpool(show_with_uses, service.store, jobs)
            except DatabaseAwayError:
                return  # the reader comes again, and goes on where it was
            for end, group in zip(ended, shown, strict=True):
                after = end.number
                yield _event(end.job.state, group, end.number)
            if len(ended) < PAGE:
                last = number
                number = await service.bell.wait(max(number, after), QUIET_SECONDS)
                if number == last:
                    yield ": \n\n"


def _event(name: str, content: Mapping[str, object], number: int | None = None) -> str:
    lines = [f"event: {name}", f"data: {json.dumps(content, ensure_ascii=False)}"]
    if number is not None:
        lines.insert(0, f"id: {number}")
    return "\n".join(lines) + "\n\n"
