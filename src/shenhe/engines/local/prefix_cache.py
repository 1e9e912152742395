"""The prefix cache: keys and values of prompts, for those that begin alike.

Prompts are kept in a radix tree: a node holds the keys and values of tokens that all prompts below
it share. A prompt is loaded along its path as far as it goes, so a photo is computed once for all
questions about it that follow the same beginning, and a prompt once for all votes on it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from shenhe.engines.local.kv_cache import KVCache

MIN_TOKENS = 16
"""Fewer tokens are not worth a copy. Units: tokens."""
MAX_NODES = 512
"""Nodes that are kept at most: those of a small model take little memory and much time."""


@dataclass(eq=False, slots=True)
class _Node:
    """Keys and values of tokens that follow those of the parent. Shape: as of KVCache.copy."""

    units: tuple[int, ...]
    entries: torch.Tensor
    parent: _Node | None
    children: dict[int, _Node] = field(default_factory=dict)


class _Match(NamedTuple):
    """Nodes along the beginning of a prompt, and how many tokens of it they hold.

    Of the last node perhaps only the first `of_last` tokens are the prompt's.
    """

    nodes: list[_Node]
    tokens: int
    of_last: int


class PrefixCache:
    """Beginnings of prompts with their keys and values; the least recently used ones go first.

    A prompt is given as units: token ids, and for image tokens what stands for their photo, which
    is negative. `prompt_tokens` counts those of all prompts that were loaded, `reused_tokens` those
    of them that were here.
    """

    def __init__(self, max_bytes: int) -> None:
        """Keep at most so much. Units: bytes."""
        self._max_bytes, self._bytes = max_bytes, 0
        self._roots: dict[int, _Node] = {}
        self._by_use: OrderedDict[_Node, None] = OrderedDict()
        self.prompt_tokens = self.reused_tokens = 0

    def __len__(self) -> int:
        return len(self._by_use)

    @property
    def nbytes(self) -> int:
        """Memory of what is kept. Units: bytes."""
        return self._bytes

    def can_hold(self, nbytes: int) -> bool:
        """Whether something of this size can be kept. Units: bytes."""
        return nbytes <= self._max_bytes

    def count(self, units: Sequence[int]) -> int:
        """Count the first tokens of a prompt that are here. Its last token is always computed."""
        tokens = self._find(units).tokens
        return tokens if tokens >= MIN_TOKENS else 0

    def load(self, cache: KVCache, slot: int, units: Sequence[int]) -> int:
        """Fill the start of a slot with what is here of a prompt, and return its length."""
        match, start = self._find(units), 0
        for node in match.nodes if match.tokens >= MIN_TOKENS else ():
            count = match.of_last if node is match.nodes[-1] else len(node.units)
            cache.load(slot, start, node.entries[:, :count])
            start += count
        self._touch(match.nodes)
        self.prompt_tokens += len(units)
        self.reused_tokens += start
        return start

    def store(self, cache: KVCache, slot: int, units: Sequence[int]) -> None:
        """Keep the prompt in a slot but for its last token, unless it is here or too large.

        Raises: torch.OutOfMemoryError.
        """
        match, stop = self._find(units), _reusable(units)
        count = stop - match.tokens
        if count < MIN_TOKENS or not self.can_hold(stop * cache.bytes_per_token):
            return
        parent = match.nodes[-1] if match.nodes else None
        if parent is not None and match.of_last < len(parent.units):
            parent = self._split(parent, match.of_last)
        entries = cache.copy(slot, match.tokens, stop)
        node = self._add(_Node(tuple(units[match.tokens : stop]), entries, parent))
        self._touch([*match.nodes[:-1], *([parent] if parent else []), node])
        self._evict()

    def clear(self) -> None:
        """Drop everything and free its memory."""
        self._roots.clear()
        self._by_use.clear()
        self._bytes = 0

    def _find(self, units: Sequence[int]) -> _Match:
        prompt, nodes, tokens, of_last = tuple(units[: _reusable(units)]), [], 0, 0
        node = self._roots.get(prompt[0]) if prompt else None
        while node is not None:
            of_last = _common(node.units, prompt[tokens : tokens + len(node.units)])
            nodes.append(node)
            tokens += of_last
            ends = of_last < len(node.units) or tokens == len(prompt)
            node = None if ends else node.children.get(prompt[tokens])
        return _Match(nodes, tokens, of_last)

    def _split(self, node: _Node, count: int) -> _Node:
        """Cut a node in two, and return the first."""
        first = _Node(node.units[:count], node.entries[:, :count].clone(), node.parent)
        self._siblings(node)[first.units[0]] = first
        # A copy, as a part of a tensor keeps the whole of it in memory.
        node.units, node.entries = node.units[count:], node.entries[:, count:].clone()
        node.parent = first
        first.children[node.units[0]] = node
        self._by_use[first] = None
        return first

    def _add(self, node: _Node) -> _Node:
        self._siblings(node)[node.units[0]] = node
        self._by_use[node] = None
        self._bytes += node.entries.nbytes
        return node

    def _siblings(self, node: _Node) -> dict[int, _Node]:
        return self._roots if node.parent is None else node.parent.children

    def _touch(self, nodes: Sequence[_Node]) -> None:
        """Note the use of a path; a node counts as used after those below it."""
        for node in reversed(nodes):
            self._by_use.move_to_end(node)

    def _evict(self) -> None:
        while self._bytes > self._max_bytes or len(self._by_use) > MAX_NODES:
            leaf = next(node for node in self._by_use if not node.children)
            del self._by_use[leaf]
            del self._siblings(leaf)[leaf.units[0]]
            self._bytes -= leaf.entries.nbytes


def _reusable(units: Sequence[int]) -> int:
    """Count the tokens that may be reused: not the last, and no part of a photo."""
    stop = max(0, len(units) - 1)
    while stop and units[stop] < 0:
        stop -= 1
    return stop


def _common(first: tuple[int, ...], second: tuple[int, ...]) -> int:
    """Count the equal units at the beginning."""
    if first[: len(second)] == second:
        return len(second)
    return next(index for index, unit in enumerate(second) if first[index] != unit)
