"""Checks of a server: its model, the request fields it accepts, and its answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

from shenhe.checkpoints.findings import Finding
from shenhe.doctor.answers import ask, check_replies
from shenhe.doctor.subject import Subject
from shenhe.engines.budget import PhotoBudget
from shenhe.engines.server import ServerEngine
from shenhe.engines.server.dialect import Dialect
from shenhe.errors import spelled
from shenhe.messages import Answer
from shenhe.secrecy import redact_url


def check_server(subject: Subject) -> Iterator[Finding]:
    """Check the capabilities of a server, then its captions and Stage-A lines."""
    with closing(ServerEngine(subject.server)) as engine:
        dialect, name, budget = engine.dialect, engine.fingerprint, engine.budget
    address = redact_url(str(subject.server.engine.base_url))
    yield Finding("ok", f"{address} has {subject.spec.model}, known as {name}")
    if budget is not None:
        yield from _photos(budget)
    yield from _capabilities(dialect)
    if subject.load and subject.photos:
        yield from _answers(subject)


def _photos(budget: PhotoBudget) -> Iterator[Finding]:
    if budget.refusal:
        message, _, remedy = budget.refusal.partition(": ")
        yield Finding("error", message, remedy)
        return
    if budget.source:
        yield Finding("ok", f"photos are resized to {budget.described}: {budget.source}")
    for line in budget.warnings:
        message, _, remedy = line.rpartition(": ")
        yield Finding("warning", message, remedy)


def _capabilities(dialect: Dialect) -> Iterator[Finding]:
    if dialect.form is not None:
        yield Finding("ok", f"holds answers to a format, by {dialect.form}")
    else:
        yield Finding(
            "warning",
            "does not hold answers to a format: malformed ones are asked for again",
            "vLLM, SGLang, LMDeploy and llama.cpp do, or"
            f" {spelled('engine', 'local')} and {spelled('engine', 'vllm')}",
        )
    if dialect.top_logprobs:
        yield Finding(
            "ok", f"tells the odds of {dialect.top_logprobs} tokens: verdicts have p_pass"
        )
    else:
        yield Finding(
            "warning",
            "tells no log-probabilities: verdicts have no p_pass",
            f"no {spelled('pass_above')} and {spelled('fail_below')} with this server",
        )
    if not dialect.extras:
        yield Finding(
            "warning",
            "takes no skip_special_tokens: a checkpoint that writes box tokens loses them here",
        )


def _answers(subject: Subject) -> Iterator[Finding]:
    # A grammar would hide errors of the format.
    with closing(ServerEngine(replace(subject.server, constrain=False))) as engine:
        start = time.monotonic()
        replies = ask(engine, subject)
        seconds = time.monotonic() - start
    yield from check_replies(subject, replies, "see the server's own log")
    answers = [reply for reply in replies.values() if isinstance(reply, Answer)]
    tokens = sum(answer.new_tokens for answer in answers)
    yield Finding("ok", f"{len(answers)} answers, {tokens} tokens in {seconds:.1f} s")
