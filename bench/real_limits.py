"""The least time that a job can take on this machine: its arithmetic, and what a machine can do.

    python -m bench.real_limits JOB

measures the machine: the rate of torch's products in bfloat16 at the model's shapes, and the rate
at which memory is read. Prints JSON.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

TOWER, TOWER_ATTENTION = "tower, matrices", "tower, attention"
PROMPT, PROMPT_ATTENTION = "prompt, matrices", "prompt, attention"
PROMPT_HEAD = "prompt, LM head"
ANSWER, ANSWER_ATTENTION, ANSWER_HEAD = (
    "answer, matrices",
    "answer, attention",
    "answer, LM head",
)


class Machine(NamedTuple):
    """What a machine does at best. Units: operations and bytes a second."""

    operations: float
    bandwidth: float


@dataclass(frozen=True, slots=True)
class Part:
    """Arithmetic and memory of a part of a job. Units: operations, bytes."""

    name: str
    operations: float
    nbytes: float

    def seconds(self, machine: Machine) -> float:
        """Compute the least time for it."""
        return max(self.operations / machine.operations, self.nbytes / machine.bandwidth)


@dataclass(frozen=True, slots=True)
class Layer:
    """A product of rows with a matrix. Shape: (rows, width) times (width, out), `count` times."""

    width: int
    out: int
    count: int

    @property
    def weights(self) -> int:
        """The number of weights of all of them."""
        return self.width * self.out * self.count


def tower_layers(config: dict[str, Any]) -> list[Layer]:
    """List the matrices of the vision tower that every patch passes."""
    tower = config["vision_config"]
    width, inner, depth = tower["hidden_size"], tower["intermediate_size"], tower["depth"]
    pixels = tower["in_channels"] * tower["temporal_patch_size"] * tower["patch_size"] ** 2
    return [
        Layer(pixels, width, 1),
        Layer(width, 3 * width, depth),
        Layer(width, width, depth),
        Layer(width, inner, depth),
        Layer(inner, width, depth),
    ]


def merger_layers(config: dict[str, Any]) -> list[Layer]:
    """List the matrices of the vision tower that every image token passes."""
    tower = config["vision_config"]
    merged = tower["hidden_size"] * tower["spatial_merge_size"] ** 2
    count = 1 + len(tower["deepstack_visual_indexes"])
    return [Layer(merged, merged, count), Layer(merged, tower["out_hidden_size"], count)]


def text_layers(config: dict[str, Any]) -> list[Layer]:
    """List the matrices of the language model, without its head."""
    text = config["text_config"]
    hidden, inner, depth = (
        text["hidden_size"],
        text["intermediate_size"],
        text["num_hidden_layers"],
    )
    heads = text["num_attention_heads"] * text["head_dim"]
    shared = text["num_key_value_heads"] * text["head_dim"]
    return [
        Layer(hidden, heads, depth),
        Layer(hidden, shared, 2 * depth),
        Layer(heads, hidden, depth),
        Layer(hidden, inner, 2 * depth),
        Layer(inner, hidden, depth),
    ]


def parts_of(
    config: dict[str, Any], patches: int, prompt: int, tokens: int, photos: int, width: int = 2
) -> list[Part]:
    """List the parts of a job: all photos in one batch, each with an answer of equal length.

    `patches` and `prompt` are those of one photo; weights are read once for the prompts and once
    for each further token. Units: width is bytes a weight.
    """
    tower, text = config["vision_config"], config["text_config"]
    tokens_of_photo = patches // tower["spatial_merge_size"] ** 2
    steps, depth = tokens - 1, text["num_hidden_layers"]
    heads = text["num_attention_heads"] * text["head_dim"]
    shared = text["num_key_value_heads"] * text["head_dim"]
    matrices, merging, decoder = (
        sum(layer.weights for layer in layers)
        for layers in (tower_layers(config), merger_layers(config), text_layers(config))
    )
    head = text["hidden_size"] * text["vocab_size"]
    seen = prompt + tokens / 2
    attended = 4 * tower["hidden_size"] * patches**2 * tower["depth"]
    # Half of the scores of a prompt are masked.
    attended_of_prompt = 4 * heads * prompt**2 / 2 * depth
    cached = 2 * shared * seen * depth * width
    return [
        Part(
            TOWER,
            2 * photos * (matrices * patches + merging * tokens_of_photo),
            width * (matrices + merging),
        ),
        Part(TOWER_ATTENTION, photos * attended, 0),
        Part(PROMPT, 2 * photos * decoder * prompt, width * decoder),
        Part(PROMPT_ATTENTION, photos * attended_of_prompt, 0),
        Part(PROMPT_HEAD, 2 * photos * head, width * head),
        Part(ANSWER, 2 * photos * decoder * steps, width * decoder * steps),
        Part(ANSWER_ATTENTION, 4 * photos * heads * seen * depth * steps, photos * cached * steps),
        Part(ANSWER_HEAD, 2 * photos * head * steps, width * head * steps),
    ]


def least_seconds(parts: list[Part], machine: Machine) -> float:
    """Add up the least times of all parts."""
    return sum(part.seconds(machine) for part in parts)


def measure(config: dict[str, Any], patches: int, prompt: int) -> dict[str, float]:
    """Measure products in bfloat16 at a model's shapes, and the reading of memory."""
    import torch

    rates: dict[str, float] = {}
    shapes = {(patches, layer.width, layer.out) for layer in tower_layers(config)}
    shapes |= {(prompt, layer.width, layer.out) for layer in text_layers(config)}
    for rows, width, out in sorted(shapes):
        entering = torch.randn(rows, width).bfloat16()
        weights = torch.randn(out, width).bfloat16()
        seconds = _best(partial(torch.nn.functional.linear, entering, weights))
        rates[f"{rows} x {width} x {out}"] = 2 * rows * width * out / seconds
    words = torch.ones(1 << 27, dtype=torch.int64)
    floats = torch.ones(1 << 15, 1 << 13)
    column = torch.ones(1 << 13)
    rates["read, sum"] = words.nbytes / _best(lambda: words.sum())
    rates["read, product"] = floats.nbytes / _best(lambda: floats @ column)
    return rates


def machine_of(rates: dict[str, float]) -> Machine:
    """Take the best of measured rates."""
    return Machine(
        max(rate for name, rate in rates.items() if not name.startswith("read")),
        max(rate for name, rate in rates.items() if name.startswith("read")),
    )


def _best(run: Callable[[], object], rounds: int = 5) -> float:
    run()
    best = math.inf
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    """Measure the machine for the job of the command line."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    config = json.loads(Path(job["model"], "config.json").read_text(encoding="utf-8"))
    print(json.dumps(measure(config, job["patches"], job["prompt"])))


if __name__ == "__main__":
    main()
