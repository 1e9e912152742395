"""Sampling that depends on the request alone, never on the rest of its batch."""

from __future__ import annotations

import torch

from shenhe.engines.base import EngineSpec
from shenhe.engines.options import EngineOptions
from shenhe.engines.sampling import sampling_of, seed_of
from shenhe.messages import Request


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
