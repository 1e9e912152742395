"""The cost of a HEIC beside that of a JPEG, and where it goes.

    python -m bench.heic [--rounds 7]

The same picture of 12 megapixels, like a phone's, as a JPEG, as a HEIC of 48 tiles, as iPhones
write it, and as a HEIC in one piece. `decoder`: libheif with libde265, up to RGB, in one thread.
`loaded`: all of `shenhe.photos.load`, up to the size that the model takes. Both are milliseconds of
a processor, the minimum of the rounds. `one at a time`: seconds that pass until a photo is loaded,
with so many threads of the decoder, the median. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pillow_heif
import torch
from PIL import Image

from bench.photos import phone_photo
from shenhe.photos import PixelBudget, load

THREADS = (1, 2, 4)
BY_DEFAULT = pillow_heif.options.DECODE_THREADS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds: int = parser.parse_args().rounds
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        jpeg = phone_photo(Path(folder) / "photo.jpg", 0)
        with Image.open(jpeg) as file:
            image = file.convert("RGB")
        tiles, whole = Path(folder) / "tiles.heic", Path(folder) / "whole.heic"
        image.save(tiles, quality=60, tile_size=512)
        image.save(whole, quality=60)
        threads = ", ".join(map(str, THREADS))
        print(f"| | MB | decoder, ms | loaded, ms | one at a time, s, {threads} threads |")
        print("|---|---|---|---|---|")
        for name, path in (("JPEG", jpeg), ("HEIC, 48 tiles", tiles), ("HEIC, one piece", whole)):
            _print(name, path, rounds)


def _print(name: str, path: Path, rounds: int) -> None:
    data, budget = path.read_bytes(), PixelBudget()
    pillow_heif.options.DECODE_THREADS = 1
    decoder = "-"
    if path.suffix == ".heic":
        decoder = f"{_processor_ms(lambda: _decode(data), rounds):.0f}"
    loaded = _processor_ms(lambda: load(path, budget), rounds)
    seconds = []
    for pillow_heif.options.DECODE_THREADS in THREADS if path.suffix == ".heic" else (1,):
        seconds.append(f"{_passing_seconds(lambda: load(path, budget), rounds):.3f}")
    waits = ", ".join(seconds)
    pillow_heif.options.DECODE_THREADS = BY_DEFAULT
    print(f"| {name} | {len(data) / 1e6:.1f} | {decoder} | {loaded:.0f} | {waits} |", flush=True)


def _decode(data: bytes) -> None:
    pillow_heif.open_heif(io.BytesIO(data))[0].load()


def _processor_ms(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times) * 1e3


def _passing_seconds(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    main()
