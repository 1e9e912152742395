"""Deduplication: requests with the same prompt and the same pixels share one answer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple, TypeVar

from shenhe.engines.base import EngineSpec
from shenhe.engines.growing_answer import Prepared
from shenhe.engines.options import EngineOptions
from shenhe.engines.sampling import sampling_of
from shenhe.messages import Answer, FreeGrammar, Grammar, Request, RequestFailed

PreparedType = TypeVar("PreparedType", bound=Prepared)
MAX_ANSWERS = 4096
"""Answers that are kept for later requests."""


class _Content(NamedTuple):
    """Everything that decides an answer without sampling."""

    digest: bytes
    max_new_tokens: int
    choices: tuple[str, ...]
    grammar: Grammar | FreeGrammar | None
    repetition_penalty: float
    stop: tuple[str, ...]
    top_logprobs: int | None


class Deduplicator:
    """Requests under way by content, and the requests that wait for their answers."""

    def __init__(self, spec: EngineSpec[EngineOptions], max_waiting: int) -> None:
        """Let at most `max_waiting` requests wait for the answers of others."""
        self._spec, self._max_waiting = spec, max_waiting
        self._running: dict[str, _Content] = {}
        self._waiting: dict[_Content, list[Request]] = {}
        self._answers: OrderedDict[_Content, Answer] = OrderedDict()

    def filter(
        self, source: Iterator[PreparedType | RequestFailed | None]
    ) -> Iterator[PreparedType | Answer | RequestFailed | None]:
        """Yield requests that must be answered, and results that are there already.

        None means that nothing can be taken now, as too many requests wait.
        """
        for prepared in source:
            if prepared is None or isinstance(prepared, RequestFailed):
                yield prepared
                continue
            request = prepared.request
            if request.streamed or sampling_of(request, self._spec).temperature:
                yield prepared
                continue
            content = self._content(prepared)
            if content in self._answers:
                self._answers.move_to_end(content)
                yield _result_for(request, self._answers[content])
            elif content in self._waiting:
                self._waiting[content].append(request)
                while sum(map(len, self._waiting.values())) >= self._max_waiting:
                    yield None
            else:
                self._waiting[content] = []
                self._running[request.key] = content
                yield prepared

    def _content(self, prepared: Prepared) -> _Content:
        request = prepared.request
        return _Content(
            prepared.digest,
            request.max_new_tokens,
            request.choices,
            request.grammar,
            sampling_of(request, self._spec).repetition_penalty,
            request.stop,
            request.top_logprobs,
        )

    def is_shared(self, key: str) -> bool:
        """Whether other requests wait for the answer to this one."""
        content = self._running.get(key)
        return content is not None and bool(self._waiting[content])

    def share(self, result: Answer | RequestFailed) -> Iterator[Answer | RequestFailed]:
        """Yield a result, and a copy for each request that waited for it."""
        yield result
        content = self._running.pop(result.key, None)
        if content is None:
            return
        for request in self._waiting.pop(content):
            yield _result_for(request, result)
        if isinstance(result, Answer):
            self._answers[content] = result
            if len(self._answers) > MAX_ANSWERS:
                self._answers.popitem(last=False)


def _result_for(request: Request, result: Answer | RequestFailed) -> Answer | RequestFailed:
    return replace(result, key=request.key, attempt=request.attempt)
