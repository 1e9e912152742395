"""An engine whose answers are written beforehand and whose source may have none at the moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable, Iterator

from shenhe.engines.base import CANCELLED, ServingEngine
from shenhe.messages import Answer, Piece, Request, RequestFailed, Served
from tests.scripted import Script, ScriptedEngine


class PacedScript(ServingEngine):
    """Answers by a function, at most so many at once; `gate` holds its answers back while shut.

    A streamed answer leaves character by character.
    """

    def __init__(self, script: Script, batch_size: int = 4) -> None:
        self.scripted = ScriptedEngine(script, batch_size)
        self.fingerprint = "scripted"
        self.batch_size = batch_size
        self.asked: list[Request] = []
        self.cancelled: list[str] = []
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
                yield from self._one(batch.pop(0))
            else:
                time.sleep(0.001)

    def _one(self, request: Request) -> Iterator[Served]:
        (result,) = self.scripted.answer([request])
        if request.streamed and isinstance(result, Answer):
            for letter in result.text:
                if request.key in self.cancelled:
                    yield RequestFailed(request.key, CANCELLED, "nobody waits")
                    return
                yield Piece(request.key, letter)
        yield result

    def cancel(self, key: str) -> None:
        self.cancelled.append(key)

    def close(self) -> None:
        self.is_closed = True
