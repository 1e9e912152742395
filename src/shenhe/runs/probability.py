"""How likely a model finds 通过, from the log-probabilities of an answer's opening."""

from __future__ import annotations

import math

from shenhe.engines.logprobs import is_logprob
from shenhe.messages import Answer
from shenhe.values import FAIL, PASS


def p_pass(answer: Answer) -> float | None:
    """The probability of 通过 against 不通过 as the answer's opening, or None if not known.

    A score that is no log-probability (NaN, infinite, above 0) is not known.
    """
    passed, failed = (answer.choice_logprobs.get(choice) for choice in (PASS, FAIL))
    if not is_logprob(passed) or not is_logprob(failed):
        return None
    return 1 / (1 + math.exp(min(failed - passed, 700.0)))
