"""The time of a token, one answer at a time, of any engine in this process."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace

from shenhe.engines.base import Engine
from shenhe.messages import Answer, Request

TIMED_TOKENS, REPEATS = 32, 3


def seconds_per_token(engine: Engine, request: Request) -> float | None:
    """Measure the time of decoding a token, without prefill; None if no answer has two.

        seconds_per_token(engine, caption_requests(subject)[0])

    Raises: EngineError.
    """
    samples = []
    for _ in range(REPEATS):
        prefill, _ = _timed(engine, replace(request, max_new_tokens=1))
        total, tokens = _timed(engine, replace(request, max_new_tokens=TIMED_TOKENS))
        if tokens < 2:  # the photo cannot be read, or the model has nothing to say
            return None
        samples.append((total - prefill) / (tokens - 1))
    return max(statistics.median(samples), 1e-9)


def _timed(engine: Engine, request: Request) -> tuple[float, int]:
    """Answer one request. Returns seconds and tokens."""
    start = time.monotonic()
    (reply,) = engine.answer([request])
    return time.monotonic() - start, reply.new_tokens if isinstance(reply, Answer) else 0
