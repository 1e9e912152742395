"""Requests that ask the same of the same pixels share one answer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from shenhe.engines.base import EngineSpec
from shenhe.engines.local.preprocessing import Opened
from shenhe.engines.options import LocalOptions
from shenhe.messages import Answer, Grammar, Request, RequestFailed

REMEMBERED = 4096
"""So many answers are kept for requests to come."""


class _Question(NamedTuple):
    """Everything that decides an answer, where nothing is drawn."""

    digest: bytes
    max_new_tokens: int
    choices: tuple[str, ...]
    grammar: Grammar | None


class Sharing:
    """Which requests are being answered, and which wait for the answer of another."""

    def __init__(self, spec: EngineSpec[LocalOptions], most: int) -> None:
        """Let at most so many requests wait: whoever asks for more is told to come again."""
        self._spec, self._most = spec, most
        self._asked: dict[str, _Question] = {}
        self._waiting: dict[_Question, list[Request]] = {}
        self._answers: OrderedDict[_Question, Answer] = OrderedDict()

    def asked(
        self, source: Iterator[Opened | RequestFailed]
    ) -> Iterator[Opened | Answer | RequestFailed | None]:
        """Yield what must be answered, what is answered already, and None for: later."""
        for opened in source:
            if isinstance(opened, RequestFailed):
                yield opened
                continue
            request = opened.request
            if self._spec.temperature_of(request):
                yield opened
                continue
            question = _Question(
                opened.digest, request.max_new_tokens, request.choices, request.grammar
            )
            if question in self._answers:
                self._answers.move_to_end(question)
                yield _for(request, self._answers[question])
            elif question in self._waiting:
                self._waiting[question].append(request)
                while sum(map(len, self._waiting.values())) >= self._most:
                    yield None
            else:
                self._waiting[question] = []
                self._asked[request.key] = question
                yield opened

    def told(self, result: Answer | RequestFailed) -> Iterator[Answer | RequestFailed]:
        """Yield an answer, and those of all who waited for it."""
        yield result
        question = self._asked.pop(result.key, None)
        if question is None:
            return
        for request in self._waiting.pop(question):
            yield _for(request, result)
        if isinstance(result, Answer):
            self._answers[question] = result
            if len(self._answers) > REMEMBERED:
                self._answers.popitem(last=False)


def _for(request: Request, result: Answer | RequestFailed) -> Answer | RequestFailed:
    return replace(result, key=request.key, attempt=request.attempt)
