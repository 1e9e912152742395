"""Sampling that depends on the request alone, never on what else is in its batch."""

from __future__ import annotations

import hashlib

import torch

from shenhe.engines.base import EngineSpec
from shenhe.engines.options import EngineOptions
from shenhe.messages import Request


class Sampler:
    """Turns greedy decoding into sampling by the Gumbel-max rule.

    argmax(logits / temperature + Gumbel noise) is a draw from the softmax. Each request has a
    random generator of its own, seeded by the seed, the request's key and its attempt, so that the
    same request gets the same answer in any batch and after any resume.
    """

    def __init__(self, request: Request, spec: EngineSpec[EngineOptions]) -> None:
        self._temperature, self._top_p = spec.temperature_of(request), spec.top_p
        self._generator = torch.Generator().manual_seed(seed_of(spec.seed, request))

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is always taken."""
        return self._temperature == 0

    def drawn(self, scores: torch.Tensor) -> torch.Tensor:
        """Add noise to scores: the largest is the one drawn. Shape: (vocabulary,)."""
        scaled = scores.float() / self._temperature
        if self._top_p < 1:
            ordered, order = scaled.softmax(-1).sort(descending=True)
            beyond = ordered.cumsum(-1) - ordered >= self._top_p
            scaled[order[beyond]] = -torch.inf
        uniform = torch.rand(scaled.shape, generator=self._generator).clamp_min(1e-20)
        noise = -(-uniform.log()).clamp_min(1e-20).log()
        return scaled + noise.to(scaled.device)


def seed_of(seed: int, request: Request) -> int:
    """Seed one attempt at one request, whatever else is asked."""
    text = f"{seed}\0{request.key}\0{request.attempt}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
