"""How likely a model finds 通过, from the log-probabilities of an answer's opening."""

from __future__ import annotations

import math

from shenhe.records import FAIL, PASS, Answer


def p_pass(answer: Answer) -> float | None:
    """The probability of 通过 against 不通过 as the answer's opening, or None if not known."""
    if not {PASS, FAIL} <= answer.choice_logprobs.keys():
        return None
    difference = answer.choice_logprobs[FAIL] - answer.choice_logprobs[PASS]
    return 1 / (1 + math.exp(min(difference, 700.0)))
