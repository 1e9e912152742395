"""Is the process alive, and can it do its work."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from shenhe.errors import RunError
from shenhe.service.access import Caller, needs
from shenhe.service.openapi import JSON, answers, refusals
from shenhe.service.pages import may
from shenhe.service.parts import service_of
from shenhe.service.refusals import RefusedError

router = APIRouter(tags=["operations"])


@router.get("/healthz", summary="Is the process alive")
async def show_health() -> dict[str, str]:
    """Answer as long as the process does."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    summary="Can it take and judge groups",
    responses={
        **refusals(usual=(400, 403, 421, 429)),
        200: answers("It can", JSON),
        503: answers("It cannot, and why", JSON),
    },
)
def show_readiness(request: Request) -> JSONResponse:
    """Say what is missing, with 503, until nothing is; why it is missing to `admin` alone."""
    service = service_of(request)
    missing = {}
    try:
        service.store.counts()
    except RunError:
        missing["database"] = "does not answer"
    if service.chat is not None and (problem := service.chat.find_hub().problem):
        missing["model"] = problem if may(request) else "does not answer"
    if problem := service.find_problem():
        told = "cannot be looked at; the log says why"
        missing["watched tree"] = problem if may(request) else told
    if service.bell.is_closing:
        missing["service"] = "is ending"
    state = "not_ready" if missing else "ready"
    return JSONResponse({"status": state, "missing": missing}, 503 if missing else 200)


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=PlainTextResponse,
    responses={200: answers("The figures", "text/plain"), **refusals(404)},
)
def show_metrics(request: Request, caller: Annotated[Caller, needs("read")]) -> Response:
    """Write the figures of this process, and of the jobs of all."""
    metrics = request.app.state.metrics
    if metrics is None:
        raise RefusedError(404, "no_metrics", "pip install 'shenhe[metrics]' on the server first")
    return Response(metrics.write(), media_type="text/plain; version=0.0.4")
