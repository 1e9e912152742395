"""The choice of the next token: which tokens are allowed, and which of them is taken."""

from __future__ import annotations

import math

import torch

from shenhe.engines.local.constraint import Constraint
from shenhe.engines.local.model_runner import Scores
from shenhe.engines.local.sequence import Sequence


def allowed_tokens(sequence: Sequence) -> list[list[int] | None]:
    """List what the grammar allows behind the last pending and each draft token; None: no limit.

    Log-probabilities of choices need the whole vocabulary, and behind a draft the state of the
    grammar is unknown.
    """
    rows = 1 + len(sequence.draft)
    if sequence.constraint is None or rows > 1 or sequence.at_choice or _wants_logprobs(sequence):
        return [None] * rows
    tokens = None
    with sequence.isolated():
        tokens = sequence.constraint.narrow_tokens()
    return [tokens]


def choose_token(sequence: Sequence, scores: Scores) -> int:
    """Choose the best allowed token, or draw one of the allowed; keep its score where asked."""
    token = _choose(sequence, scores)
    if _wants_logprobs(sequence):
        sequence.scored[len(sequence.output)] = _logprobs(sequence, scores, token)
    return token


def _wants_logprobs(sequence: Sequence) -> bool:
    return sequence.prepared.request.top_logprobs is not None


def _logprobs(sequence: Sequence, scores: Scores, token: int) -> list[tuple[int, float]]:
    """List the log-probability of a token, then the highest ones, among allowed tokens."""
    values = scores.values.float()
    if sequence.constraint is not None:
        refused = torch.from_numpy(sequence.constraint.refused_mask()).to(values.device)
        values = values.masked_fill(refused, -torch.inf)
    logprobs = values.log_softmax(-1)
    count = min(sequence.prepared.request.top_logprobs or 0, len(logprobs))
    best = logprobs.topk(count)
    listed = [(token, logprobs[token].item())]
    listed += zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [(index, value) for index, value in listed if value > -math.inf]


def _choose(sequence: Sequence, scores: Scores) -> int:
    scores = _penalized(sequence, scores)
    values, constraint = scores.values, sequence.constraint
    # The best token is nearly always allowed: only otherwise a mask is worth its time.
    if sequence.sampler.greedy and _is_allowed(scores.best, scores, constraint):
        return scores.best
    if constraint is not None:
        refused = _refused(scores, constraint).to(values.device)
        values = values.float().masked_fill(refused, -torch.inf)
    if not sequence.sampler.greedy:
        values = sequence.sampler.add_noise(values)
    index = int(values.argmax())
    return index if scores.tokens is None else scores.tokens[index]


def _is_allowed(token: int, scores: Scores, constraint: Constraint | None) -> bool:
    if constraint is None:
        return True
    if scores.tokens is None:
        return constraint.allows(token)
    return constraint.leaves_shape_sound(token)


def _refused(scores: Scores, constraint: Constraint) -> torch.Tensor:
    """Mark the scores of tokens that may not come next. Shape: that of the scores, bool."""
    if scores.tokens is None:
        return torch.from_numpy(constraint.refused_mask())
    return torch.tensor([not constraint.leaves_shape_sound(token) for token in scores.tokens])


def _penalized(sequence: Sequence, scores: Scores) -> Scores:
    """Apply the repetition penalty of a sequence, if it has one."""
    if sequence.penalty is None:
        return scores
    values = sequence.penalty.apply(scores.values, scores.tokens, sequence.output)
    index = int(values.argmax())
    best = index if scores.tokens is None else scores.tokens[index]
    return Scores(values, best, scores.tokens)
