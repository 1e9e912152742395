"""Two engines or checkpoints that answer differently: where they first part."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from shenhe.checkpoints.check import Finding
from shenhe.doctor.answers import caption_requests, summary_requests
from shenhe.doctor.subject import Subject
from shenhe.engines.base import EngineSpec
from shenhe.engines.local.engine import LocalEngine, PreparedPrompt
from shenhe.engines.options import LocalOptions
from shenhe.errors import spelled
from shenhe.messages import Answer, Request
from shenhe.verification import describe_difference, first_difference

TOKENIZER = "copy tokenizer.json, tokenizer_config.json and chat_template.jinja from the base"
PIXELS = "copy preprocessor_config.json from the base, and use the same"
WEIGHTS = "same prompts, same pixels: the weights differ; shenhe verify compares them"


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one model was given and what it wrote, by request."""

    prompts: dict[str, PreparedPrompt]
    tokens: dict[str, list[str]]
    texts: dict[str, str]


def compare_engines(subject: Subject) -> Iterator[Finding]:
    """Compare prompt token ids, then pixel inputs, then greedy answers."""
    if subject.compare_with is None or not subject.load:
        return
    requests = [*caption_requests(subject), *summary_requests(subject)]
    ours, theirs = _look(subject.local, requests), _look(subject.compare_with, requests)
    yield _same_tokens(requests, ours, theirs)
    yield _same_pixels(requests, ours, theirs)
    yield _same_answers(requests, ours, theirs)


def _look(spec: EngineSpec[LocalOptions], requests: Sequence[Request]) -> _Seen:
    engine = LocalEngine(replace(spec, constrain=False))
    prompts = {request.key: engine.prepare(request) for request in requests}
    texts = {
        answer.key: answer.text if isinstance(answer, Answer) else answer.message
        for answer in engine.answer(requests)
    }
    tokens = {key: engine.token_names(prompt.token_ids) for key, prompt in prompts.items()}
    del engine
    gc.collect()
    return _Seen(prompts, tokens, texts)


def _same_tokens(requests: Sequence[Request], ours: _Seen, theirs: _Seen) -> Finding:
    for request in requests:
        first, other = (seen.prompts[request.key].token_ids for seen in (ours, theirs))
        if first == other:
            continue
        at = first_difference(first, other)
        here, there = (_token(seen, request.key, at) for seen in (ours, theirs))
        told = f"prompt tokens differ: {request.key}: at {at} {here} against {there}"
        return Finding("error", told, TOKENIZER)
    return Finding("ok", f"the same prompt tokens in {len(requests)} requests")


def _token(seen: _Seen, key: str, at: int) -> str:
    ids = seen.prompts[key].token_ids
    return f"{ids[at]} ({seen.tokens[key][at]!r})" if at < len(ids) else "the end"


def _same_pixels(requests: Sequence[Request], ours: _Seen, theirs: _Seen) -> Finding:
    for request in requests:
        first, other = ours.prompts[request.key], theirs.prompts[request.key]
        if first.grids != other.grids:
            told = f"pixels differ: {request.key}: patches {first.grids} against {other.grids}"
            return Finding("error", told, f"{PIXELS} {spelled('max_pixels')}")
        if not torch.equal(first.pixels, other.pixels):
            largest = (first.pixels - other.pixels).abs().max().item()
            told = f"pixels differ: {request.key}: by at most {largest:.3g}, same size"
            return Finding("error", told, f"{PIXELS} {spelled('max_pixels')}")
    return Finding("ok", f"the same pixels in {len(requests)} requests")


def _same_answers(requests: Sequence[Request], ours: _Seen, theirs: _Seen) -> Finding:
    odd = [r.key for r in requests if ours.texts[r.key] != theirs.texts[r.key]]
    same = f"{len(requests) - len(odd)} of {len(requests)} greedy answers are the same"
    if not odd:
        return Finding("ok", same)
    where = describe_difference(ours.texts[odd[0]], theirs.texts[odd[0]])
    return Finding("error", f"{same}; {odd[0]}: {where}", WEIGHTS)
