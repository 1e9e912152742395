"""Photos cut into patches, one byte a value until the model needs floats.

A checkpoint's image processor maps every byte of a channel in the same way. It is run once over all
256 values of each channel: the patches equal its own bit by bit, in a tenth of its time and an
eighth of its memory.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from shenhe.checkpoints.interfaces import ImageProcessor
from shenhe.errors import CheckpointError

CHANNELS, VALUES = 3, 256


class Patches:
    """Cuts photos as a checkpoint's image processor does."""

    def __init__(self, processor: ImageProcessor) -> None:
        """Measure what the processor does to each byte.

        Raises: CheckpointError if it does something else than Qwen3-VL's does.
        """
        self.size, self.merge = int(processor.patch_size), int(processor.merge_size)
        self.frames = int(processor.temporal_patch_size)
        side = self.size * self.merge
        ramp = np.arange(2 * side * side, dtype=np.int64) % VALUES
        pixels = (
            np.stack([ramp, ramp[::-1], (ramp * 7) % VALUES], axis=-1)
            .astype(np.uint8)
            .reshape(side, 2 * side, CHANNELS)
        )
        expected = processor([Image.fromarray(pixels)], do_resize=False, return_tensors="pt")[
            "pixel_values"
        ]
        patches, _ = self.cut(pixels)
        table = torch.full((CHANNELS, VALUES), torch.nan)
        first_frames = expected.view(len(patches), CHANNELS, self.frames, -1)[:, :, 0]
        for channel in range(CHANNELS):
            values = patches.view(len(patches), CHANNELS, -1)[:, channel].reshape(-1).long()
            table[channel, values] = first_frames[:, channel].reshape(-1)
        self._table = table
        if not torch.equal(self.floats(patches), expected):
            raise CheckpointError(
                f"preprocessor_config.json: {type(processor).__name__} lays photos out in another"
                " way than Qwen3-VL does"
            )

    def cut(self, pixels: NDArray[np.uint8]) -> tuple[torch.Tensor, tuple[int, int, int]]:
        """Cut an RGB photo whose sides are multiples of patch x merge, in the model's order.

        Shape: pixels (height, width, channels); patches (patches, channels, size, size), and
        (frames, rows, columns) of them.
        """
        size, merge = self.size, self.merge
        rows, columns = pixels.shape[0] // size, pixels.shape[1] // size
        blocks = pixels.reshape(
            rows // merge, merge, size, columns // merge, merge, size, CHANNELS
        ).transpose(0, 3, 1, 4, 6, 2, 5)
        patches = np.ascontiguousarray(blocks).reshape(rows * columns, CHANNELS, size, size)
        return torch.from_numpy(patches), (1, rows, columns)

    def floats(self, patches: torch.Tensor) -> torch.Tensor:
        """Convert patches to the model's input.

        Shape: (patches, channels, size, size) bytes in, (patches, channels x frames x size x size)
        float32 out.
        """
        count = len(patches)
        table = self._table.to(patches.device)
        flat = patches.view(count, CHANNELS, -1)
        parts = [table[channel][flat[:, channel].int()] for channel in range(CHANNELS)]
        values = torch.stack(parts, dim=1)[:, :, None].expand(-1, -1, self.frames, -1)
        return values.reshape(count, -1)
