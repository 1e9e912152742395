"""Sampling that depends on the request alone, never on the rest of its batch."""

from __future__ import annotations

import hashlib

import torch

from shenhe.engines.base import EngineSpec
from shenhe.engines.options import EngineOptions
from shenhe.messages import Request


class Sampler:
    """Turns greedy decoding into sampling by the Gumbel-max rule.

    argmax(logits / temperature + Gumbel noise) is a draw from the softmax. Each request has its own
    random generator, seeded by the seed, the request's key and its attempt: it gets the same answer
    in any batch and after any resume.
    """

    def __init__(self, request: Request, spec: EngineSpec[EngineOptions]) -> None:
        self._temperature, self._top_p = spec.temperature_of(request), spec.top_p
        self._generator = torch.Generator().manual_seed(seed_of(spec.seed, request))

    @property
    def greedy(self) -> bool:
        """Whether the best token is always taken."""
        return self._temperature == 0

    def add_noise(self, scores: torch.Tensor) -> torch.Tensor:
        """Scale scores and add noise: the argmax is the drawn token.

        Shape: (vocabulary,) in and out, float32.
        """
        scaled = scores.float() / self._temperature
        if self._top_p < 1:
            ordered, order = scaled.softmax(-1).sort(descending=True)
            beyond = ordered.cumsum(-1) - ordered >= self._top_p
            scaled[order[beyond]] = -torch.inf
        uniform = torch.rand(scaled.shape, generator=self._generator).clamp_min(1e-20)
        noise = -(-uniform.log()).clamp_min(1e-20).log()
        return scaled + noise.to(scaled.device)


def seed_of(seed: int, request: Request) -> int:
    """Derive the seed of one attempt at one request. Units: 63 bits."""
    text = f"{seed}\0{request.key}\0{request.attempt}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
