"""Sampling that depends on the request alone, never on what else is in its batch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from transformers import LogitsProcessor

from shenhe.engines.base import EngineSpec
from shenhe.records import Request


class RowSampler(LogitsProcessor):  # type: ignore[misc]
    """Turns greedy decoding into sampling, row by row, by the Gumbel-max rule.

    argmax(logits / temperature + Gumbel noise) is a draw from the softmax. Each row has a random
    generator of its own, seeded by the seed, the request's key and its attempt, so that the same
    request gets the same answer in any batch and after any resume.
    """

    def __init__(self, requests: Sequence[Request], spec: EngineSpec) -> None:
        self.top_p = spec.top_p
        self.temperatures = [spec.temperature_of(request.attempt) for request in requests]
        self.generators = [
            torch.Generator().manual_seed(_seed(spec.seed, request)) for request in requests
        ]

    @property
    def needed(self) -> bool:
        """Whether any row samples at all."""
        return any(self.temperatures)

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.Tensor:
        """Add noise to the rows that sample. Shape: scores (rows, vocabulary)."""
        rows = [
            self._drawn(row, temperature, generator) if temperature else row
            for row, temperature, generator in zip(
                scores, self.temperatures, self.generators, strict=True
            )
        ]
        return torch.stack(rows)

    def _drawn(
        self, scores: torch.Tensor, temperature: float, generator: torch.Generator
    ) -> torch.Tensor:
        scaled = scores.float() / temperature
        if self.top_p < 1:
            ordered, order = scaled.softmax(-1).sort(descending=True)
            beyond = ordered.cumsum(-1) - ordered >= self.top_p
            scaled[order[beyond]] = -torch.inf
        uniform = torch.rand(scaled.shape, generator=generator).clamp_min(1e-20)
        noise = -(-uniform.log()).clamp_min(1e-20).log()
        return (scaled + noise.to(scaled.device)).to(scores.dtype)


class OpeningScores(LogitsProcessor):  # type: ignore[misc]
    """Keeps the log-probabilities of the first new token, before any sampling."""

    def __init__(self) -> None:
        self.logprobs: torch.Tensor | None = None

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.Tensor:
        """Keep the first call's scores. Shape: scores (rows, vocabulary)."""
        if self.logprobs is None:
            self.logprobs = scores.float().log_softmax(-1).cpu()
        return scores


def _seed(seed: int, request: Request) -> int:
    text = f"{seed}\0{request.key}\0{request.attempt}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
