"""Photos cut into patches, and the places of those patches, as the vision tower takes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shenhe.engines.openvino.exported import Exported

CHANNELS = 3
VALUES = 256


class PhotoPatches:
    """Cuts photos as Qwen3-VL's own image processor does."""

    def __init__(self, exported: Exported) -> None:
        self._exported = exported
        mean, deviation = (np.array(v)[:, None] for v in (exported.mean, exported.deviation))
        scaled = np.arange(VALUES) / (VALUES - 1)
        self._table = ((scaled - mean) / deviation).astype(np.float32)

    def cut(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Cut an RGB photo whose sides are multiples of patch x merge, in the model's order.

        Shape: pixels (height, width, channels); patches (merged rows, merged columns, merge, merge,
        channels, size, size).
        """
        size, merge = self._exported.patch, self._exported.merge
        rows, columns = pixels.shape[0] // (size * merge), pixels.shape[1] // (size * merge)
        blocks = pixels.reshape(rows, merge, size, columns, merge, size, CHANNELS)
        return np.ascontiguousarray(blocks.transpose(0, 3, 1, 4, 6, 2, 5))

    def floats(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Convert patches to the model's input; each stands in all frames.

        Shape: as of `cut`; (patches, channels x frames x size x size) out.
        """
        flat = patches.reshape(-1, CHANNELS, 1, self._exported.patch**2)
        values = np.stack([self._table[c][flat[:, c]] for c in range(CHANNELS)], axis=1)
        return np.repeat(values, self._exported.frames, axis=2).reshape(len(flat), -1)


class PatchPlaces:
    """Where patches lie in their photo: angles of rotation, and learned positions to mix."""

    def __init__(self, exported: Exported) -> None:
        self._merge, self._grid = exported.merge, exported.grid
        half = exported.tower_head // 2
        powers = np.arange(0, half, 2, dtype=np.float32) / half
        self._frequencies = (1.0 / exported.tower_theta**powers).astype(np.float32)

    def angles(self, rows: int, columns: int) -> NDArray[np.float32]:
        """Compute the angles of each patch of a photo of so many image tokens.

        Shape: (patches, half of a head): those of rows before those of columns.
        """
        places = np.stack(self._rows_and_columns(rows, columns), axis=-1).astype(np.float32)
        return (places[:, :, None] * self._frequencies).reshape(len(places), -1)

    def corners(self, rows: int, columns: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find the four learned positions around each patch, and their shares in it.

        Shape: (4, patches) twice.
        """
        sides = (rows * self._merge, columns * self._merge)
        indices, shares = [], []
        for place, side in zip(self._rows_and_columns(rows, columns), sides, strict=True):
            exact = np.linspace(0, self._grid - 1, side, dtype=np.float32)[place]
            low = exact.astype(np.int64)
            indices.append((low, np.minimum(low + 1, self._grid - 1)))
            shares.append((1 - (exact - low.astype(np.float32)), exact - low.astype(np.float32)))
        pairs = [(row, column) for row in range(2) for column in range(2)]
        return (
            np.stack([indices[0][r] * self._grid + indices[1][c] for r, c in pairs]),
            np.stack([shares[0][r] * shares[1][c] for r, c in pairs]).astype(np.float32),
        )

    def _rows_and_columns(
        self, rows: int, columns: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """List the row and the column of each patch, in the order of `PhotoPatches.cut`."""
        merge = self._merge
        row, column, inner_row, inner_column = np.indices((rows, columns, merge, merge))
        return (row * merge + inner_row).ravel(), (column * merge + inner_column).ravel()
