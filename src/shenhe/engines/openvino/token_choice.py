"""The choice of the next token of a sequence: which are allowed, and which of them is taken."""

from __future__ import annotations

import math

import numpy as np

from shenhe.engines.openvino.drawing import Row, log_softmax
from shenhe.engines.openvino.sequence import Sequence


def choose_token(sequence: Sequence, scores: Row) -> int:
    """Choose the best allowed token, or draw one of the allowed; keep its score where asked.

    Shape: scores (vocabulary,).
    """
    token = _choose(sequence, scores)
    if (count := sequence.prepared.request.top_logprobs) is not None:
        values = log_softmax(_allowed(sequence, scores))
        best = np.argsort(-values, kind="stable")[:count].tolist()
        listed = [(index, float(values[index])) for index in [token, *best]]
        sequence.scored[len(sequence.output)] = [e for e in listed if e[1] > -math.inf]
    return token


def _choose(sequence: Sequence, scores: Row) -> int:
    drawing, constraint = sequence.drawing, sequence.constraint
    scores = drawing.penalized(scores, sequence.output)
    best = int(scores.argmax())
    # The best token is nearly always allowed: only otherwise a mask is worth its time.
    if drawing.greedy and (constraint is None or constraint.allows(best)):
        return best
    scores = _allowed(sequence, scores)
    return int((scores if drawing.greedy else drawing.add_noise(scores)).argmax())


def _allowed(sequence: Sequence, scores: Row) -> Row:
    """Leave the scores of allowed tokens alone."""
    if sequence.constraint is None:
        return scores
    allowed: Row = np.where(sequence.constraint.refused_mask(), np.float32(-np.inf), scores)
    return allowed
