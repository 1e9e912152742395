"""Is the process alive, and can it do its work."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse

from shenhe.errors import RunError
from shenhe.service.parts import Service, service_of

router = APIRouter(tags=["operations"])


@router.get("/healthz", summary="Is the process alive")
async def show_health() -> dict[str, str]:
    """Answer as long as the process does."""
    return {"status": "ok"}


@router.get("/readyz", summary="Can it take and judge groups")
def show_readiness(service: Service = Depends(service_of)) -> JSONResponse:  # noqa: B008
    """Say what is missing, with 503, until nothing is."""
    missing = {}
    try:
        service.store.counts()
    except RunError:
        missing["database"] = "does not answer"
    if service.bell.is_closing:
        missing["service"] = "is ending"
    state = "not_ready" if missing else "ready"
    return JSONResponse({"status": state, "missing": missing}, 503 if missing else 200)
