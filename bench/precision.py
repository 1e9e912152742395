"""Effect of dtype, int8 and attention on answers and speed, on photos outside the training set.

    python -m bench.precision [--model demo --adapters demo] [--photos 64]

Each way captions the same photos and writes their lines, greedily, in batches of 8, in one process,
the ways interleaved round by round. `same` counts answers equal to those of float32 with sdpa.
Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from recipes.demo_checkpoint.draw import draw
from recipes.demo_checkpoint.lessons import photo_scene
from shenhe.config import load_missions, load_prompts
from shenhe.engines.base import EngineSpec
from shenhe.engines.local.engine import LocalEngine
from shenhe.engines.options import LocalOptions
from shenhe.messages import Answer, Request
from shenhe.stages import caption, summary

WAYS: dict[str, LocalOptions] = {
    "float32": LocalOptions(dtype="float32"),
    "float32, eager": LocalOptions(dtype="float32", attn_impl="eager"),
    "float32, int8": LocalOptions(dtype="float32", quantize="int8"),
    "bfloat16": LocalOptions(dtype="bfloat16"),
    "bfloat16, eager": LocalOptions(dtype="bfloat16", attn_impl="eager"),
    "bfloat16, int8": LocalOptions(dtype="bfloat16", quantize="int8"),
}
ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--adapters", nargs="*", default=["demo"])
    parser.add_argument("--photos", type=int, default=64)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        requests = _requests(Path(folder), options.photos)
        engines = {
            name: LocalEngine(
                EngineSpec(
                    model=options.model, adapters=tuple(options.adapters), batch_size=8, engine=way
                )
            )
            for name, way in WAYS.items()
        }
        texts: dict[str, dict[str, str]] = {}
        seconds: dict[str, list[float]] = {name: [] for name in WAYS}
        for _ in range(ROUNDS):
            for name, engine in engines.items():
                began = time.monotonic()
                texts[name] = {
                    answer.key: answer.text
                    for answer in engine.answer(requests)
                    if isinstance(answer, Answer)
                }
                seconds[name].append(time.monotonic() - began)
    exact, floor = texts["float32"], statistics.median(seconds["float32"])
    print("| way | captions same | lines same | answers/s | times float32 | weights MB |")
    print("|---|---|---|---|---|---|")
    for name, answers in texts.items():
        median = statistics.median(seconds[name])
        equal = {
            kind: sum(answers[key] == exact[key] for key in exact if key.startswith(kind))
            for kind in ("caption", "line")
        }
        print(
            f"| {name} | {equal['caption']}/{options.photos} | {equal['line']}/{options.photos} |"
            f" {len(answers) / median:.1f} | {floor / median:.2f} |"
            f" {engines[name].weight_bytes / 1e6:.1f} |"
        )


def _requests(folder: Path, count: int) -> list[Request]:
    prompts, mission = load_prompts(), next(iter(load_missions()))
    requests = []
    for index in range(count):
        path = folder / f"{index:04d}.png"
        draw(photo_scene("test", index)).save(path)
        requests.append(caption.request(f"caption {index}", [path], prompts.caption, 400))
        key = f"line {index}"
        requests.append(summary.request(key, path, mission, prompts.summary, 400))
    return requests


if __name__ == "__main__":
    main()
