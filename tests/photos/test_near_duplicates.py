"""The index of hashes against comparing every pair."""

from __future__ import annotations

import numpy as np
import pytest

from shenhe.photos import near_duplicates
from shenhe.photos.near_duplicates import HashIndex, count_bits


def _hashes(count: int, seed: int, bits: int) -> np.ndarray:
    """Make random hashes of so many free bits, some of them near others."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**bits, count, dtype=np.uint64)
    for flips in range(1, 6):
        near = hashes[:40].copy()
        for _ in range(flips):
            near ^= np.uint64(1) << rng.integers(0, 64, len(near), dtype=np.uint64)
        hashes = np.concatenate([hashes, near])
    return np.unique(hashes)


@pytest.mark.parametrize("bits", [63, 20])
@pytest.mark.parametrize("distance", [0, 2, 4, 5])
def test_every_pair_is_found_once(
    bits: int, distance: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_duplicates, "BLOCK", 1000)
    hashes = _hashes(900, bits, bits)
    matrix = count_bits((hashes[:, None] ^ hashes[None]).ravel()).reshape(len(hashes), -1)
    expected = {tuple(pair) for pair in np.argwhere(np.triu(matrix <= distance, 1)).tolist()}
    index = HashIndex(hashes)
    found = [
        tuple(sorted(pair))
        for block in index.pairs(distance)
        for pair in zip(block.first.tolist(), block.second.tolist(), strict=True)
    ]
    assert len(found) == len(set(found))
    assert set(found) == expected
    for number in range(0, len(hashes), 37):
        near = np.flatnonzero(matrix[number] <= distance).tolist()
        assert index.find(int(hashes[number]), distance) == near


def test_none_and_one() -> None:
    assert HashIndex(np.array([], np.uint64)).find(0) == []
    assert list(HashIndex(np.array([], np.uint64)).pairs()) == []
    alone = HashIndex(np.array([2**64 - 1], np.uint64))
    assert alone.find(2**64 - 1) == [0]
    assert alone.find(0) == []
    assert list(alone.pairs()) == []


def test_bits_are_counted_alike_without_numpy_2() -> None:
    values = np.random.default_rng(1).integers(0, 2**64, 100, dtype=np.uint64)
    by_byte = near_duplicates._BYTE_BITS[values.view(np.uint8).reshape(-1, 8)].sum(axis=1)
    assert count_bits(values).tolist() == by_byte.tolist() == [int(v).bit_count() for v in values]
