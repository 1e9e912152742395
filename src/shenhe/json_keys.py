"""A key that stands twice in a JSON object: readers keep the last value and say nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def find_repeated_key(members: Sequence[tuple[str, object]]) -> str | None:
    """Find the first key that stands in an object more than once; None where each stands once.

    >>> find_repeated_key([("a", 1), ("b", 2), ("a", 3)])
    'a'
    """
    if len({key for key, _ in members}) == len(members):
        return None
    counts = Counter(key for key, _ in members)
    return next(key for key, count in counts.items() if count > 1)


def refuse_repeated_keys(members: list[tuple[str, object]]) -> dict[str, object]:
    """Build a JSON object, as `object_pairs_hook`; neither of two values of one key is right.

    Raises: ValueError.

    >>> import json
    >>> json.loads('{"a": 1}', object_pairs_hook=refuse_repeated_keys)
    {'a': 1}
    """
    if (key := find_repeated_key(members)) is not None:
        raise ValueError(f"{key[:80]} stands twice")
    return dict(members)
