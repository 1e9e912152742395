"""Sampling that depends on the request alone, never on the rest of its batch."""

from __future__ import annotations

import hashlib

import torch

from shenhe.engines.base import EngineSpec
from shenhe.engines.options import EngineOptions
from shenhe.messages import Request, Sampling


class Sampler:
    """Turns greedy decoding into sampling by the Gumbel-max rule.

    argmax(logits / temperature + Gumbel noise) is a draw from the softmax. Each request has its own
    random generator, seeded by the seed, the request's key and its attempt: it gets the same answer
    in any batch and after any resume.
    """

    def __init__(self, request: Request, spec: EngineSpec[EngineOptions]) -> None:
        self._sampling = sampling_of(request, spec)
        seed = self._sampling.seed
        seed = seed_of(spec.seed, request) if seed is None else seed
        self._generator = torch.Generator().manual_seed(seed)

    @property
    def greedy(self) -> bool:
        """Whether the best token is always taken."""
        return self._sampling.temperature == 0

    def add_noise(self, scores: torch.Tensor) -> torch.Tensor:
        """Scale scores and add noise: the argmax is the drawn token.

        Shape: (vocabulary,) in and out, float32.
        """
        sampling = self._sampling
        scaled = scores.float() / sampling.temperature
        if sampling.min_p:
            likelihood = scaled.softmax(-1)
            scaled[likelihood < sampling.min_p * likelihood.max()] = -torch.inf
        if 0 < sampling.top_k < len(scaled):
            scaled[scaled < scaled.topk(sampling.top_k).values[-1]] = -torch.inf
        if sampling.top_p < 1:
            ordered, order = scaled.softmax(-1).sort(descending=True)
            beyond = ordered.cumsum(-1) - ordered >= sampling.top_p
            scaled[order[beyond]] = -torch.inf
        uniform = torch.rand(scaled.shape, generator=self._generator).clamp_min(1e-20)
        noise = -(-uniform.log()).clamp_min(1e-20).log()
        return scaled + noise.to(scaled.device)


def sampling_of(request: Request, spec: EngineSpec[EngineOptions]) -> Sampling:
    """Say how the tokens of an answer are drawn: as the request says, else as the engine does."""
    if request.sampling is not None:
        return request.sampling
    return Sampling(
        spec.temperature_of(request), spec.top_p, repetition_penalty=spec.repetition_penalty
    )


def seed_of(seed: int, request: Request) -> int:
    """Derive the seed of one attempt at one request. Units: 63 bits."""
    text = f"{seed}\0{request.key}\0{request.attempt}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
