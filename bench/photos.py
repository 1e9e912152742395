"""Throughput and accuracy of photo loading on one core.

    python -m bench.photos [--photos 24]

12-megapixel JPEGs like a phone's (several scales of detail, noise, quality 90) are loaded into
Qwen3-VL's default pixel budget in one thread. `Pillow` is the baseline: the photo decoded at full
size and resized with Pillow's bicubic; differences are against it, on a scale of 0 to 255. Then the
cost of completeness checks by kind: decoding with Pillow, and with `shenhe.photos`. Prints Markdown
tables.
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
from shenhe.engines.local.patches import Patches
from shenhe.geometry import Size
from shenhe.photos import PixelBudget, load, open_upright, resize
from shenhe.photos.decoding import PLUGINS, decode

SIZE = (4000, 3000)
SCALES = (8, 32, 128, 512)
KINDS: tuple[tuple[str, str, dict[str, int | str | bool], bool], ...] = (
    ("JPEG at half its size", "JPEG", {"quality": 90}, True),
    ("JPEG whole", "JPEG", {"quality": 90}, False),
    ("JPEG, progressive, at half its size", "JPEG", {"quality": 90, "progressive": True}, True),
    ("HEIC of 48 tiles", "HEIC", {"quality": 60, "tile_size": 512}, False),
    ("PNG", "PNG", {"compress_level": 1}, False),
    ("WebP", "WEBP", {"quality": 80, "method": 0}, False),
    ("TIFF, LZW", "TIFF", {"compression": "tiff_lzw"}, False),
)
"""Name, kind, options of `Image.save`, and whether it is decoded at half its size."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
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
            start = time.perf_counter()
            images = [way(path) for path in paths]
            seconds = time.perf_counter() - start
            difference = np.stack(
                [
                    np.abs(np.asarray(image) - reference)
                    for image, reference in zip(images, exact, strict=True)
                ]
            )
            print(
                f"| {name} | {len(paths) / seconds:.1f} | {difference.mean():.3f} |"
                f" {np.percentile(difference, 99.9):.0f} | {difference.max()} |"
            )
        photo = load(paths[0], budget)
        cuts: dict[str, Callable[[], object]] = {
            "the checkpoint's image processor": lambda: processor(
                [photo.image], do_resize=False, return_tensors="pt"
            ),
            "`Patches.cut`": lambda: patches.cut(photo.raster.array),
        }
        for name, cut in cuts.items():
            cut()
            start = time.perf_counter()
            for _ in range(10):
                cut()
            print(f"\npatches by {name}: {(time.perf_counter() - start) * 100:.2f} ms a photo")
        _checks(Path(folder), paths[0], options.rounds)


def _checks(folder: Path, photo: Path, rounds: int) -> None:
    """Print the cost of completeness checks beside that of decoding."""
    print("\n| | Pillow, ms of a processor | looked at, ms | ratio |\n|---|---|---|---|")
    with Image.open(photo) as file:
        image = file.convert("RGB")
    half = Size(SIZE[0] // 2, SIZE[1] // 2)
    for name, kind, options, halved in KINDS:
        path = folder / f"check.{kind}"
        image.save(path, PLUGINS.get(kind, kind), **options)
        size = half if halved else Size(*SIZE)
        milliseconds = [float("inf")] * 2
        for _ in range(rounds):
            for index, way in enumerate((_decode, _decode_and_check)):
                start = time.process_time()
                way(path, kind, size)
                elapsed = (time.process_time() - start) * 1e3
                milliseconds[index] = min(milliseconds[index], elapsed)
        plain, checked = milliseconds
        print(f"| {name} | {plain:.1f} | {checked:.1f} | {checked / plain:.2f} |", flush=True)


def _decode(path: Path, kind: str, size: Size) -> None:
    with Image.open(path) as image:
        if kind == "JPEG":
            image.draft("RGB", size)
        image.convert("RGB").load()


def _decode_and_check(path: Path, kind: str, size: Size) -> None:
    decode(path, kind, path.read_bytes(), size)


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
