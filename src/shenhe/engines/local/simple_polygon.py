"""Polygons on the grid of whole numbers whose sides nowhere touch, and their beginnings.

A chain is the first corners of a polygon. Its sides touch nowhere but at the corner that two of
them share. It is completed by further corners and the side back to its first.
"""

from __future__ import annotations

from collections.abc import Sequence

Corner = tuple[int, int]
Chain = Sequence[Corner]


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
