"""The beginnings of prompts, computed once: what many requests say alike before they differ."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from shenhe.engines.local.kv_cache import Head, KeyValues

KEPT, SHORTEST = 8, 16
"""So many beginnings are kept; a shorter one is not worth it. Units: tokens."""


class Heads:
    """The keys and values of beginnings, the last ones that were new."""

    def __init__(self) -> None:
        self._kept: deque[Head] = deque(maxlen=KEPT)

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def longest(self) -> int:
        """The tokens of the longest one."""
        return max((len(head.tokens) for head in self._kept), default=0)

    def begin(self, store: KeyValues, row: int, tokens: Sequence[int]) -> int:
        """Begin a row with what is known of these tokens, and count them."""
        count, head = self._find(tokens)
        if head is not None:
            store.put(row, head, count)
        return count

    def keep(self, store: KeyValues, row: int, tokens: Sequence[int]) -> None:
        """Keep the beginning of a row, if none like it is kept."""
        if len(tokens) >= SHORTEST and self._find(tokens)[1] is None:
            self._kept.append(store.head(row, tuple(tokens)))

    def clear(self) -> None:
        """Forget all, and give their memory back."""
        self._kept.clear()

    def _find(self, tokens: Sequence[int]) -> tuple[int, Head | None]:
        """Find the head that has most tokens in common with these, and how many."""
        longest, found = 0, None
        for head in self._kept:
            same = 0
            for ours, theirs in zip(tokens, head.tokens, strict=False):
                if ours != theirs:
                    break
                same += 1
            if same > longest:
                longest, found = same, head
        return (longest, found) if longest >= SHORTEST else (0, None)
