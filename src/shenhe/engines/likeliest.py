"""What is known of the first token of an answer: nothing, where a score is no number."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, TypeGuard

ABOVE_ONE: Final = 1e-3
"""By so much a log-probability may be above 0, for it was rounded."""
LEAST_LIKELIEST: Final = -14.0
"""The likeliest of a million tokens has at least this: less is what servers write for NaN."""
MOST_TOGETHER: Final = 1.05


def is_logprob(value: object) -> TypeGuard[float]:
    """Whether something is a log-probability: a finite number that is not above 0.

    >>> is_logprob(-0.1), is_logprob(float("nan")), is_logprob("-0.1"), is_logprob(None)
    (True, False, False, False)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -1e6 < value <= ABOVE_ONE


def plausible(logprobs: Iterable[object]) -> bool:
    """Whether these can be the likeliest tokens of one place.

    Each is a log-probability, together they are no more than certain, and the first is no less
    likely than the likeliest token of any vocabulary.
    """
    known = list(logprobs)
    numbers = [value for value in known if is_logprob(value)]
    if not numbers or len(numbers) < len(known) or max(numbers) < LEAST_LIKELIEST:
        return False
    return math.fsum(math.exp(min(value, 0.0)) for value in numbers) <= MOST_TOGETHER
