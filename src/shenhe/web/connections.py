"""Connections of a server: who sends no request, or reads no answer, does not keep a place."""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

FILES: Final = 16_384
"""Files that a process asks to have open at once: many systems allow 1,024 unasked."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a connection may do nothing, and how many there are at once.

    `head_seconds` from a connection, or the end of an answer, to the end of the next request's
    head; `unread_seconds` without `progress_bytes` of an answer being taken. Units: seconds, bytes.

    Example:
        Bounds(head_seconds=5)

    """

    connections: int = 1000
    head_seconds: float = 20.0
    unread_seconds: float = 30.0
    progress_bytes: int = 4_000
    look_seconds: float = 1.0


class BoundedProtocol(H11Protocol):
    """A connection that ends when its peer is silent, or does not read.

    Where all places are taken, a new one has the place of one without a request: of the peer that
    has the largest number of connections, the one that is silent for longest.
    """

    bounds: ClassVar[Bounds] = Bounds()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to look after a connection."""
        super().connection_made(transport)
        self._idle: tuple[RequestResponseCycle | None, float] | None = None
        self._unread: tuple[int, float] | None = None
        self._look_later()
        if len(self.connections) > self.bounds.connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the connection."""
        self._timer.cancel()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        """Note that much was read."""
        self._unread = None
        super().resume_writing()

    @property
    def peer(self) -> str:
        """The address at the other end; empty where it has none."""
        return self.client[0] if self.client else ""

    @property
    def is_busy(self) -> bool:
        """Whether a request is answered, or an answer not yet sent."""
        is_asked = self.cycle is not None and not self.cycle.response_complete
        return is_asked or bool(self.transport.get_write_buffer_size())

    def idle_seconds(self) -> float:
        """Give for how long there has been no request. Units: seconds."""
        now = self.loop.time()
        if self.is_busy:
            self._idle = None
            return 0.0
        if self._idle is None or self._idle[0] is not self.cycle:
            self._idle = (self.cycle, now)
        return now - self._idle[1]

    def _look_later(self) -> None:
        self._timer = self.loop.call_later(self.bounds.look_seconds, self._look)

    def _look(self) -> None:
        if self._is_unread() or self.idle_seconds() > self.bounds.head_seconds:
            self.transport.abort()
        else:
            self._look_later()

    def _is_unread(self) -> bool:
        """Whether its peer has taken nothing for too long of what waits to be sent."""
        size, now = self.transport.get_write_buffer_size(), self.loop.time()
        if not size:
            self._unread = None
        elif self._unread is None or size <= self._unread[0] - self.bounds.progress_bytes:
            self._unread = (size, now)
        return self._unread is not None and now - self._unread[1] > self.bounds.unread_seconds

    def _make_room(self) -> None:
        """End a connection without a request; where there is none, this one is refused later."""
        count = Counter(each.peer for each in self.connections if isinstance(each, BoundedProtocol))
        silent = [
            ((count[each.peer], each.idle_seconds()), each)
            for each in self.connections
            if isinstance(each, BoundedProtocol) and each is not self and not each.is_busy
        ]
        if silent:
            ended = max(silent, key=lambda ranked: ranked[0])[1]
            self.connections.discard(ended)
            ended.transport.abort()


def configure(
    app: ASGIApp,
    grace_seconds: int,
    proxies: list[str] | None = None,
    protocol: type[BoundedProtocol] = BoundedProtocol,
) -> uvicorn.Config:
    """Configure a server; `proxies` are believed who came to them, and nobody else is.

    Units: `grace_seconds`, how long requests under way have to end with the server, in seconds.

    Example:
        uvicorn.Server(configure(app, 20)).run(sockets=[listening])

    """
    _ask_for_files()
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        log_level="warning",
        timeout_graceful_shutdown=grace_seconds,
        timeout_keep_alive=20,
        limit_concurrency=protocol.bounds.connections + 1,
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
    )


def _ask_for_files() -> None:
    """Have room for all connections beside the files of the process itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FILES:
        limit = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
