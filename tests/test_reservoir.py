"""A sample is even, of a bounded size, and the same each time."""

from __future__ import annotations

from shenhe.reservoir import Reservoir


def _kept(items: int, count: int) -> list[int]:
    reservoir: Reservoir[int] = Reservoir(count)
    for item in range(items):
        reservoir.add(item)
    assert reservoir.total == items
    return reservoir.items


def test_few_are_all_kept() -> None:
    assert _kept(5, 10) == [0, 1, 2, 3, 4]


def test_of_many_an_even_part_is_kept() -> None:
    kept = _kept(100_000, 1000)
    assert kept == _kept(100_000, 1000)
    assert len(set(kept)) == 1000
    # Means of 1,000 even draws from 100,000 lie within 913 of the middle (standard error).
    assert abs(sum(kept) / 1000 - 50_000) < 4 * 913
