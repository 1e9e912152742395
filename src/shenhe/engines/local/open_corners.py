"""Corners that a chain can be continued by: what its ends see of the grid, column by column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from shenhe.engines.local.simple_polygon import Chain, Corner, closes, extends

Span = tuple[int, int]
"""Whole numbers from the first to the second."""
MAX_COLUMNS = 256
"""Columns in which a corner is looked for; of more, some in equal steps and those near corners."""
_ROUND = 1e-7
_GOLDEN = 0.6180339887
"""Multiples of it, without their whole parts, are spread evenly."""


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
