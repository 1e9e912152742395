"""What is counted, logged and traced of each request: its route, its status, its time, its key.

Nothing of its content, neither its query nor its address: they hold names, and may hold secrets.
"""

from __future__ import annotations

import logging
import time
from asyncio import CancelledError
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shenhe.service.access import Caller

log = logging.getLogger("shenhe.service.requests")
NO_ROUTE = "none"
"""Stands for the route of what is asked for in vain: addresses of strangers are no labels."""
CUT_OFF = 499
"""The status of a request whose client was gone before it was answered."""
BROKEN = 500
"""The status of a request that ended by an error of the service's own."""


@dataclass(frozen=True, slots=True)
class FinishedRequest:
    """A request that was answered, as far as it is told of.

    Units: `began_ns` in nanoseconds since 1970, `seconds` until the last byte of the answer.
    """

    method: str
    route: str
    status: int
    seconds: float
    caller: str
    began_ns: int


class RequestObserver(Protocol):
    """Is told of each request when it has ended."""

    def finished(self, request: FinishedRequest) -> None:
        """Note a request."""


class RequestLog:
    """Logs each request as one record."""

    def finished(self, request: FinishedRequest) -> None:
        """Log a request."""
        fields = {
            "method": request.method,
            "route": request.route,
            "status": request.status,
            "seconds": round(request.seconds, 4),
            "key": request.caller,
        }
        log.info("request", extra=fields)


class Observing:
    """An ASGI middleware that tells observers of each request."""

    def __init__(self, app: ASGIApp, observers: Sequence[RequestObserver]) -> None:
        """Tell these."""
        self._app, self._observers = app, observers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and tell how it ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Any other end than those below is answered further out, where no exception passes.
        status, sent, began, began_ns = BROKEN, CUT_OFF, time.monotonic(), time.time_ns()

        async def note_status(message: Message) -> None:
            nonlocal sent
            if message["type"] == "http.response.start":
                sent = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note_status)
            status = sent
        except (ClientDisconnect, CancelledError):
            status = sent
            raise
        finally:
            seconds = time.monotonic() - began
            self._tell(scope, status, seconds, began_ns)

    def _tell(self, scope: Scope, status: int, seconds: float, began_ns: int) -> None:
        caller = scope.get("state", {}).get("caller")
        finished = FinishedRequest(
            scope["method"],
            getattr(scope.get("route"), "path", NO_ROUTE),
            status,
            seconds,
            caller.name if isinstance(caller, Caller) else "",
            began_ns,
        )
        for observer in self._observers:
            observer.finished(finished)
