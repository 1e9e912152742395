"""The rendered photos of a split, kept on disk as pixels, exactly as the model will see them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from recipes.demo_checkpoint.draw import draw
from recipes.demo_checkpoint.lessons import photo_scene
from recipes.demo_checkpoint.scenes import CANVAS, Scene
from shenhe.photos import resize

PATCH, MERGE = 16, 2
GRID = (1, CANVAS.height // PATCH, CANVAS.width // PATCH)
IMAGE_TOKENS = GRID[1] * GRID[2] // MERGE**2
_SHAPE = (CANVAS.height, CANVAS.width, 3)


@dataclass(frozen=True, slots=True)
class PhotoSet:
    """Scenes and their pixels. Shape: pixels (photos, height, width, 3) uint8."""

    scenes: list[Scene]
    pixels: np.ndarray

    def patches(self, indices: Sequence[int]) -> torch.Tensor:
        """Cut photos into patches in the merge order of Qwen3-VL, without the doubled time axis.

        Shape: (photos x patches, 3 x 16 x 16).  Units: -1 to 1.
        """
        photos = torch.from_numpy(self.pixels[list(indices)])
        rows, columns = GRID[1] // MERGE, GRID[2] // MERGE
        cut = photos.view(len(photos), rows, MERGE, PATCH, columns, MERGE, PATCH, 3)
        cut = cut.permute(0, 1, 4, 2, 5, 7, 3, 6).reshape(-1, 3 * PATCH**2)
        return cut.to(torch.bfloat16) / 127.5 - 1


def render_split(folder: Path, split: str, count: int, kinds: tuple[str, ...]) -> PhotoSet:
    """Render the photos of a split, once: a second call reads them from disk."""
    scenes = [photo_scene(split, index, kinds) for index in range(count)]
    path = folder / f"{split}-{count}.u8"
    if not path.exists():
        partial = path.with_suffix(".partial")
        pixels = np.memmap(partial, np.uint8, "w+", shape=(count, *_SHAPE))
        with ProcessPoolExecutor(2) as pool:
            for index, photo in enumerate(pool.map(seen_by_model, scenes, chunksize=64)):
                pixels[index] = photo
                if index % 1000 == 0:
                    print(f"rendered {index}/{count} photos of {split}", flush=True)
        pixels.flush()
        partial.rename(path)
    return PhotoSet(scenes, np.memmap(path, np.uint8, "r", shape=(count, *_SHAPE)))


def seen_by_model(scene: Scene) -> np.ndarray:
    """Draw a scene and bring it to the pixel budget, as `shenhe.photos` does."""
    return np.asarray(resize(draw(scene), CANVAS))
