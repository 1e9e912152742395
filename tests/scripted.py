"""An engine whose answers are written beforehand, for what does not depend on a model."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator

from shenhe.engines.base import IDLE_SECONDS, ServingEngine
from shenhe.geometry import Size
from shenhe.messages import Answer, ImagePart, PhotoSize, Piece, Request, RequestFailed, Served
from shenhe.values import FAIL, PASS

Script = Callable[[Request], str | RequestFailed]


class ScriptedEngine(ServingEngine):
    """Answers each request by a function, in batches, the later ones of a batch first."""

    def __init__(self, script: Script, batch_size: int = 4) -> None:
        self.script, self.batch_size = script, batch_size
        self.fingerprint = "scripted"
        self.asked: list[Request] = []

    def serve(self, requests: Iterable[Request | None]) -> Generator[Served, None, None]:
        batch: list[Request] = []
        for request in requests:
            if request is not None:
                self.asked.append(request)
                batch.append(request)
            elif not batch:
                time.sleep(IDLE_SECONDS)
            if request is None or len(batch) == self.batch_size:
                yield from self._results(batch)
                batch = []
        yield from self._results(batch)

    def cancel(self, key: str) -> None:
        pass

    def _results(self, batch: list[Request]) -> Iterator[Served]:
        for request in reversed(batch):
            result = self._one(request)
            if request.streamed and isinstance(result, Answer):
                yield from (Piece(request.key, character) for character in result.text)
            yield result

    def _one(self, request: Request) -> Answer | RequestFailed:
        text = self.script(request)
        if isinstance(text, RequestFailed):
            return text
        photos = [p for m in request.messages for p in m.parts if isinstance(p, ImagePart)]
        size = PhotoSize(Size(640, 512), Size(320, 256))
        logprobs = {PASS: -0.1, FAIL: -2.4} if request.choices else {}
        return Answer(
            request.key,
            text,
            "stop",
            prompt_tokens=10,
            new_tokens=len(text),
            sizes=(size,) * len(photos),
            choice_logprobs=logprobs,
            attempt=request.attempt,
        )
