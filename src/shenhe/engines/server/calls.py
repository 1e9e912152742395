"""Requests under way at a server: their answers and pieces in the order in which they arrive."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue

from shenhe.engines.base import IDLE_SECONDS
from shenhe.engines.cancelling import Cancellations, cancelled
from shenhe.engines.server.background import BackgroundLoop
from shenhe.engines.server.client import Client
from shenhe.engines.server.codec import Codec
from shenhe.engines.streaming import Streams
from shenhe.messages import Answer, Piece, Request, RequestFailed, Served

Result = Answer | RequestFailed


class Calls:
    """The calls of one `serve`."""

    def __init__(
        self, loop: BackgroundLoop, client: Client, codec: Codec, cancelled: Cancellations
    ) -> None:
        """Send by a client, which lives in a loop."""
        self._loop, self._client, self._codec, self._cancelled = loop, client, codec, cancelled
        self._pending: dict[str, tuple[Request, Future[Result]]] = {}
        self._arrived: SimpleQueue[tuple[Request, str | Future[Result]]] = SimpleQueue()
        self._streams = Streams()
        self._paced = False

    @property
    def count(self) -> int:
        """Number of calls without a result."""
        return len(self._pending)

    def start(self, request: Request) -> None:
        """Send a request."""
        arrived = partial(self._note, request)
        answering = (
            self._client.answer_in_pieces(request, self._codec, arrived)
            if request.streamed
            else self._client.answer(request, self._codec)
        )
        future = self._loop.submit(answering)
        self._pending[request.key] = request, future
        future.add_done_callback(arrived)

    def wait(self, *, paced: bool) -> Iterator[Served]:
        """Wait for somearrival to arrive, in pauses of the source a moment only, and yield it.

        Raises: EngineError.
        """
        self._paced = self._paced or paced
        if self._cancelled:
            for key in [key for key in self._pending if key in self._cancelled]:
                self._pending[key][1].cancel()
        with suppress(Empty):
            request, arrival = self._arrived.get(timeout=IDLE_SECONDS if self._paced else None)
            yield from self._read(request, arrival)

    def cancel(self) -> None:
        """Drop all calls."""
        for _, future in self._pending.values():
            future.cancel()

    def _note(self, request: Request, arrival: str | Future[Result]) -> None:
        self._arrived.put((request, arrival))

    def _read(self, request: Request, arrival: str | Future[Result]) -> Iterator[Served]:
        if isinstance(arrival, str):
            yield from self._streams.add(Piece(request.key, arrival))
            return
        del self._pending[request.key]
        self._cancelled.forget(request.key)
        try:
            result = arrival.result()
        except CancelledError:
            result = cancelled(request)
        yield from self._streams.end(result, streamed=request.streamed)
