"""The application: its routes, its access rules, and its errors, all of them JSON."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from shenhe import __version__
from shenhe.errors import DatabaseAwayError, ShenheError
from shenhe.service.access import Access, FindCaller
from shenhe.service.observing import Observing, RequestLog, RequestObserver
from shenhe.service.parts import Service
from shenhe.service.rates import Rates
from shenhe.service.refusals import RefusedError, error_body
from shenhe.service.routes import ROUTERS

if TYPE_CHECKING:
    from shenhe.service.metrics import Metrics

log = logging.getLogger("shenhe.service")
BROKEN = "the service cannot do this now; its log says why"
AWAY_SECONDS = 5
CODES = {404: "unknown_path", 405: "wrong_method"}


def create_app(
    service: Service, find_caller: FindCaller, observers: Sequence[RequestObserver] = ()
) -> FastAPI:
    """Create the application of a service; `find_caller` says who has which key.

    `observers` are told of each request, beside the log and the metrics.

    Example:
        app = create_app(service, lambda key: EVERYBODY)
        uvicorn.run(app, port=8770)

    """
    app = FastAPI(
        title="shenhe",
        version=__version__,
        description="审核：照片进，结论出。Photos in, verdicts out, with their evidence.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    app.add_middleware(Access, find_caller=find_caller, take=Rates().take)
    app.state.metrics = metrics = make_metrics(service)
    app.add_middleware(Observing, observers=[RequestLog(), *filter(None, [metrics]), *observers])
    app.state.service = service
    app.exception_handler(RefusedError)(_tell_refusal)
    app.exception_handler(HTTPException)(_tell_http)
    app.exception_handler(RequestValidationError)(_tell_invalid)
    app.exception_handler(DatabaseAwayError)(_tell_away)
    app.exception_handler(ShenheError)(_tell_error)
    app.exception_handler(Exception)(_tell_bug)
    for router in ROUTERS:
        app.include_router(router)
    return app


def make_metrics(service: Service) -> Metrics | None:
    """Make the figures for Prometheus; None where its library is not installed."""
    try:
        from shenhe.service.metrics import Metrics
    except ModuleNotFoundError:
        return None
    return Metrics(service)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    service.submissions.inbox.sweep()
    telling = asyncio.create_task(service.webhooks.run()) if service.webhooks else None
    yield
    service.bell.close()
    if telling is not None:
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling


def _tell_refusal(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RefusedError)
    return JSONResponse(error.body, error.status, error.headers)


def _tell_http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = CODES.get(error.status_code, "bad_request")
    headers: Mapping[str, str] = error.headers or {}
    return _tell(error.status_code, code, str(error.detail), headers)


def _tell_invalid(_: Request, error: Exception) -> JSONResponse:
    """Name the first parameter that is wrong; what was sent is not repeated."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"][1:])
    return _tell(400, "bad_parameter", f"{name}: {first['msg']}")


def _tell_away(_: Request, error: Exception) -> JSONResponse:
    log.error("the database does not answer: %s", error)
    headers = {"Retry-After": str(AWAY_SECONDS)}
    return _tell(503, "database_away", "the database does not answer; ask again", headers)


def _tell_error(_: Request, error: Exception) -> JSONResponse:
    """Say that something is wrong here; what exactly stands in the log."""
    log.error("a request failed: %s", error)
    return _tell(500, "internal", BROKEN)


def _tell_bug(_: Request, error: Exception) -> JSONResponse:
    log.error("internal error: %s", type(error).__name__)
    return _tell(500, "internal", BROKEN)


def _tell(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    return JSONResponse(error_body(status, code, message), status, headers)
