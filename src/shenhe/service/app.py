"""The application: its routes, its access rules, and its errors: JSON, or pages for people."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from shenhe import __version__
from shenhe.errors import DatabaseAwayError, ShenheError
from shenhe.service.access import OPEN_PATHS, Access, FindCaller
from shenhe.service.key_guard import KeyGuard
from shenhe.service.observing import Observing, RequestLog, RequestObserver
from shenhe.service.openapi import describe
from shenhe.service.parts import Service
from shenhe.service.rates import Rates
from shenhe.service.refusal_pages import answer_refusal
from shenhe.service.refusals import RefusedError
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
    tell = partial(answer_refusal, limits=service.limits)
    guard = KeyGuard(find_caller)
    hold = partial(service.places.taken, "requests")
    app.add_middleware(Access, check_key=guard.find, take=Rates().take, hold=hold, tell=tell)
    app.state.metrics = metrics = make_metrics(service)
    app.add_middleware(Observing, observers=[RequestLog(), *filter(None, [metrics]), *observers])
    app.state.service, app.state.guard = service, guard
    app.exception_handler(RefusedError)(_tell_refusal)
    app.exception_handler(HTTPException)(_tell_http)
    app.exception_handler(RequestValidationError)(_tell_invalid)
    app.exception_handler(DatabaseAwayError)(_tell_away)
    app.exception_handler(ShenheError)(_tell_error)
    app.exception_handler(Exception)(_tell_bug)
    for router in ROUTERS:
        app.include_router(router)
    app.openapi = describe(app, OPEN_PATHS)  # type: ignore[method-assign]
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


def _answer(request: Request, refusal: RefusedError) -> Response:
    service: Service = request.app.state.service
    return answer_refusal(request, refusal, service.limits)


def _tell_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return _answer(request, error)


def _tell_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = CODES.get(error.status_code, "bad_request")
    answer = _answer(request, RefusedError(error.status_code, code, str(error.detail)))
    answer.headers.update(error.headers or {})
    return answer


def _tell_invalid(request: Request, error: Exception) -> Response:
    """Name the first parameter that is wrong; what was sent is not repeated."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"][1:])
    return _answer(request, RefusedError(400, "bad_parameter", f"{name}: {first['msg']}"))


def _tell_away(request: Request, error: Exception) -> Response:
    log.error("the database does not answer: %s", error)
    problem = "the database does not answer; ask again"
    return _answer(request, RefusedError(503, "database_away", problem, AWAY_SECONDS))


def _tell_error(request: Request, error: Exception) -> Response:
    """Say that something is wrong here; what exactly stands in the log."""
    log.error("a request failed: %s", error)
    return _answer(request, RefusedError(500, "internal", BROKEN))


def _tell_bug(request: Request, error: Exception) -> Response:
    log.error("internal error: %s", type(error).__name__)
    return _answer(request, RefusedError(500, "internal", BROKEN))
