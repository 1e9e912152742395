"""What is known of the first token of an answer: nothing, where a score is no number."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeGuard

ABOVE_ONE: Final = 1e-3
"""By so much a log-probability may be above 0, for it was rounded."""
LEAST_LIKELIEST: Final = -14.0
"""The likeliest of a million tokens has at least this: less is what servers write for NaN."""
LIKELIER_THAN_NOT: Final = -0.6
"""Of all tokens one alone can be as likely as this: 55%."""


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

    Each is a log-probability, one at most is likelier than not, and the first is no less likely
    than the likeliest token of any vocabulary.
    """
    known = list(logprobs)
    numbers = [value for value in known if is_logprob(value)]
    if not numbers or len(numbers) < len(known) or max(numbers) < LEAST_LIKELIEST:
        return False
    return sum(value > LIKELIER_THAN_NOT for value in numbers) <= 1
