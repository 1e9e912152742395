"""Photos from disk to what a model is given: how many a second on one core, and how exactly.

    python -m bench.photos [--photos 24]

12-megapixel JPEGs of a phone's kind (several scales of detail, noise, quality 90) into Qwen3-VL's
default pixel budget, one thread. `Pillow` is the straight way: the whole photo decoded, Pillow's
bicubic. Differences are of values from 0 to 255 against it. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from shenhe.checkpoints.load import load_checkpoint
from shenhe.engines.patches import Patches
from shenhe.geometry import Size
from shenhe.photos import PixelBudget, load, open_upright, resize

SIZE = (4000, 3000)
SCALES = (8, 32, 128, 512)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=24)
    options = parser.parse_args()
    torch.set_num_threads(1)
    budget = PixelBudget()
    processor = load_checkpoint("demo").processor.image_processor
    patches = Patches(processor)
    with tempfile.TemporaryDirectory() as folder:
        paths = [
            phone_photo(Path(folder) / f"{index}.jpg", index) for index in range(options.photos)
        ]
        megabytes = sum(path.stat().st_size for path in paths) / len(paths) / 1e6
        print(
            f"{SIZE[0]}x{SIZE[1]}, {megabytes:.1f} MB each, to {tuple(budget.fit(Size(*SIZE)))}\n"
        )
        ways: dict[str, Callable[[Path], Image.Image]] = {
            "Pillow": lambda path: _by_pillow(path, budget),
            "whole photo, torch's bicubic": lambda path: _whole(path, budget),
            "`shenhe.photos`: half decoded, torch's bicubic": lambda path: load(path, budget).image,
        }
        print("| | photos/s on one core | mean difference | 99.9% within | largest |")
        print("|---|---|---|---|---|")
        exact = [np.asarray(ways["Pillow"](path)).astype(int) for path in paths]
        for name, way in ways.items():
            began = time.perf_counter()
            found = [way(path) for path in paths]
            taken = time.perf_counter() - began
            apart = np.stack(
                [
                    np.abs(np.asarray(image) - other)
                    for image, other in zip(found, exact, strict=True)
                ]
            )
            print(
                f"| {name} | {len(paths) / taken:.1f} | {apart.mean():.3f} |"
                f" {np.percentile(apart, 99.9):.0f} | {apart.max()} |"
            )
        image = load(paths[0], budget).image
        cuts: dict[str, Callable[[], object]] = {
            "the checkpoint's image processor": lambda: processor([image], do_resize=False),
            "`Patches.cut`": lambda: patches.cut(image),
        }
        for name, cut in cuts.items():
            cut()
            began = time.perf_counter()
            for _ in range(10):
                cut()
            print(f"\npatches by {name}: {(time.perf_counter() - began) * 100:.2f} ms a photo")


def _by_pillow(path: Path, budget: PixelBudget) -> Image.Image:
    image = open_upright(path)
    return image.resize(budget.fit(Size(*image.size)), Image.Resampling.BICUBIC)


def _whole(path: Path, budget: PixelBudget) -> Image.Image:
    image = open_upright(path)
    return resize(image, budget.fit(Size(*image.size)))


def phone_photo(path: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    total = np.zeros((SIZE[1], SIZE[0], 3), np.float32)
    for scale in SCALES:
        coarse = rng.standard_normal((SIZE[1] // scale + 2, SIZE[0] // scale + 2, 3))
        for channel in range(3):
            layer = Image.fromarray(coarse[..., channel].astype(np.float32))
            total[..., channel] += np.asarray(layer.resize(SIZE, Image.Resampling.BICUBIC))
    total = (total - total.min()) / np.ptp(total) * 255 + rng.standard_normal(total.shape) * 3
    Image.fromarray(total.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return path


if __name__ == "__main__":
    main()
