"""The prefix cache: keys and values of prompt beginnings that many requests share."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from shenhe.engines.local.kv_cache import KVCache, Prefix

MAX_PREFIXES = 8
MIN_TOKENS = 16
"""A shorter prefix is not worth a copy. Units: tokens."""


class PrefixCache:
    """The most recent new prefixes, with their keys and values."""

    def __init__(self) -> None:
        self._prefixes: deque[Prefix] = deque(maxlen=MAX_PREFIXES)

    def __len__(self) -> int:
        return len(self._prefixes)

    @property
    def longest(self) -> int:
        """Length of the longest prefix. Units: tokens."""
        return max((len(prefix.tokens) for prefix in self._prefixes), default=0)

    def load(self, cache: KVCache, slot: int, tokens: Sequence[int]) -> int:
        """Fill the start of a slot with the cached part of these tokens, and return its length."""
        count, prefix = self._match(tokens)
        if prefix is not None:
            cache.load_prefix(slot, prefix, count)
        return count

    def store(self, cache: KVCache, slot: int, tokens: Sequence[int]) -> None:
        """Keep the first tokens of a slot, unless a prefix of them is cached already."""
        if len(tokens) >= MIN_TOKENS and self._match(tokens)[1] is None:
            self._prefixes.append(cache.copy_prefix(slot, tuple(tokens)))

    def clear(self) -> None:
        """Drop all prefixes and free their memory."""
        self._prefixes.clear()

    def _match(self, tokens: Sequence[int]) -> tuple[int, Prefix | None]:
        """Find the prefix with the longest common beginning, and the length of that."""
        longest, best = 0, None
        for prefix in self._prefixes:
            common = 0
            for token, cached in zip(tokens, prefix.tokens, strict=False):
                if token != cached:
                    break
                common += 1
            if common > longest:
                longest, best = common, prefix
        return (longest, best) if longest >= MIN_TOKENS else (0, None)
