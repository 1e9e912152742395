"""What the model does when it is asked: loads, writes what is wanted, how fast, cut or not."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from shenhe.checkpoints.check import Finding
from shenhe.doctor.subject import Subject
from shenhe.engines.local.engine import LocalEngine
from shenhe.errors import FormatError
from shenhe.messages import Answer, Request
from shenhe.stages import caption, summary

TIMED_TOKENS, REPEATS = 32, 3
WORTH_MERGING = 1.1


def check_answers(subject: Subject) -> Iterator[Finding]:
    """Load the model and ask it for captions and lines."""
    if not subject.load or not subject.photos:
        return
    began = time.monotonic()
    # What the model says by itself: held to a format it shows no fault; guesses hide its speed.
    engine_options = replace(subject.local.engine, speculate=False)
    engine = LocalEngine(replace(subject.local, constrain=False, engine=engine_options))
    yield Finding("ok", f"loads in {time.monotonic() - began:.1f} s")
    captions, asked = caption_requests(subject), summary_requests(subject)
    said = {result.key: result for result in engine.answer([*captions, *asked])}
    written = [found for found in said.values() if isinstance(found, Answer)]
    yield from geometry([said[request.key] for request in captions])
    yield from lines([said[request.key] for request in asked])
    yield budget(written, subject.max_new_tokens)
    yield from _speed(engine, subject, captions[0])


def caption_requests(subject: Subject) -> list[Request]:
    """Ask for the dense caption of each photo."""
    template, limit = subject.prompts.caption, subject.max_new_tokens
    return [
        caption.request(f"caption of {path}", [path], template, limit) for path in subject.photos
    ]


def summary_requests(subject: Subject) -> list[Request]:
    """Ask for the line of each photo, for the first mission."""
    mission, template = next(iter(subject.missions)), subject.prompts.summary
    return [
        summary.request(f"line of {path}", path, mission, template, subject.max_new_tokens)
        for path in subject.photos
    ]


def geometry(found: list[Any]) -> Iterator[Finding]:
    """Tell whether captions hold geometry that can be read."""
    good, bad = _read(found, caption.read)
    if not bad:
        yield Finding("ok", f"{good} captions of {good} have geometry that can be read")
        return
    answer, error = bad[0]
    told = f"{len(bad)} of {len(found)} captions cannot be read: {error}: {answer.text[:60]!r}"
    if any("{" in answer.text for answer, _ in bad):
        yield Finding("error", told, "see `prompt` above; shenhe check caption tells what is wrong")
        return
    remedy = "trained on summaries only? then summarize, judge and run are what it can do"
    yield Finding("warning", f"no geometry: {told}", remedy)


def lines(found: list[Any]) -> Iterator[Finding]:
    """Tell whether Stage-A lines can be read."""
    good, bad = _read(found, summary.read)
    if bad:
        answer, error = bad[0]
        told = f"{len(bad)} of {len(found)} lines cannot be read: {error}: {answer.text[:60]!r}"
        remedy = "trained on captions only? then caption is what it can do; or see `prompt` above"
        yield Finding("warning", told, remedy)
    else:
        yield Finding("ok", f"{good} Stage-A lines of {good} can be read")


def _read(
    found: list[Any], read: Callable[[Answer], object]
) -> tuple[int, list[tuple[Answer, FormatError]]]:
    good, bad = 0, []
    for answer in found:
        if not isinstance(answer, Answer):
            continue
        try:
            read(answer)
        except FormatError as error:
            bad.append((answer, error))
        else:
            good += 1
    return good, bad


def budget(written: list[Answer], limit: int) -> Finding:
    """Tell whether the token limit is large enough."""
    cut = sum(answer.finish_reason == "length" for answer in written)
    longest = max((answer.new_tokens for answer in written), default=0)
    told = f"the longest of {len(written)} answers has {longest} tokens, the limit is {limit}"
    if cut:
        return Finding("warning", f"{told}: it cut {cut}", "raise --max-new-tokens")
    return Finding("ok", told)


def _speed(engine: LocalEngine, subject: Subject, request: Request) -> Iterator[Finding]:
    """Measure a token's time, with adapters beside the weights and merged into them."""
    apart = _seconds_per_token(engine, request)
    told = f"{apart * 1e3:.1f} ms a token, one answer at a time"
    if not subject.spec.adapters or subject.local.engine.quantize:
        yield Finding("ok", told)
        return
    engine.merge_adapters()
    merged = _seconds_per_token(engine, request)
    ratio = apart / merged
    told += f"; with the adapters merged {merged * 1e3:.1f} ms"
    if ratio > WORTH_MERGING:
        yield Finding("warning", f"{told}: {ratio:.1f} times faster", "shenhe merge")
    else:
        yield Finding("ok", told)


def _seconds_per_token(engine: LocalEngine, request: Request) -> float:
    """Time the tokens after the first: what prefilling takes is not the matter here."""
    tries = []
    for _ in range(REPEATS):
        first, _ = _timed(engine, replace(request, max_new_tokens=1))
        whole, tokens = _timed(engine, replace(request, max_new_tokens=TIMED_TOKENS))
        tries.append((whole - first) / max(tokens - 1, 1))
    return max(statistics.median(tries), 1e-9)


def _timed(engine: LocalEngine, request: Request) -> tuple[float, int]:
    began = time.monotonic()
    (answer,) = engine.answer([request])
    return time.monotonic() - began, answer.new_tokens if isinstance(answer, Answer) else 0
