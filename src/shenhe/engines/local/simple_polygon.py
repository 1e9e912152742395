"""Polygons on the grid of whole numbers whose sides nowhere touch: which beginnings can be ended.

A chain is the first corners of a polygon. Its sides touch nowhere but at the corner that two of
them share. It is completed by further corners and the side back to its first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain as chain_iterables
from itertools import islice, pairwise

import numpy as np
from numpy.typing import NDArray

Corner = tuple[int, int]
Chain = Sequence[Corner]
Span = tuple[int, int]
"""Whole numbers from the first to the second."""

MAX_COLUMNS = 256
"""Columns in which a corner is looked for; of more, some in equal steps and those near corners."""
MAX_DETOURS = 24
"""Corners on a way back that are tried on each side of it."""
MAX_HINTS = 4
"""Ends of a hint that are tried."""
_ROUND = 1e-7
_GOLDEN = 0.6180339887
"""Multiples of it, without their whole parts, are spread evenly."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How many corners may still follow, and the largest coordinate."""

    least: int
    limit: int
    highest: int


def extends(chain: Chain, corner: Corner) -> bool:
    """Whether the side from the last corner to a new one touches no other side.

    >>> extends([(0, 0), (9, 0), (5, 5)], (5, 0))
    False
    """
    return corner not in chain and _is_free(chain, corner)


def closes(chain: Chain) -> bool:
    """Whether the side from the last corner back to the first touches no other side.

    >>> closes([(0, 0), (9, 0), (5, 5)])
    True
    """
    return len(chain) > 2 and _is_free(chain, chain[0])


def completes(chain: Chain, further: Sequence[Corner]) -> bool:
    """Whether further corners make a polygon of a chain."""
    whole = list(chain)
    for corner in further:
        if not extends(whole, corner):
            return False
        whole.append(corner)
    return closes(whole)


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


def open_corners(
    chain: Chain, columns: Sequence[Span], rows: Sequence[Span], *, closing: bool
) -> Iterator[Corner]:
    """Yield corners that extend a chain, and close it if asked for, in given columns and rows.

    At least one a column is found if there is any, unless there are more than MAX_COLUMNS.
    """
    xs = _choose_columns(chain, columns)
    corners = np.array(chain, dtype=np.int64)
    blocked = [_blocked(xs, corners[::-1])] + ([_blocked(xs, corners)] if closing else [])
    low = np.concatenate([spans[0] for spans in blocked], axis=1)
    high = np.concatenate([spans[1] for spans in blocked], axis=1)
    for first, last in rows:
        ys = np.concatenate([np.full((len(xs), 1), first), high + 1, low - 1], axis=1)
        is_open = (ys >= first) & (ys <= last)
        is_open &= ~((low[:, None] <= ys[:, :, None]) & (ys[:, :, None] <= high[:, None])).any(2)
        found = np.argwhere(is_open)
        for column, index in found[(np.arange(len(found)) * _GOLDEN % 1).argsort()]:
            corner = int(xs[column]), int(ys[column, index])
            if extends(chain, corner) and (not closing or closes([*chain, corner])):
                yield corner


def _is_free(chain: Chain, to: Corner) -> bool:
    """Whether the side from the last corner to a point touches no side but at shared corners."""
    ax, ay = chain[-1]
    bx, by = to
    left, right = (ax, bx) if ax < bx else (bx, ax)
    top, bottom = (ay, by) if ay < by else (by, ay)
    ex, ey = bx - ax, by - ay
    last = len(chain) - 2
    for index in range(last + 1):
        cx, cy = chain[index]
        dx, dy = chain[index + 1]
        if (
            (cx < left and dx < left)
            or (cx > right and dx > right)
            or (cy < top and dy < top)
            or (cy > bottom and dy > bottom)
        ):
            continue
        of_c = ex * (cy - ay) - ey * (cx - ax)
        of_d = ex * (dy - ay) - ey * (dx - ax)
        if index == last:  # ends where the new side begins
            if of_c == 0 and ex * (cx - ax) + ey * (cy - ay) > 0:
                return False
            if cx != bx or cy != by:
                continue
        if index == 0 and cx == bx and cy == by:  # begins where the new side ends
            if of_d == 0 and ex * (bx - dx) + ey * (by - dy) > 0:
                return False
            continue
        if (of_c > 0 and of_d > 0) or (of_c < 0 and of_d < 0):
            continue
        fx, fy = dx - cx, dy - cy
        of_a = fx * (ay - cy) - fy * (ax - cx)
        of_b = fx * (by - cy) - fy * (bx - cx)
        if (of_a > 0 and of_b > 0) or (of_a < 0 and of_b < 0):
            continue
        return False
    return True


# --- ways back ---


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


# --- what is seen from the ends of a chain ---


def _choose_columns(chain: Chain, columns: Sequence[Span]) -> NDArray[np.int64]:
    xs = np.concatenate([np.arange(first, last + 1) for first, last in columns])
    if len(xs) <= MAX_COLUMNS:
        return xs
    near = np.array([x + offset for x, _ in chain for offset in (-1, 0, 1)])
    steps = xs[np.linspace(0, len(xs) - 1, MAX_COLUMNS // 2, dtype=np.int64)]
    return np.unique(np.concatenate([steps, near[np.isin(near, xs)]]))


def _blocked(
    xs: NDArray[np.int64], chain: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the rows that the first corner of a chain cannot be joined to, as the chain is between.

    Shape: (columns,) and (corners, 2) in; the first and the last of (columns, sides + 1) spans out.
    """
    (vx, vy), reach = chain[0], 4 * int(max(chain.max(), xs.max()) + 1)
    dx = (xs - vx)[:, None].astype(float)
    sides = np.stack([chain[:-1], chain[1:]], axis=1).astype(float)
    # The corner itself, and the side that begins there, which a new one must not run along.
    ux, uy = chain[1] - chain[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        along = np.where(dx * ux > 0, vy + uy * dx / ux, np.nan)
    low, high = np.ceil(along - _ROUND), np.floor(along + _ROUND)
    vertical = (dx == 0) & np.full_like(dx, ux == 0, dtype=bool)
    low = np.where(vertical, vy if uy > 0 else -reach, low)
    high = np.where(vertical, reach if uy > 0 else vy, high)
    itself = (dx == 0) & ~vertical
    low, high = np.where(itself, vy, low), np.where(itself, vy, high)
    lows, highs = [low], [high]
    if len(sides) > 1:
        other = _shadows(dx, sides[1:] - (vx, vy), float(reach))
        lows.append(np.ceil(vy + other[0] - _ROUND))
        highs.append(np.floor(vy + other[1] + _ROUND))
    first, last = np.concatenate(lows, axis=1), np.concatenate(highs, axis=1)
    empty = np.isnan(first) | np.isnan(last) | (first > last)
    first, last = np.where(empty, reach, first), np.where(empty, reach - 1, last)
    clip = (-reach, reach)
    return first.clip(*clip).astype(np.int64), last.clip(*clip).astype(np.int64)


def _shadows(
    dx: NDArray[np.float64], sides: NDArray[np.float64], reach: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the rows that sides hide from the origin, in columns at some distance from it.

    Shape: (columns, 1) and (sides, 2, 2) in; the first and the last of (columns, sides) out, NaN
    where a side hides nothing.
    """
    (cx, cy), (ex, ey) = sides[:, 0].T, sides[:, 1].T
    with np.errstate(divide="ignore", invalid="ignore"):
        # How far each end of a side is on the way to the column: 0 at the origin, 1 there.
        near, far = cx / dx, ex / dx
        swap = near > far
        near, far = np.where(swap, far, near), np.where(swap, near, far)
        y_near, y_far = np.where(swap, ey, cy), np.where(swap, cy, ey)
        slope = np.where(far > near, (y_far - y_near) / (far - near), 0.0)
        begin, end = np.maximum(near, 0), np.minimum(far, 1)
        at_begin = y_near + slope * (begin - near)
        seen_begin = np.where(begin > 0, at_begin / begin, np.sign(at_begin) * reach)
        seen_end = np.where(far > near, (y_near + slope * (end - near)) / end, y_far / far)
        hides = (far > 0) & (near <= 1)
    low = np.where(hides, np.minimum(seen_begin, seen_end), np.nan)
    high = np.where(hides, np.maximum(seen_begin, seen_end), np.nan)
    # In the column of the origin itself, a side hides everything behind it.
    cross = (dx == 0) & (np.minimum(cx, ex) <= 0) & (np.maximum(cx, ex) >= 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        rows = np.where(cx == ex, np.minimum(np.abs(cy), np.abs(ey)) * np.sign(cy), 0.0)
        rows = np.where(cx != ex, cy - cx * (ey - cy) / (ex - cx), rows)
    low = np.where(dx == 0, np.where(cross, np.where(rows > 0, rows, -reach), np.nan), low)
    high = np.where(dx == 0, np.where(cross, np.where(rows > 0, reach, rows), np.nan), high)
    return low, high
