"""The choice of the next token: which tokens are allowed, and which of them is taken."""

from __future__ import annotations

import torch

from shenhe.engines.local.model_runner import Scores
from shenhe.engines.local.sequence import Sequence


def allowed_tokens(sequence: Sequence) -> list[list[int] | None]:
    """List the allowed tokens behind the last pending and each draft token; None for no limit.

    Log-probabilities of choices need the whole vocabulary, and behind a draft the state of the
    grammar is unknown.
    """
    rows = 1 + len(sequence.draft)
    if sequence.constraint is None or rows > 1 or sequence.at_choice:
        return [None] * rows
    tokens = None
    with sequence.isolated():
        tokens = sequence.constraint.narrow_tokens()
    return [tokens]


def choose_token(sequence: Sequence, scores: Scores) -> int:
    """Choose the best allowed token, or draw one of the allowed."""
    scores = _penalized(sequence, scores)
    values, constraint = scores.values, sequence.constraint
    # The best token is nearly always allowed: only otherwise a mask is worth its time.
    best_allowed = scores.tokens or constraint is None or constraint.allows(scores.best)
    if sequence.sampler.greedy and best_allowed:
        return scores.best
    if constraint is not None and scores.tokens is None:
        refused = constraint.refused_mask().to(values.device)
        values = values.float().masked_fill(refused, -torch.inf)
    if not sequence.sampler.greedy:
        values = sequence.sampler.add_noise(values)
    index = int(values.argmax())
    return index if scores.tokens is None else scores.tokens[index]


def _penalized(sequence: Sequence, scores: Scores) -> Scores:
    """Apply the repetition penalty of a sequence, if it has one."""
    if sequence.penalty is None:
        return scores
    values = sequence.penalty.apply(scores.values, scores.tokens, sequence.output)
    index = int(values.argmax())
    best = index if scores.tokens is None else scores.tokens[index]
    return Scores(values, best, scores.tokens)
