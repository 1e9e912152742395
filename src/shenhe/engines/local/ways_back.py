"""Ways back: corners by which a chain becomes a polygon whose sides nowhere touch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain as chain_iterables
from itertools import islice, pairwise

from shenhe.engines.local.open_corners import open_corners
from shenhe.engines.local.simple_polygon import Chain, Corner, closes, completes, extends

MAX_DETOURS = 24
"""Single corners on a way back that are tried."""
MAX_HINTS = 4
"""Ends of a hint that are tried."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How many corners may still follow, and the largest coordinate."""

    least: int
    limit: int
    highest: int


def complete(
    chain: Chain, ending: Ending, hint: Sequence[Corner] = (), *, thorough: bool = True
) -> list[Corner] | None:
    """Find corners that complete a chain of three or more; None where no way back is found.

    `hint` is a way back from somewhere near. Ways back that take long to find are looked for only
    where `thorough` asks for it.

        >>> complete([(0, 0), (9, 0), (9, 9), (7, 2)], Ending(1, 9, 1000))
        [(3, 1)]
    """
    if ending.least <= 0 and closes(chain):
        return []
    ways = _short_ways(chain, ending, hint)
    for way in chain_iterables(ways, _long_ways(chain, ending)) if thorough else ways:
        if len(way) <= ending.limit:
            padded = _pad(chain, way, ending.least - len(way))
            if padded is not None:
                return padded
    return None


def _short_ways(chain: Chain, ending: Ending, hint: Sequence[Corner]) -> Iterator[list[Corner]]:
    """Yield corners that complete a chain: none, those of the hint, or one that is easily found."""
    if closes(chain):
        yield []
    for start in range(min(len(hint), MAX_HINTS)):
        if completes(chain, hint[start:]):
            yield list(hint[start:])
    (sx, sy), (tx, ty) = chain[0], chain[-1]
    if ending.limit > 0:
        for corner in ((sx, ty), (tx, sy), ((sx + tx) // 2, (sy + ty) // 2)):
            if completes(chain, [corner]):
                yield [corner]


def _long_ways(chain: Chain, ending: Ending) -> Iterator[list[Corner]]:
    """Yield corners that complete a chain: any one, or several that go back beside its sides."""
    whole = [(0, ending.highest)]
    if ending.limit > 0:
        corners = open_corners(chain, whole, whole, closing=True)
        yield from ([corner] for corner in islice(corners, MAX_DETOURS))
    if ending.limit > 1:
        for beside in (_beside(chain, 1), _beside(chain, -1)):
            if way := _follow(chain, [c for c in beside if _is_within(c, ending.highest)]):
                yield way


def _beside(chain: Chain, side: int) -> list[Corner]:
    """List the points next to a chain's corners on one side of it, from its end on."""
    points = []
    for before, corner, after in zip(chain, chain[1:], chain[2:], strict=False):
        (ax, ay), (bx, by) = _direction(before, corner), _direction(corner, after)
        # Where the chain turns to this side the point lies ahead of the turn, else behind it.
        x, y = side * -(ay + by), side * (ax + bx)
        if abs(x) + abs(y) < 1e-9:  # the chain turns back
            x, y = ax, ay
        longest = max(abs(x), abs(y))
        points.append((corner[0] + round(x / longest), corner[1] + round(y / longest)))
    return points[::-1]


def _direction(start: Corner, end: Corner) -> tuple[float, float]:
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = math.hypot(dx, dy)
    return dx / length, dy / length


def _follow(chain: Chain, points: Sequence[Corner]) -> list[Corner]:
    """Go from the end of a chain to its beginning by some of the points; empty if there is none."""
    whole, following = list(chain), 0
    while not closes(whole):
        indexes = range(len(points) - 1, following - 1, -1)
        index = next((index for index in indexes if extends(whole, points[index])), None)
        if index is None:
            return []
        whole.append(points[index])
        following = index + 1
    return whole[len(chain) :]


def _is_within(corner: Corner, highest: int) -> bool:
    return min(corner) >= 0 and max(corner) <= highest


def _pad(chain: Chain, way: list[Corner], count: int) -> list[Corner] | None:
    """Put further corners on the sides of a way back, the longest first."""
    legs = [list(leg) for leg in pairwise([chain[-1], *way, chain[0]])]
    lengths = [max(abs(bx - ax), abs(by - ay)) for (ax, ay), (bx, by) in legs]
    for index in sorted(range(len(legs)), key=lambda leg: -lengths[leg]):
        if count <= 0:
            break
        placed = min(count, lengths[index] - 1)
        count -= placed
        (ax, ay), (bx, by) = legs[index]
        legs[index][1:1] = [
            (ax + _share(bx - ax, step, placed), ay + _share(by - ay, step, placed))
            for step in range(1, placed + 1)
        ]
    padded = [corner for leg in legs for corner in leg[:-1]][1:]
    if count > 0 or (len(padded) > len(way) and not completes(chain, padded)):
        return None
    return padded


def _share(distance: int, step: int, placed: int) -> int:
    return round(distance * step / (placed + 1))
