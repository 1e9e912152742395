"""Whether a merged checkpoint is the same model as its base with the adapters at run time."""

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
"""Weights are rounded once more by merging, on top of what every computation in a dtype rounds:
logits may differ by so many times what the dtype alone makes of them."""
FLOAT32_ROUNDING = 1e-3


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """How far two models are apart. Units: logits.

    `rounding` is what the dtype alone does to the model with its adapters, against float32.
    """

    prompts: int
    max_difference: float
    rounding: float
    different_answers: tuple[str, ...]
    """Prompts whose greedy answers differ, each with the first place where they do."""

    @property
    def tolerance(self) -> float:
        """The largest difference that rounding explains."""
        return TIMES_ROUNDING * max(self.rounding, FLOAT32_ROUNDING)

    @property
    def matches(self) -> bool:
        """Whether nothing but rounding tells the two apart."""
        return self.max_difference <= self.tolerance


@dataclass(frozen=True, slots=True)
class _Observed:
    """Next-token logits by prompt, shape (vocabulary,), and greedy answers."""

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

    Raises: UsageError without photos; CheckpointError, AdapterError, EngineError, PhotoError.
    """
    if not photos:
        raise UsageError("no photos to compare on")
    requests = _requests(photos)
    ours = _observe(_spec(merged, (), dtype), requests)
    tuned = _spec(base, adapters, dtype)
    theirs = _observe(tuned, requests)
    exact = _observe(_spec(base, adapters, "float32"), requests, answers=False)
    differing = [
        f"{key}: {describe_difference(ours.texts[key], theirs.texts[key])}"
        for key in ours.texts
        if ours.texts[key] != theirs.texts[key]
    ]
    return ModelComparison(
        len(requests),
        _largest(ours.logits, theirs.logits),
        _largest(theirs.logits, exact.logits),
        tuple(differing),
    )


def _spec(model: str, adapters: Sequence[str], dtype: Dtype) -> EngineSpec[LocalOptions]:
    # Held to a format, two models may say the same that would not by themselves.
    engine = LocalOptions(dtype=dtype)
    return EngineSpec(model=model, adapters=tuple(adapters), constrain=False, engine=engine)


def _requests(photos: Sequence[Location]) -> list[Request]:
    prompts, mission = load_prompts(), next(iter(load_missions()))
    found = []
    for photo in photos:
        key = f"caption of {photo.name}"
        found.append(caption.request(key, [photo], prompts.caption, ANSWER_TOKENS))
        key = f"line of {photo.name}"
        found.append(summary.request(key, photo, mission, prompts.summary, ANSWER_TOKENS))
    return found


def _observe(
    spec: EngineSpec[LocalOptions], requests: Sequence[Request], *, answers: bool = True
) -> _Observed:
    engine = LocalEngine(spec)
    logits = {request.key: engine.next_logits(request) for request in requests}
    texts = {}
    if answers:
        for answer in engine.answer(requests):
            texts[answer.key] = answer.text if isinstance(answer, Answer) else answer.message
    del engine
    gc.collect()
    return _Observed(logits, texts)


def _largest(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    return max((first[key] - second[key]).abs().max().item() for key in first)


def first_difference(first: Sequence[object], second: Sequence[object]) -> int:
    """Find where two sequences first part; one that goes on longer parts at the other's end."""
    return next(
        (n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b),
        min(len(first), len(second)),
    )


def describe_difference(first: str, second: str) -> str:
    """Say where two texts first part, and how each goes on."""
    at = first_difference(first, second)
    return f"at character {at}, {first[at : at + 12]!r} against {second[at : at + 12]!r}"
