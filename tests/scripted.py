"""An engine whose answers are written beforehand, for what does not depend on a model."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator

from shenhe.geometry import Size
from shenhe.messages import Answer, ImagePart, PhotoSize, Request, RequestFailed
from shenhe.values import FAIL, PASS

Script = Callable[[Request], str | RequestFailed]


class ScriptedEngine:
    """Answers each request by a function, in batches, the later ones of a batch first."""

    def __init__(self, script: Script, batch_size: int = 4) -> None:
        self.script, self.batch_size = script, batch_size
        self.fingerprint = "scripted"
        self.asked: list[Request] = []

    def answer(self, requests: Iterable[Request]) -> Iterator[Answer | RequestFailed]:
        batch: list[Request] = []
        for request in requests:
            self.asked.append(request)
            batch.append(request)
            if len(batch) == self.batch_size:
                yield from map(self._one, reversed(batch))
                batch = []
        yield from map(self._one, reversed(batch))

    def stream(self, request: Request) -> Generator[str, None, Answer]:
        answer = self._one(request)
        assert isinstance(answer, Answer)
        yield from answer.text
        return answer

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
