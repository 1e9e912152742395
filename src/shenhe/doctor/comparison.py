"""Comparison of two engines or checkpoints: the first difference in tokens, pixels and answers."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from shenhe.checkpoints.findings import Finding
from shenhe.doctor.answers import caption_requests, summary_requests
from shenhe.doctor.subject import Subject
from shenhe.engines.base import EngineSpec
from shenhe.engines.local.engine import LocalEngine, PreparedPrompt
from shenhe.engines.options import LocalOptions
from shenhe.errors import spelled
from shenhe.messages import Request
from shenhe.verification import collect_texts, describe_difference, first_difference

TOKENIZER = "copy tokenizer.json, tokenizer_config.json and chat_template.jinja from the base"
PIXELS = "copy preprocessor_config.json from the base, and use the same"
WEIGHTS = "same prompts, same pixels: the weights differ; shenhe verify compares them"


@dataclass(frozen=True, slots=True)
class _ModelRun:
    """Inputs and answers of one model, by request key."""

    prompts: dict[str, PreparedPrompt]
    tokens: dict[str, list[str]]
    texts: dict[str, str]


def compare_engines(subject: Subject) -> Iterator[Finding]:
    """Compare prompt token ids, then pixel inputs, then greedy answers."""
    if subject.compare_with is None or not subject.load:
        return
    requests = [*caption_requests(subject), *summary_requests(subject)]
    first = _run_model(subject.local, requests)
    second = _run_model(subject.compare_with, requests)
    yield _compare_tokens(requests, first, second)
    yield _compare_pixels(requests, first, second)
    yield _compare_answers(requests, first, second)


def _run_model(spec: EngineSpec[LocalOptions], requests: Sequence[Request]) -> _ModelRun:
    engine = LocalEngine(replace(spec, constrain=False))
    prompts = {request.key: engine.prepare(request) for request in requests}
    texts = collect_texts(engine, requests)
    tokens = {key: engine.token_names(prompt.token_ids) for key, prompt in prompts.items()}
    del engine
    gc.collect()
    return _ModelRun(prompts, tokens, texts)


def _compare_tokens(requests: Sequence[Request], first: _ModelRun, second: _ModelRun) -> Finding:
    for request in requests:
        key = request.key
        first_ids, second_ids = first.prompts[key].token_ids, second.prompts[key].token_ids
        if first_ids == second_ids:
            continue
        index = first_difference(first_ids, second_ids)
        tokens = (
            f"{_describe_token(first, key, index)} against {_describe_token(second, key, index)}"
        )
        message = f"prompt tokens differ: {key}: at {index} {tokens}"
        return Finding("error", message, TOKENIZER)
    return Finding("ok", f"the same prompt tokens in {len(requests)} requests")


def _describe_token(run: _ModelRun, key: str, index: int) -> str:
    ids = run.prompts[key].token_ids
    return f"{ids[index]} ({run.tokens[key][index]!r})" if index < len(ids) else "the end"


def _compare_pixels(requests: Sequence[Request], first: _ModelRun, second: _ModelRun) -> Finding:
    for request in requests:
        key = request.key
        prompt, expected = first.prompts[key], second.prompts[key]
        if prompt.grids != expected.grids:
            message = f"pixels differ: {key}: patches {prompt.grids} against {expected.grids}"
            return Finding("error", message, f"{PIXELS} {spelled('max_pixels')}")
        if not torch.equal(prompt.pixels, expected.pixels):
            difference = (prompt.pixels - expected.pixels).abs().max().item()
            message = f"pixels differ: {key}: by at most {difference:.3g}, same size"
            return Finding("error", message, f"{PIXELS} {spelled('max_pixels')}")
    return Finding("ok", f"the same pixels in {len(requests)} requests")


def _compare_answers(requests: Sequence[Request], first: _ModelRun, second: _ModelRun) -> Finding:
    keys = [request.key for request in requests]
    different = [key for key in keys if first.texts[key] != second.texts[key]]
    message = f"{len(keys) - len(different)} of {len(keys)} greedy answers are the same"
    if not different:
        return Finding("ok", message)
    key = different[0]
    difference = describe_difference(first.texts[key], second.texts[key])
    return Finding("error", f"{message}; {key}: {difference}", WEIGHTS)
