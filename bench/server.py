"""Photos a second that one client sends to an instant server, and what they cost.

    python -m bench.server [--requests 20000] [--photos 256x256 640x512]

The server (tests.servers.scripted) answers at once, in a process of its own on the same two cores,
which its share of the processor time is taken from. Memory is what the client holds at each tenth.
Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from recipes.demo_checkpoint.draw import draw
from recipes.demo_checkpoint.lessons import photo_scene
from shenhe.config import load_missions, load_prompts
from shenhe.engines.base import EngineSpec
from shenhe.engines.options import ServerOptions
from shenhe.engines.server import ServerEngine
from shenhe.messages import Answer, Request
from shenhe.stages import summary
from tests.servers.starting import scripted

DRAWN = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--photos", nargs="+", default=["256x256", "640x512", "1280x960"])
    options = parser.parse_args()
    print(
        "| photos | requests | a second | client, ms of CPU each | server, ms | MB at each tenth |"
    )
    print("|---|---|---|---|---|---|")
    for size in options.photos:
        with tempfile.TemporaryDirectory() as folder:
            photos = draw_photos(Path(folder), size)
            _measure(photos, size, options.requests)


def _measure(photos: list[Path], size: str, count: int) -> None:
    own = psutil.Process()
    with scripted() as served:
        engine = ServerEngine(
            EngineSpec(model="scripted", engine=ServerOptions(base_url=served.url))
        )
        list(engine.answer(requests(photos, 200)))
        began, before = time.perf_counter(), cpu_ms(served.process.pid)
        memory = []
        for number, answer in enumerate(engine.answer(requests(photos, count)), 1):
            assert isinstance(answer, Answer)
            if number % (count // 10) == 0:
                memory.append(own.memory_info().rss / 1e6)
        seconds = time.perf_counter() - began
        after = cpu_ms(served.process.pid)
        client, server = ((a - b) / count for a, b in zip(after, before, strict=True))
        engine.close()
    tenths = ", ".join(f"{mb:.0f}" for mb in memory)
    print(
        f"| {size} | {count:,} | {count / seconds:.0f} | {client:.2f} | {server:.2f} | {tenths} |",
        flush=True,
    )


def requests(photos: list[Path], count: int) -> Iterator[Request]:
    """Yield requests for lines of `count` photos, cycling through a few."""
    mission, template = load_missions().get("挡风板安装检查"), load_prompts().summary
    for number, photo in zip(range(count), itertools.cycle(photos), strict=False):
        yield summary.request(str(number), photo, mission, template, 64)


def draw_photos(folder: Path, size: str) -> list[Path]:
    """Draw photos of one size."""
    width, height = map(int, size.split("x"))
    photos = []
    for index in range(DRAWN):
        path = folder / f"{index}.jpg"
        draw(photo_scene("test", index)).convert("RGB").resize((width, height)).save(path)
        photos.append(path)
    return photos


def cpu_ms(server: int) -> tuple[float, float]:
    """Return the CPU time of this process and of a server. Units: milliseconds of a core."""
    taken = (process.cpu_times() for process in (psutil.Process(), psutil.Process(server)))
    client, served = ((times.user + times.system) * 1000 for times in taken)
    return client, served


if __name__ == "__main__":
    main()
