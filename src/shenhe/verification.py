"""Comparison of a merged checkpoint with its base and the adapters at run time."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from shenhe.config import load_missions, load_prompts
from shenhe.engines.base import EngineSpec
from shenhe.engines.local.engine import LocalEngine
from shenhe.engines.options import Dtype, LocalOptions
from shenhe.errors import UsageError
from shenhe.locations import Location
from shenhe.messages import Answer, Request
from shenhe.stages import caption, summary

ANSWER_TOKENS = 160
TIMES_ROUNDING = 4.0
"""Accepted difference of logits, as a multiple of the difference that the dtype alone makes:
merging rounds the weights once more."""
FLOAT32_ROUNDING = 1e-3
"""Lower bound of that difference. Units: logits."""


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """Difference of two models in next-token logits and greedy answers. Units: logits.

    `rounding` is the difference that the dtype alone makes, against float32, to base and adapters.
    `different_answers` lists prompts with different answers, and the first difference in each.
    """

    prompts: int
    max_difference: float
    rounding: float
    different_answers: tuple[str, ...]

    @property
    def tolerance(self) -> float:
        """The largest difference that rounding explains."""
        return TIMES_ROUNDING * max(self.rounding, FLOAT32_ROUNDING)

    @property
    def matches(self) -> bool:
        """Whether rounding explains the difference."""
        return self.max_difference <= self.tolerance


@dataclass(frozen=True, slots=True)
class _Outputs:
    """Next-token logits and greedy answers by prompt. Shape: logits (vocabulary,)."""

    logits: dict[str, torch.Tensor]
    texts: dict[str, str]


def compare_models(
    merged: str,
    base: str,
    adapters: Sequence[str],
    photos: Sequence[Location],
    dtype: Dtype = "auto",
) -> ModelComparison:
    """Compare a checkpoint with its base and adapters on photos, one model in memory at a time.

        compare_models("merged", "base", ["adapter"], [Path("1.jpg")]).matches

    Raises: UsageError without photos; CheckpointError, AdapterError, EngineError, PhotoError.
    """
    if not photos:
        raise UsageError("no photos to compare on")
    requests = _create_requests(photos)
    merged_outputs = _run_model(_spec(merged, (), dtype), requests)
    tuned = _spec(base, adapters, dtype)
    tuned_outputs = _run_model(tuned, requests)
    exact_outputs = _run_model(_spec(base, adapters, "float32"), requests, answers=False)
    different_answers = [
        f"{key}: {describe_difference(text, tuned_outputs.texts[key])}"
        for key, text in merged_outputs.texts.items()
        if text != tuned_outputs.texts[key]
    ]
    return ModelComparison(
        len(requests),
        _max_difference(merged_outputs.logits, tuned_outputs.logits),
        _max_difference(tuned_outputs.logits, exact_outputs.logits),
        tuple(different_answers),
    )


def _spec(model: str, adapters: Sequence[str], dtype: Dtype) -> EngineSpec[LocalOptions]:
    # A grammar could hide a difference.
    engine = LocalOptions(dtype=dtype)
    return EngineSpec(model=model, adapters=tuple(adapters), constrain=False, engine=engine)


def _create_requests(photos: Sequence[Location]) -> list[Request]:
    prompts, mission = load_prompts(), next(iter(load_missions()))
    requests = []
    for photo in photos:
        key = f"caption of {photo.name}"
        requests.append(caption.request(key, [photo], prompts.caption, ANSWER_TOKENS))
        key = f"line of {photo.name}"
        requests.append(summary.request(key, photo, mission, prompts.summary, ANSWER_TOKENS))
    return requests


def _run_model(
    spec: EngineSpec[LocalOptions], requests: Sequence[Request], *, answers: bool = True
) -> _Outputs:
    engine = LocalEngine(spec)
    logits = {request.key: engine.next_logits(request) for request in requests}
    texts = collect_texts(engine, requests) if answers else {}
    del engine
    gc.collect()
    return _Outputs(logits, texts)


def collect_texts(engine: LocalEngine, requests: Sequence[Request]) -> dict[str, str]:
    """Answer requests, and return the texts, or the messages of failures, by key.

    Raises: EngineError.
    """
    return {
        answer.key: answer.text if isinstance(answer, Answer) else answer.message
        for answer in engine.answer(requests)
    }


def _max_difference(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    return max((first[key] - second[key]).abs().max().item() for key in first)


def first_difference(first: Sequence[object], second: Sequence[object]) -> int:
    """Find the index of the first difference; the shorter length if one begins the other."""
    return next(
        (index for index, (a, b) in enumerate(zip(first, second, strict=False)) if a != b),
        min(len(first), len(second)),
    )


def describe_difference(first: str, second: str) -> str:
    """Describe the first difference of two texts."""
    start = first_difference(first, second)
    end = start + 12
    return f"at character {start}, {first[start:end]!r} against {second[start:end]!r}"
