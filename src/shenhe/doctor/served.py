"""A server: what it has, what it takes, and what it answers, free and held to a format."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

from shenhe.checkpoints.check import Finding
from shenhe.doctor.answers import budget, caption_requests, geometry, lines, summary_requests
from shenhe.doctor.subject import Subject
from shenhe.engines.server import ServerEngine
from shenhe.messages import Answer, RequestFailed
from shenhe.secrecy import redact_url


def check_server(subject: Subject) -> Iterator[Finding]:
    """Find out what a server can do, and ask it for captions and lines."""
    with closing(ServerEngine(subject.server)) as engine:
        dialect, name = engine.dialect, engine.fingerprint
    address = redact_url(str(subject.server.engine.base_url))
    yield Finding("ok", f"{address} has {subject.spec.model}, known as {name}")
    if dialect.form is not None:
        yield Finding("ok", f"holds answers to a format, by {dialect.form}")
    else:
        yield Finding(
            "warning",
            "does not hold answers to a format: malformed ones are asked for again",
            "vLLM, SGLang and LMDeploy do, or --engine local and --engine vllm",
        )
    if dialect.top_logprobs:
        yield Finding(
            "ok", f"tells the odds of {dialect.top_logprobs} tokens: verdicts have p_pass"
        )
    else:
        yield Finding(
            "warning",
            "tells no log-probabilities: verdicts have no p_pass",
            "no --pass-above and --fail-below with this server",
        )
    if not dialect.extras:
        told = "takes no skip_special_tokens: a checkpoint that writes box tokens loses them here"
        yield Finding("warning", told)
    if not subject.load or not subject.photos:
        return
    # What the model says by itself: held to a format it shows no fault.
    with closing(ServerEngine(replace(subject.server, constrain=False))) as engine:
        captions, asked = caption_requests(subject), summary_requests(subject)
        began = time.monotonic()
        said = {result.key: result for result in engine.answer([*captions, *asked])}
        seconds = time.monotonic() - began
    for failed in (one for one in said.values() if isinstance(one, RequestFailed)):
        yield Finding("error", f"{failed.key}: {failed.message}", "see the server's own log")
    written = [one for one in said.values() if isinstance(one, Answer)]
    yield from geometry([said[request.key] for request in captions])
    yield from lines([said[request.key] for request in asked])
    yield budget(written, subject.max_new_tokens)
    tokens = sum(answer.new_tokens for answer in written)
    yield Finding("ok", f"{len(written)} answers, {tokens} tokens in {seconds:.1f} s")
