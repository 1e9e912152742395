"""Does numpy resize photos to torch's pixels, and how long does it take?

    python -m bench.resizing [--sizes 2000]

Noise of random sizes, to random sizes of the model's: counts photos in which any value differs.
Then one thread's time for sizes that occur, Pillow's bicubic beside them, which has other pixels.
Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from PIL import Image

from shenhe.geometry import Size
from shenhe.photos import PixelBudget, resize
from shenhe.photos.resampling import resample

OCCURRING = ((2000, 1500), (4000, 3000), (1999, 1499), (1280, 960), (640, 480))
"""Photos of a phone, half decoded and whole; odd sides; a screen; a thumbnail."""
LARGEST, LARGEST_MODEL_SIDE = 2000, 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    different = sum(_differs(rng, index) for index in range(options.sizes))
    print(f"{options.sizes} photos of random sizes, {different} with any value that differs\n")
    print("| from | to | torch | numpy | Pillow | values of Pillow's that differ |")
    print("|---|---|---|---|---|---|")
    for width, height in OCCURRING:
        image = _noise(rng, width, height)
        size = PixelBudget().fit(Size(width, height))
        ways: tuple[Callable[[], Image.Image], ...] = (
            partial(resize, image, size),
            partial(resample, image, size),
            partial(image.resize, size, Image.Resampling.BICUBIC),
        )
        times = " | ".join(f"{_seconds(way, options.rounds) * 1e3:.1f} ms" for way in ways)
        share = (np.asarray(ways[0]()) != np.asarray(ways[2]())).mean()
        print(f"| {width}x{height} | {size.width}x{size.height} | {times} | {share:.2%} |")


def _noise(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def _differs(rng: np.random.Generator, index: int) -> bool:
    largest = LARGEST if index % 3 else LARGEST // 10
    width, height = map(int, rng.integers(1, largest, 2))
    image = _noise(rng, width, height)
    if index % 2:  # black beside white is where a cubic goes beyond both
        image = image.point(lambda value: 255 * (value > 127))
    size = Size(*(32 * int(side) for side in rng.integers(1, LARGEST_MODEL_SIDE, 2)))
    return not np.array_equal(np.asarray(resize(image, size)), np.asarray(resample(image, size)))


def _seconds(way: Callable[[], Image.Image], rounds: int) -> float:
    """The least time of several."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        way()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
