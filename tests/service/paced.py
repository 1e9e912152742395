"""An engine whose answers are written beforehand and whose source may have none at the moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable

from shenhe.errors import EngineError
from shenhe.messages import Request, Served
from tests.scripted import Script, ScriptedEngine


class PacedScript(ScriptedEngine):
    """Answers by a function, at most so many at once; `gate` holds its answers back while shut."""

    def __init__(self, script: Script, batch_size: int = 4) -> None:
        super().__init__(script, batch_size)
        self.gate = threading.Event()
        self.gate.set()
        self.largest = 0
        self.is_closed = False

    def serve(self, requests: Iterable[Request | None]) -> Generator[Served, None, None]:
        source, ended = iter(requests), False
        batch: list[Request] = []
        while not ended or batch:
            while not ended and len(batch) < self.batch_size:
                try:
                    request = next(source)
                except StopIteration:
                    ended = True
                    break
                if request is None:
                    break
                self.asked.append(request)
                batch.append(request)
            self.largest = max(self.largest, len(batch))
            if batch and self.gate.is_set():
                yield self._one(batch.pop(0))
            else:
                time.sleep(0.001)

    def close(self) -> None:
        self.is_closed = True


def dying(request: Request) -> str:
    """A script of a model that fails at every question."""
    raise EngineError(f"the model failed at {request.key}")
