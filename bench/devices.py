"""Photos a second of one process, and of a worker on each of several devices.

    OMP_NUM_THREADS=1 python -m bench.devices [--photos 96] [--devices cpu,cpu] [--rounds 3]

Lines of Stage-A by the bundled checkpoint on rendered photos, all different. Each round measures
every way once, in turn, with the model loaded before; texts are compared. With OMP_NUM_THREADS=1 a
process on the CPU takes one core, as one GPU is taken. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

from recipes.demo_checkpoint.draw import draw
from recipes.demo_checkpoint.lessons import photo_scene
from shenhe.config import load_missions, load_prompts
from shenhe.engines.base import Engine, EngineSpec, engine_spec
from shenhe.engines.create import create_engine_here
from shenhe.engines.devices import DevicesEngine
from shenhe.engines.options import DevicesOptions, LocalOptions
from shenhe.messages import Answer, Request
from shenhe.stages import summary

MISSION = "挡风板安装检查"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=96)
    parser.add_argument("--devices", default="cpu,cpu")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    worker = LocalOptions(dtype="float32")
    spec = EngineSpec(
        model="demo", adapters=("demo",), batch_size=options.batch_size, engine=worker
    )
    several = engine_spec(spec, DevicesOptions(devices=(options.devices,), worker=worker))
    with tempfile.TemporaryDirectory() as folder:
        requests = _requests(Path(folder), options.photos)
        with closing(DevicesEngine(several, create_engine_here)) as over_devices:
            one_process = create_engine_here(spec)
            ways: dict[str, Engine] = {"one process": one_process, options.devices: over_devices}
            seconds, texts = _measure(ways, requests, options.rounds)
    (one_name, one), *_ = seconds.items()
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f}\n\n| | photos/s | ratio | same texts |")
    print("|---|---|---|---|")
    for name, taken in seconds.items():
        rate = options.photos / statistics.median(taken)
        ratio = statistics.median(a / b for a, b in zip(one, taken, strict=True))
        same = sum(texts[name][key] == text for key, text in texts[one_name].items())
        print(f"| {name} | {rate:.1f} | {ratio:.2f} | {same}/{options.photos} |")


def _measure(
    ways: dict[str, Engine], requests: list[Request], rounds: int
) -> tuple[dict[str, list[float]], dict[str, dict[str, str]]]:
    """Answer all requests by each way in turn, and return the seconds and the texts of each."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    texts: dict[str, dict[str, str]] = {}
    for engine in ways.values():
        list(engine.answer(requests[:8]))
    for _ in range(rounds):
        for name, engine in ways.items():
            start = time.perf_counter()
            answers = [answer for answer in engine.answer(requests) if isinstance(answer, Answer)]
            seconds[name].append(time.perf_counter() - start)
            texts[name] = {answer.key: answer.text for answer in answers}
    return seconds, texts


def _requests(folder: Path, count: int) -> list[Request]:
    mission, template = load_missions().get(MISSION), load_prompts().summary
    requests = []
    for index in range(count):
        photo = folder / f"{index:04d}.png"
        draw(photo_scene("test", index)).save(photo)
        requests.append(summary.request(photo.name, photo, mission, template, 96))
    return requests


if __name__ == "__main__":
    main()
