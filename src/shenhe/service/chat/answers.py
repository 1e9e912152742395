"""Answers as OpenAI's protocol has them: completions, chunks of streams, log-probabilities."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from shenhe.messages import Answer, Piece, TokenLogprob

Body = dict[str, object]
SPECIAL: Final = re.compile(r"<\|[a-z_]{1,40}\|>")
"""Special tokens of Qwen's checkpoints."""


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """How the answer to one request is written.

    Example:
        ChatAnswer("chatcmpl-1", 1_700_000_000, "qwen3-vl-4b", "f3a1...").completion(answer)

    """

    key: str
    created: int
    model: str
    fingerprint: str
    has_logprobs: bool = False
    keeps_special: bool = False
    usage: bool = False

    def completion(self, answer: Answer) -> Body:
        """Write a whole completion."""
        choice: Body = {
            "index": 0,
            "message": {"role": "assistant", "content": self._text(answer.text)},
            "logprobs": self._logprobs(answer.token_logprobs),
            **ending(answer),
        }
        return self._body("chat.completion", [choice]) | {"usage": usage_of(answer)}

    def first_chunk(self) -> Body:
        """Write the chunk that a stream begins with."""
        return self._chunk({"role": "assistant", "content": ""})

    def chunk(self, piece: Piece) -> Body:
        """Write a piece of an answer."""
        return self._chunk({"content": self._text(piece.text)}, piece.token_logprobs)

    def last_chunks(self, answer: Answer) -> Iterator[Body]:
        """Write what a stream ends with: why the answer ended, and what it took."""
        last, usage = self._chunk({}, end=ending(answer)), {"usage": usage_of(answer)}
        if self.usage:
            yield last
            yield self._body("chat.completion.chunk", []) | usage
        else:
            yield last | usage  # where ms-swift's client looks for it

    def _chunk(
        self, delta: Body, logprobs: Sequence[TokenLogprob] = (), end: Body | None = None
    ) -> Body:
        choice: Body = {
            "index": 0,
            "delta": delta,
            "logprobs": self._logprobs(logprobs) if logprobs else None,
            "finish_reason": None,
            **(end or {}),
        }
        body = self._body("chat.completion.chunk", [choice])
        return body | {"usage": None} if self.usage else body

    def _body(self, kind: str, choices: list[Body]) -> Body:
        return {
            "id": self.key,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            "choices": choices,
        }

    def _text(self, text: str) -> str:
        return text if self.keeps_special else SPECIAL.sub("", text)

    def _logprobs(self, tokens: Sequence[TokenLogprob]) -> Body | None:
        if not self.has_logprobs:
            return None
        return {"content": [_logprob(token) for token in tokens]}


def ending(answer: Answer) -> Body:
    """Say why an answer ended; a loop is cut off, and named beside that.

    >>> ending(Answer("a", "", "loop", 1, 1))
    {'finish_reason': 'length', 'stop_reason': 'loop'}
    """
    if answer.finish_reason == "loop":
        return {"finish_reason": "length", "stop_reason": "loop"}
    return {"finish_reason": answer.finish_reason, "stop_reason": None}


def usage_of(answer: Answer) -> Body:
    """Count the tokens of an answer and its prompt.

    >>> usage_of(Answer("a", "通过", "stop", 10, 2))["total_tokens"]
    12
    """
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.new_tokens,
        "total_tokens": answer.prompt_tokens + answer.new_tokens,
    }


def _logprob(token: TokenLogprob) -> Body:
    return _named(token) | {"top_logprobs": [_named(other) for other in token.top]}


def _named(token: TokenLogprob) -> Body:
    return {"token": token.text, "logprob": min(token.logprob, 0.0), "bytes": list(token.raw)}
