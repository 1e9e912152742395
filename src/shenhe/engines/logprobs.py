"""Log-probabilities as engines report them: a value that is not a finite number says nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeGuard

ROUNDING: Final = 1e-3
"""A log-probability may exceed 0 by this much, being rounded."""
MIN_BEST_LOGPROB: Final = -14.0
"""Lower bound on the best of a million tokens: servers write less for NaN."""
MAJORITY_LOGPROB: Final = -0.6
"""A probability of 55%, which only one token can have."""


def is_logprob(value: object) -> TypeGuard[float]:
    """Whether a value is a log-probability: a finite number not above 0.

    >>> is_logprob(-0.1), is_logprob(float("nan")), is_logprob("-0.1"), is_logprob(None)
    (True, False, False, False)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -1e6 < value <= ROUNDING


def are_plausible(logprobs: Iterable[object]) -> bool:
    """Whether values can be the log-probabilities of the top tokens at one position.

    Each must be a log-probability, at most one above 55%, and the best as likely as the best token
    of a large vocabulary at least.
    """
    values = list(logprobs)
    numbers = [value for value in values if is_logprob(value)]
    if not numbers or len(numbers) < len(values) or max(numbers) < MIN_BEST_LOGPROB:
        return False
    return sum(value > MAJORITY_LOGPROB for value in numbers) <= 1
