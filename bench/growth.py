"""Growth of the local engine's time with the number of photos: 100, 1,000 and 10,000 lines.

    python -m bench.growth [--photos 100 1000 10000]

The bundled checkpoint answers photos that differ in one pixel at least, so that deduplication finds
none. Prints a table in Markdown; memory is that of the process after each tenth of the photos.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from PIL import Image

from recipes.demo_checkpoint.draw import draw
from recipes.demo_checkpoint.lessons import photo_scene
from shenhe.config import load_missions, load_prompts
from shenhe.engines.base import EngineSpec
from shenhe.engines.local.engine import LocalEngine
from shenhe.engines.options import LocalOptions
from shenhe.messages import Answer, Request
from shenhe.stages import summary

DRAWN = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, nargs="+", default=[100, 1_000, 10_000])
    options = parser.parse_args()
    scenes = [draw(photo_scene("test", index)).resize((320, 256)) for index in range(DRAWN)]
    engine = LocalEngine(
        EngineSpec(model="demo", adapters=("demo",), engine=LocalOptions(dtype="float32"))
    )
    engine.merge_adapters()
    print("| photos | seconds | photos/s | MB at each tenth |")
    print("|---|---|---|---|")
    for count in options.photos:
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            memory: list[float] = []
            answers = engine.answer(_requests(scenes, count, Path(folder)))
            for done, answer in enumerate(answers, 1):
                assert isinstance(answer, Answer)
                if done * 10 // count > len(memory):
                    memory.append(psutil.Process().memory_info().rss / 1e6)
            seconds = time.monotonic() - began
        cells = ", ".join(f"{megabytes:.0f}" for megabytes in memory)
        print(f"| {count:,} | {seconds:.1f} | {count / seconds:.1f} | {cells} |", flush=True)


def _requests(scenes: list[Image.Image], count: int, folder: Path) -> Iterator[Request]:
    """Yield requests for photos while these are written to disk, which counts too."""
    template, mission = load_prompts().summary, next(iter(load_missions()))
    for number in range(count):
        image = scenes[number % len(scenes)].copy()
        image.putpixel((number % 320, number // 320 % 256), (number % 251, 7, 13))
        path = folder / f"{number}.png"
        image.save(path, compress_level=0)
        yield summary.request(str(number), path, mission, template, 64)


if __name__ == "__main__":
    main()
