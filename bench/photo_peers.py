"""JPEG loading beside libvips, libjpeg-turbo and Pillow: one thread, rounds interleaved.

    python -m bench.photo_peers [--photos 4] [--rounds 9]

From a file of 12 megapixels to an array of RGB at the size that the model takes. Of each way:
milliseconds of a processor and of the clock (medians of all photos and rounds), the processor's
time as a multiple of that of `shenhe.photos.load` (median of the pairs of one photo and round), and
the difference from Pillow's whole photo with its bicubic, on a scale of 0 to 255. shenhe looks for
damage, hashes the file and takes the photo's facts meanwhile; the others only load. The peers are
installed into .peers/photos when they are not there. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from PIL import Image

from bench.photos import SIZE, phone_photo
from shenhe.geometry import Size
from shenhe.photos import PixelBudget, load
from shenhe.photos.raster import Raster
from shenhe.photos.sizing import resize_raster
from tests.peers.environments import installed_beside

PEERS = ("pyvips==3.2.0", "pyvips-binary==8.18.7", "opencv-python-headless==5.0.0.93")
Pixels = NDArray[np.uint8]
Way = Callable[[Path], Pixels]
BICUBIC = Image.Resampling.BICUBIC


class Cost(NamedTuple):
    """What a photo took. Units: milliseconds."""

    processor: float
    passed: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    size = PixelBudget().fit(Size(*SIZE))
    ways: dict[str, Way] = {
        "`shenhe.photos.load`": lambda path: load(path, PixelBudget()).raster.array,
        "Pillow, whole": partial(by_pillow, size=size),
        "Pillow, at half its size": partial(by_pillow, size=size, drafted=True),
        **ways_of_peers(size),
    }
    with tempfile.TemporaryDirectory() as folder:
        paths = [
            phone_photo(Path(folder, f"{index}.jpg"), index) for index in range(options.photos)
        ]
        megabytes = sum(path.stat().st_size for path in paths) / len(paths) / 1e6
        print(f"{SIZE[0]}x{SIZE[1]}, {megabytes:.1f} MB each, to {size.width}x{size.height}\n")
        report(ways, paths, options.rounds)


def report(ways: dict[str, Way], paths: list[Path], rounds: int) -> None:
    """Measure every way and print its line; the first is what the others are compared with."""
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    for index in range(rounds):
        # Each in another's place in every round: what ran before leaves its memory in the caches.
        order = list(ways)[index % len(ways) :] + list(ways)[: index % len(ways)]
        for path in paths:
            for name in order:
                costs[name].append(measure(ways[name], path))
    ours = [cost.processor for cost in next(iter(costs.values()))]
    size = PixelBudget().fit(Size(*SIZE))
    whole = np.stack([by_pillow(path, size) for path in paths]).astype(int)
    print("| | processor, ms | passed, ms | times shenhe | mean difference | 99.9% | largest |")
    print("|---|---|---|---|---|---|---|")
    for name, taken in costs.items():
        processor, passed = map(statistics.median, zip(*taken, strict=True))
        pairs = zip(taken, ours, strict=True)
        times = statistics.median(cost.processor / own for cost, own in pairs)
        difference = np.abs(np.stack([ways[name](path) for path in paths]) - whole)
        print(
            f"| {name} | {processor:.1f} | {passed:.1f} | {times:.2f} | {difference.mean():.3f} |"
            f" {np.percentile(difference, 99.9):.0f} | {difference.max()} |"
        )


def measure(way: Way, path: Path) -> Cost:
    passed, processor = time.perf_counter(), time.process_time()
    way(path)
    return Cost((time.process_time() - processor) * 1e3, (time.perf_counter() - passed) * 1e3)


def by_pillow(path: Path, size: Size, *, drafted: bool = False) -> Pixels:
    with Image.open(path) as image:
        if drafted:
            image.draft("RGB", (SIZE[0] // 2, SIZE[1] // 2))
        return np.asarray(image.resize(size, BICUBIC))


def ways_of_peers(size: Size) -> dict[str, Way]:
    """Import the peers, with one thread each, and name their ways.

    libvips' thumbnail and OpenCV's area average; OpenCV's cubic takes single pixels, which is
    quicker and shows in its differences.
    """
    sys.path.append(str(installed_beside("photos", PEERS)))  # last: our numpy stays ours
    os.environ["VIPS_CONCURRENCY"] = "1"
    vips, opencv = import_module("pyvips"), import_module("cv2")
    vips.cache_set_max(0)
    opencv.setNumThreads(1)

    def thumbnail(path: Path) -> Pixels:
        made: Pixels = vips.Image.thumbnail(
            str(path), size.width, height=size.height, size="force"
        ).numpy()
        return made

    def by_opencv(pixels: Pixels, how: str) -> Pixels:
        resized: Pixels = opencv.resize(pixels, size, interpolation=getattr(opencv, how))
        return resized

    half, least = Size(SIZE[0] // 2, SIZE[1] // 2), size
    return {
        "libvips, thumbnail": thumbnail,
        "libvips, whole, cubic": partial(by_vips, vips, size=size, shrink=1),
        "libvips, at half its size, cubic": partial(by_vips, vips, size=size, shrink=2),
        "libjpeg-turbo, half, Pillow's bicubic": lambda path: np.asarray(
            Image.fromarray(by_turbo(path, half)).resize(size, BICUBIC)
        ),
        "libjpeg-turbo, half, OpenCV's area": lambda path: by_opencv(
            by_turbo(path, half), "INTER_AREA"
        ),
        "libjpeg-turbo, 3/8, OpenCV's area": lambda path: by_opencv(
            by_turbo(path, least), "INTER_AREA"
        ),
        "libjpeg-turbo, 3/8, OpenCV's cubic": lambda path: by_opencv(
            by_turbo(path, least), "INTER_CUBIC"
        ),
        "libjpeg-turbo, half, shenhe's resize": lambda path: (
            resize_raster(Raster(by_turbo(path, half)), size).array
        ),
    }


def by_vips(vips: Any, path: Path, size: Size, shrink: int) -> Pixels:
    image = vips.Image.new_from_file(str(path), access="sequential", shrink=shrink).autorot()
    resized: Pixels = image.resize(
        size.width / image.width, vscale=size.height / image.height, kernel="cubic"
    ).numpy()
    return resized


def by_turbo(path: Path, least: Size) -> Pixels:
    """Decode at the smallest size that is not smaller than `least`."""
    pixels: Pixels = simplejpeg.decode_jpeg(
        path.read_bytes(), min_width=least.width, min_height=least.height, min_factor=1
    )
    return pixels


if __name__ == "__main__":
    main()
