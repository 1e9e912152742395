"""A request that the model has: its pieces and its answer, awaited while its client is there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Final

from shenhe.engines.base import CANCELLED
from shenhe.errors import EngineError
from shenhe.messages import Answer, Piece, Request, RequestFailed
from shenhe.service.hub import ModelHub
from shenhe.service.refusals import RefusedError

LOOK_SECONDS: Final = 0.25
"""How often it is looked whether a client that gets nothing yet is still there."""
AGAIN_SECONDS: Final = 5.0
STATUS_OF: Final = {"out_of_memory": 503, "engine_crash": 500, "interrupted": 500, CANCELLED: 499}
"""Statuses of failures that are not the request's own fault."""


class AskedModel:
    """One request that a hub has; `leave` gives it up if it has not ended.

    Example:
        asked = AskedModel(hub, request)
        while (piece := await asked.next_piece()) is not None: ...
        answer = asked.answer()

    """

    def __init__(self, hub: ModelHub, request: Request) -> None:
        """Hand the request in, from the event loop that its answer is awaited in.

        Raises: RefusedError where there is no model.
        """
        self._hub, self._request = hub, request
        self._arrived: asyncio.Queue[Piece | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def arrive(piece: Piece | None) -> None:
            with suppress(RuntimeError):  # the loop has ended, and with it whoever waited
                loop.call_soon_threadsafe(self._arrived.put_nowait, piece)

        try:
            self._future = hub.submit(request, emit=arrive)
        except EngineError as error:
            raise RefusedError(503, "no_model", str(error), AGAIN_SECONDS) from error
        self._future.add_done_callback(lambda _: arrive(None))

    def leave(self) -> None:
        """Give the request up if it has not ended."""
        if not self._future.done():
            self._hub.cancel(self._request.key)

    async def next_piece(
        self, is_gone: Callable[[], Awaitable[bool]] | None = None
    ) -> Piece | None:
        """Wait for a piece; None at the end of the answer, or once the client is gone."""
        while is_gone is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    return await self._arrived.get()
            if await is_gone():
                return None
        return await self._arrived.get()

    def answer(self) -> Answer:
        """Give the answer, which must be there.

        Raises: RefusedError if it failed, or nobody has waited for it.
        """
        if not self._future.done():
            raise RefusedError(499, CANCELLED, "the client has gone")
        try:
            result = self._future.result()
        except EngineError as error:
            raise RefusedError(503, "no_model", str(error), AGAIN_SECONDS) from error
        except CancelledError as error:
            raise RefusedError(499, CANCELLED, "the client has gone") from error
        if isinstance(result, RequestFailed):
            status = STATUS_OF.get(result.code, 400)
            raise RefusedError(status, result.code, result.message)
        return result
