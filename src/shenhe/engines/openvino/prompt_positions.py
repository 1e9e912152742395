"""Positions of the tokens of a prompt: in time, and for photos in rows and columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def prompt_positions(
    tokens: NDArray[np.int64], image_token: int, grids: Sequence[tuple[int, int]]
) -> tuple[NDArray[np.int64], int]:
    """Compute position ids, and the position behind the prompt.

    Text goes on by one a token. The tokens of a photo share one position in time; their rows and
    columns count from there, and text goes on behind the largest of them.

        positions, behind = prompt_positions(np.array([5, 9, 9, 6]), 9, [(1, 2)])
        positions.tolist(), behind == [[0, 1, 1, 3], [0, 1, 1, 3], [0, 1, 2, 3]], 4

    Shape: tokens (tokens,), grids rows and columns of the tokens of each photo; (3, tokens) out.
    """
    parts, position, place = [], 0, 0
    for rows, columns in grids:
        start = place + int(np.argmax(tokens[place:] == image_token))
        parts.append(_text(position, start - place))
        position += start - place
        row, column = np.indices((rows, columns)).reshape(2, -1)
        parts.append(np.stack([np.zeros_like(row), row, column]) + position)
        position += max(rows, columns)
        place = start + rows * columns
    parts.append(_text(position, len(tokens) - place))
    return np.concatenate(parts, axis=1), position + len(tokens) - place


def _text(position: int, count: int) -> NDArray[np.int64]:
    return np.broadcast_to(np.arange(position, position + count), (3, count))
