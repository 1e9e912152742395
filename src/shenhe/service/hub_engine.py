"""The model of a hub as the engine of one job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait

from shenhe.messages import Request
from shenhe.service.hub import ModelHub, Result
from shenhe.service.jobs import Lane


class HubEngine:
    """A hub as the engine of one job: its requests join those of all others."""

    def __init__(self, hub: ModelHub, lane: Lane) -> None:
        self._hub, self._lane = hub, lane
        self.was_asked = False

    def answer(self, requests: Iterable[Request]) -> Iterator[Result]:
        """Answer requests in the order in which they end; see Engine.

        Raises: EngineError.
        """
        waiting = {self._hub.submit(request, self._lane) for request in requests}
        self.was_asked = True
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            for future in waiting:
                future.cancel()
