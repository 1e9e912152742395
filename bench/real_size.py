"""Engines at real size, beside the limit of the machine: random checkpoints in the 2B and 4B shape.

    python -m bench.real_size --folder SOMEWHERE [--size 2B|4B] [--engines NAME ...] [--tokens 48]
        [--photos 2] [--pixels 1024x768] [--openvino DIR] [--profile] [--keep]

Each engine answers the same photos in a process of its own, one after the other: `bfloat16` and
`int8` are the local engine; `transformers` is the library alone (sdpa, all photos in one batch),
and `transformers-eager` and `transformers-single` (photo by photo) as well, the best of them
counts; `llama.cpp` runs a Q8_0 file with a float16 tower; `openvino` the folder that the recipe
exported of this very checkpoint (`--keep` it, then `--openvino DIR`). Nothing is warmed up: `first`
is the time to the first token, `whole` to the last answer, both after loading. What the machine can
do at best is measured before the engines and after them (`bench.real_limits`): operations by the
fastest product of torch in bfloat16 at the model's shapes, and weights read once a step by the
fastest reading. `products` is the time of the job's matrix products in bfloat16 alone
(`bench.real_products`), the mean of a run right before the engine and one right after it: the limit
of a shared machine at that moment. Needs npm, a quiet machine, 4.3 GB on disk for 2B and 8.9 for
4B, 3 and 5 more for llama.cpp. Prints tables in Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.merge import SHAPES
from bench.real_checkpoint import config_of, make_photos
from bench.real_limits import Machine, Part, least_seconds, machine_of, parts_of

NAMES = {
    "bfloat16": "shenhe, bfloat16",
    "int8": "shenhe, int8",
    "transformers": "transformers, bfloat16, one batch",
    "transformers-eager": "transformers, bfloat16, eager",
    "transformers-single": "transformers, bfloat16, one by one",
    "openvino": "shenhe, OpenVINO, int8",
    "llama.cpp": "llama.cpp, Q8_0, f16 tower",
}
USUAL = ["bfloat16", "int8", "transformers", "transformers-single"]


def main() -> None:
    """Make the checkpoint, run the engines, and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--size", choices=SHAPES, default="2B")
    parser.add_argument("--engines", nargs="*", choices=NAMES, default=USUAL)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--photos", type=int, default=2)
    parser.add_argument("--pixels", default="1024x768", help="width x height of each photo")
    parser.add_argument("--openvino", type=Path, help="what the recipe exported")
    parser.add_argument("--profile", action="store_true", help="where the local engine's time goes")
    parser.add_argument("--keep", action="store_true", help="keep the checkpoint for another run")
    options = parser.parse_args()
    folder = options.folder / options.size
    job, path = _prepare(options, folder)
    rates = [_run("bench.real_limits", str(path))]
    results: dict[str, dict[str, Any]] = {}
    products = [_run("bench.real_products", str(path))]
    for way in options.engines:
        result = _answer(way, folder, path)
        products.append(_run("bench.real_products", str(path)))
        if result is not None and all(beside := products[-2:]):
            result["products"] = sum(run["whole"] for run in beside if run) / 2
            results[way] = result
            print(way, f"{result['whole']:.1f} s", file=sys.stderr, flush=True)
    rates.append(_run("bench.real_limits", str(path)))
    if not all(rates):
        sys.exit("the machine could not be measured")
    best = {name: max(rate[name] for rate in rates if rate) for name in rates[0] or {}}
    prompts = {result["prompt"] // options.photos for result in results.values()}
    prompt = max(prompts, default=job["prompt"])
    parts = parts_of(
        config_of(options.size), job["patches"], prompt, options.tokens, options.photos
    )
    _print_limit(options, prompt, best, parts)
    _print_engines(results, least_seconds(parts, machine_of(best)))
    if options.profile and (seconds := _run("bench.real_profile", str(path), "bfloat16")):
        _print_profile(seconds, parts, machine_of(best))
    if not options.keep:
        shutil.rmtree(folder)


def _prepare(options: argparse.Namespace, folder: Path) -> tuple[dict[str, Any], Path]:
    model = folder / "model"
    if not (model / "model.safetensors").exists():
        shutil.rmtree(folder, ignore_errors=True)
        # In a process of its own: what it imports and holds is none of the engines'.
        command = [sys.executable, "-m", "bench.real_checkpoint", options.size, str(model)]
        subprocess.run(command, check=True)
    width, height = (int(side) for side in options.pixels.split("x"))
    job = {
        "model": str(model),
        "photos": make_photos(folder / "photos", (width, height), options.photos),
        "tokens": options.tokens,
        "threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
        "patches": width // 16 * (height // 16),
        "prompt": width // 32 * (height // 32) + 105,
        "gguf": str(folder / "gguf"),
        "openvino": str(options.openvino or folder / "openvino"),
    }
    path = folder / "job.json"
    path.write_text(json.dumps(job, ensure_ascii=False), encoding="utf-8")
    return job, path


def _answer(way: str, folder: Path, path: Path) -> dict[str, Any] | None:
    """Run an engine; llama.cpp's files are there only while it runs."""
    gguf = folder / "gguf"
    if way == "llama.cpp":
        command = [sys.executable, "-m", "recipes.llama_cpp", str(folder / "model"), str(gguf)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    try:
        return _run("bench.real_engines", way, str(path))
    finally:
        shutil.rmtree(gguf, ignore_errors=True)


def _run(module: str, *arguments: str) -> dict[str, Any] | None:
    """Run a module of ours in a process of its own, and read the JSON that it prints."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{' '.join(command)}:\n{done.stderr[-1500:]}", file=sys.stderr)
        return None
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _print_limit(
    options: argparse.Namespace, prompt: int, rates: dict[str, float], parts: list[Part]
) -> None:
    machine = machine_of(rates)
    print(
        f"{options.size}, {options.photos} photos of {options.pixels}, {prompt} prompt and"
        f" {options.tokens} answer tokens each; at best {machine.operations / 1e9:.0f} GFLOP/s in"
        f" bfloat16 and {machine.bandwidth / 1e9:.1f} GB/s:\n"
    )
    print("| part | TFLOP | GB read | seconds at best |\n|---|---|---|---|")
    for part in parts:
        print(
            f"| {part.name} | {part.operations / 1e12:.2f} | {part.nbytes / 1e9:.1f} |"
            f" {part.seconds(machine):.1f} |"
        )
    print(f"| the limit | | | {least_seconds(parts, machine):.1f} |\n")
    print("| product, rows x in x out | GFLOP/s |\n|---|---|")
    for name, rate in rates.items():
        if not name.startswith("read"):
            print(f"| {name} | {rate / 1e9:.0f} |")
    print()


def _print_engines(results: dict[str, dict[str, Any]], limit: float) -> None:
    columns = [
        *("load, s", "first token, s", "whole, s", "limit / whole", "products, s"),
        *("products / whole", "peak MB", "held MB", "of it mapped"),
    ]
    print(f"| engine | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    print(f"| the limit of the machine, bfloat16 | | | {limit:.1f} | 1.00 | | | | | |")
    for way, result in results.items():
        print(
            f"| {NAMES[way]} | {result['load']:.1f} | {result['first']:.1f} |"
            f" {result['whole']:.1f} | {limit / result['whole']:.2f} |"
            f" {result['products']:.1f} | {result['products'] / result['whole']:.2f} |"
            f" {result['peak']:.0f} | {result['held']:.0f} |"
            f" {result['mapped']:.0f} |"
        )
    print()
    # Some servers do not tell how many tokens they wrote.
    tokens = {way: result["tokens"] for way, result in results.items() if result["tokens"]}
    if len(set(tokens.values())) > 1:
        print(f"Answers end early: {tokens}\n")


def _print_profile(seconds: dict[str, float], parts: list[Part], machine: Machine) -> None:
    whole = seconds["whole"]
    least = {part.name: part.seconds(machine) for part in parts}
    print("| part of the local engine, bfloat16 | seconds | share | at best |\n|---|---|---|---|")
    for name, value in seconds.items():
        best = f"{least[name]:.1f}" if name in least else ""
        print(f"| {name} | {value:.1f} | {value / whole:.2f} | {best} |")


if __name__ == "__main__":
    main()
