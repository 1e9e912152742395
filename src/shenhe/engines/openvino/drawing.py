"""Draws of tokens from the model's scores, and the repetition penalty, of one answer.

The rules are those of the local engine, which has them in torch (`engines/local/sampler.py`); this
engine has no torch. Its random numbers are torch's too, so that a seed means the same for both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shenhe.engines.base import EngineSpec
from shenhe.engines.options import EngineOptions
from shenhe.engines.sampling import sampling_of, seed_of
from shenhe.messages import Request

Row = NDArray[np.float32]


class Drawing:
    """How the tokens of one answer are drawn, and its random numbers.

    Shape: prompt (tokens,).
    """

    def __init__(
        self, request: Request, spec: EngineSpec[EngineOptions], prompt: NDArray[np.int64]
    ) -> None:
        self._sampling = sampling_of(request, spec)
        seed = self._sampling.seed
        seed = seed_of(spec.seed, request) if seed is None else seed
        # What torch.Generator().manual_seed(seed) gives: the lower 32 bits count.
        self._numbers = np.random.RandomState(seed & 0xFFFFFFFF)
        self._prompt = prompt

    @property
    def greedy(self) -> bool:
        """Whether the best token is always taken."""
        return self._sampling.temperature == 0

    def penalized(self, scores: Row, output: list[int]) -> Row:
        """Lower the scores of tokens that stand in the prompt or the answer, by transformers' rule.

        Shape: (vocabulary,).
        """
        penalty = self._sampling.repetition_penalty
        if penalty == 1:
            return scores
        present = np.union1d(self._prompt, np.array(output, np.int64))
        lowered, values = scores.copy(), scores[present]
        lowered[present] = np.where(values < 0, values * penalty, values / penalty)
        return lowered

    def add_noise(self, scores: Row) -> Row:
        """Scale scores and add Gumbel noise: the argmax is the drawn token.

        Shape: (vocabulary,).
        """
        sampling = self._sampling
        scaled = scores / np.float32(sampling.temperature)
        if sampling.min_p:
            likelihood = _softmax(scaled)
            scaled[likelihood < sampling.min_p * likelihood.max()] = -np.inf
        if 0 < sampling.top_k < len(scaled):
            scaled[scaled < np.partition(scaled, -sampling.top_k)[-sampling.top_k]] = -np.inf
        if sampling.top_p < 1:
            likelihood = _softmax(scaled)
            order = np.argsort(-likelihood, kind="stable")
            ordered = likelihood[order]
            scaled[order[ordered.cumsum() - ordered >= sampling.top_p]] = -np.inf
        numbers = self._numbers.randint(0, 2**32, len(scaled), np.uint32) & 0xFFFFFF
        uniform = np.maximum(numbers.astype(np.float32) * np.float32(2**-24), np.float32(1e-20))
        noise: Row = -np.log(np.maximum(-np.log(uniform), np.float32(1e-20)))
        return scaled + noise


def log_softmax(scores: Row) -> Row:
    """Compute log-probabilities. Shape: (vocabulary,) in and out."""
    shifted = scores - scores.max()
    logprobs: Row = shifted - np.log(np.exp(shifted).sum(dtype=np.float32))
    return logprobs


def _softmax(scores: Row) -> Row:
    powers: Row = np.exp(scores - scores.max())
    likelihood: Row = powers / powers.sum(dtype=np.float32)
    return likelihood
