"""Shares of groups: which of some people a group belongs to, without counting or remembering."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

BUCKETS: Final = 10_000
"""How finely groups are shared: each is in one of so many buckets, by its key."""


def bucket_of(key: str) -> int:
    """Give the bucket of a group.

    >>> bucket_of("QC-1") == bucket_of("QC-1") < BUCKETS
    True
    """
    digest = hashlib.sha256(f"share\x1f{key}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) % BUCKETS


def buckets_of(name: str, people: Sequence[str]) -> tuple[int, ...]:
    """List the buckets that belong to one of some people.

    Each bucket goes to whoever has the highest number for it (rendezvous hashing): one more person
    takes a like part of everybody's, and nothing else moves.

        >>> two, three = ["李工", "王工"], ["李工", "王工", "张工"]
        >>> set(buckets_of("李工", three)) < set(buckets_of("李工", two))
        True
    """
    return _owned(tuple(sorted(set(people)))).get(name, ())


@lru_cache(maxsize=64)
def _owned(people: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    owned: dict[str, list[int]] = {name: [] for name in people}
    for bucket in range(BUCKETS):
        owned[max(people, key=lambda name: _number(name, bucket))].append(bucket)
    return {name: tuple(buckets) for name, buckets in owned.items()}


def _number(name: str, bucket: int) -> bytes:
    return hashlib.sha256(f"{name}\x1f{bucket}".encode("utf-8", "surrogatepass")).digest()
