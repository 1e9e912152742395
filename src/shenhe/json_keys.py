"""A key that stands twice in a JSON object: readers keep the last value and say nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def find_repeated_key(members: Sequence[tuple[str, object]]) -> str | None:
    """Find the first key that stands in an object more than once; None where each stands once.

    `json.loads` gives the members to its `object_pairs_hook`; of two values neither is right.

    >>> find_repeated_key([("a", 1), ("b", 2), ("a", 3)])
    'a'
    """
    counts = Counter(key for key, _ in members)
    if len(counts) == len(members):
        return None
    return next(key for key, count in counts.items() if count > 1)
