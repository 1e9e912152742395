"""Checks of a model that is loaded here: its answers, and the time of a token."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace

from shenhe.checkpoints.findings import Finding
from shenhe.doctor.answers import ask, caption_requests, check_replies
from shenhe.doctor.subject import Subject
from shenhe.engines.local.engine import LocalEngine
from shenhe.messages import Answer, Request

TIMED_TOKENS, REPEATS = 32, 3
MIN_SPEEDUP = 1.1
"""Least speedup of merged adapters that is worth a warning."""


def check_answers(subject: Subject) -> Iterator[Finding]:
    """Load the model and check its captions and Stage-A lines."""
    if not subject.load or not subject.photos:
        return
    start = time.monotonic()
    # A grammar would hide errors of the format, and speculation the time of a token.
    engine_options = replace(subject.local.engine, speculate=False)
    engine = LocalEngine(replace(subject.local, constrain=False, engine=engine_options))
    yield Finding("ok", f"loads in {time.monotonic() - start:.1f} s")
    yield from check_replies(subject, ask(engine, subject))
    yield from _speed(engine, subject, caption_requests(subject)[0])


def _speed(engine: LocalEngine, subject: Subject, request: Request) -> Iterator[Finding]:
    """Measure the time of a token with adapters beside the weights and merged into them."""
    seconds = _seconds_per_token(engine, request)
    message = f"{seconds * 1e3:.1f} ms a token, one answer at a time"
    if not subject.spec.adapters or subject.local.engine.quantize:
        yield Finding("ok", message)
        return
    engine.merge_adapters()
    merged_seconds = _seconds_per_token(engine, request)
    speedup = seconds / merged_seconds
    message += f"; with the adapters merged {merged_seconds * 1e3:.1f} ms"
    if speedup > MIN_SPEEDUP:
        yield Finding("warning", f"{message}: {speedup:.1f} times faster", "shenhe merge")
    else:
        yield Finding("ok", message)


def _seconds_per_token(engine: LocalEngine, request: Request) -> float:
    """Measure the time of decoding a token, without prefill."""
    samples = []
    for _ in range(REPEATS):
        prefill, _ = _timed(engine, replace(request, max_new_tokens=1))
        total, tokens = _timed(engine, replace(request, max_new_tokens=TIMED_TOKENS))
        samples.append((total - prefill) / max(tokens - 1, 1))
    return max(statistics.median(samples), 1e-9)


def _timed(engine: LocalEngine, request: Request) -> tuple[float, int]:
    """Answer one request. Returns seconds and tokens."""
    start = time.monotonic()
    (reply,) = engine.answer([request])
    return time.monotonic() - start, reply.new_tokens if isinstance(reply, Answer) else 0
