"""Checks of a model that is loaded here: its answers, and the time of a token."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from shenhe.checkpoints.findings import Finding
from shenhe.doctor.answers import ask, caption_requests, check_replies
from shenhe.doctor.subject import Subject
from shenhe.doctor.timing import seconds_per_token
from shenhe.engines.local.engine import LocalEngine
from shenhe.messages import Request

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
    seconds = seconds_per_token(engine, request)
    if seconds is None:
        return
    message = f"{seconds * 1e3:.1f} ms a token, one answer at a time"
    if not subject.spec.adapters or subject.local.engine.quantize:
        yield Finding("ok", message)
        return
    engine.merge_adapters()
    merged_seconds = seconds_per_token(engine, request)
    if merged_seconds is None:
        yield Finding("ok", message)
        return
    speedup = seconds / merged_seconds
    message += f"; with the adapters merged {merged_seconds * 1e3:.1f} ms"
    if speedup > MIN_SPEEDUP:
        yield Finding("warning", f"{message}: {speedup:.1f} times faster", "shenhe merge")
    else:
        yield Finding("ok", message)
