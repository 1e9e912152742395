"""An index of 64-bit hashes that finds those within a few bits of one (multi-index hashing).

Hashes that differ in up to five bits have one of their three parts in common but for one bit. So
each part has a table of the hashes in its order, in which the part itself and every part one bit
away are looked up. docs/photos.md has time and memory for ten million hashes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

NEAR: Final = 4
"""Bits in which the hashes of two photos may differ that count as near duplicates."""
MAX_DISTANCE: Final = 5
"""The largest distance at which the index finds all hashes."""
PARTS: Final = ((0, 22), (22, 21), (43, 21))
"""Offset and length of the parts of a hash. Units: bits."""
BLOCK: Final = 1 << 21
"""Pairs that are compared at once. Units: pairs."""
_BYTE_BITS: Final = np.array([value.bit_count() for value in range(256)], np.uint8)


class _Table(NamedTuple):
    """The hashes in the order of one part; `starts` has where each value of the part begins."""

    offset: int
    bits: int
    order: NDArray[np.uint32]
    starts: NDArray[np.uint32]

    def part(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        mask = np.uint64((1 << self.bits) - 1)
        return ((hashes >> np.uint64(self.offset)) & mask).astype(np.int64)


class NearPairs(NamedTuple):
    """Pairs of near hashes. Shape: (pairs,) each; `first` and `second` are positions."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]


class HashIndex:
    """Finds near hashes among many, which must all differ from each other.

    >>> index = HashIndex(np.array([0, 0b111, 0xFFFF], np.uint64))
    >>> index.find(1, 2)
    [0, 1]
    """

    def __init__(self, hashes: NDArray[np.uint64]) -> None:
        """Sort the hashes by their parts. Shape: hashes (photos,)."""
        self.hashes = hashes
        self._tables = [_make_table(hashes, offset, bits) for offset, bits in PARTS]

    def find(self, value: int, distance: int = NEAR) -> list[int]:
        """List the positions of the hashes within a distance of a value, ascending.

        The value itself is found too, where it is there.
        """
        wanted = np.uint64(value)
        found: set[int] = set()
        for table in self._tables:
            part = int(table.part(np.array([value], np.uint64))[0])
            for flip in (0, *(1 << bit for bit in range(table.bits))):
                start, end = table.starts[part ^ flip], table.starts[(part ^ flip) + 1]
                positions = table.order[start:end]
                near = count_bits(self.hashes[positions] ^ wanted) <= distance
                found.update(positions[near].tolist())
        return sorted(found)

    def pairs(self, distance: int = NEAR) -> Iterator[NearPairs]:
        """Yield all pairs within a distance, each once, in blocks of bounded memory."""
        for number, table in enumerate(self._tables):
            parts = table.part(self.hashes)
            for flip in (0, *(1 << bit for bit in range(table.bits))):
                for first, second in self._candidates(table, parts, flip):
                    differing = self.hashes[first] ^ self.hashes[second]
                    near = np.flatnonzero(count_bits(differing) <= distance)
                    first, second, differing = first[near], second[near], differing[near]
                    new = np.ones(len(first), bool)
                    for earlier in self._tables[:number]:
                        bits = earlier.part(differing).astype(np.uint64)
                        new &= count_bits(bits) > 1
                    if new.any():
                        yield NearPairs(first[new], second[new])

    def _candidates(
        self, table: _Table, parts: NDArray[np.int64], flip: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Yield the pairs whose parts are equal but for one bit, each from one side."""
        positions = table.order.astype(np.int64)
        own = parts[positions]
        if flip:
            keep = (own & flip) == 0
            positions, own = positions[keep], own[keep]
            starts = table.starts[own ^ flip].astype(np.int64)
        else:  # those behind it in the table
            starts = np.arange(1, len(positions) + 1)
        counts = table.starts[(own ^ flip) + 1].astype(np.int64) - starts
        filled = counts > 0
        positions, starts, counts = positions[filled], starts[filled], counts[filled]
        ends = np.cumsum(counts)
        begin = 0
        while begin < len(counts):
            done = int(ends[begin - 1]) if begin else 0
            end = max(begin + 1, int(np.searchsorted(ends, done + BLOCK, "right")))
            block, lengths = slice(begin, end), counts[begin:end]
            # The ranges of the block, one after the other.
            shift = np.repeat(starts[block] - (ends[block] - lengths - done), lengths)
            behind = table.order[np.arange(int(lengths.sum())) + shift]
            yield np.repeat(positions[block], lengths), behind.astype(np.int64)
            begin = end


def count_bits(values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Count the bits that are set. Shape: (values,) both.

    >>> count_bits(np.array([0, 255], np.uint64)).tolist()
    [0, 8]
    """
    counts: NDArray[np.uint8]
    if hasattr(np, "bitwise_count"):  # since NumPy 2.0
        return np.bitwise_count(values)
    by_byte = _BYTE_BITS[np.ascontiguousarray(values).view(np.uint8).reshape(-1, 8)]
    counts = by_byte.sum(axis=1, dtype=np.uint8)
    return counts


def _make_table(hashes: NDArray[np.uint64], offset: int, bits: int) -> _Table:
    table = _Table(offset, bits, np.empty(0, np.uint32), np.empty(0, np.uint32))
    parts = table.part(hashes)
    order = np.argsort(parts, kind="stable").astype(np.uint32)
    starts = np.zeros((1 << bits) + 1, np.uint32)
    np.cumsum(np.bincount(parts, minlength=1 << bits), out=starts[1:])
    return table._replace(order=order, starts=starts)
