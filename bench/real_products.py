"""The matrix products of a job and nothing else: the limit of a machine while it is measured.

    python -m bench.real_products JOB

An engine cannot be faster than its products. The rate of a shared machine changes from minute to
minute, and its best moment (`bench.real_limits`) says little about the minute of an engine: run
before and after one, this says how fast the machine was meanwhile. The checkpoint's own weights are
multiplied in an engine's order, photos in the tower one after the other, prompts in one batch, an
answer's tokens in steps; arithmetic of attention counts at the rate of the products. Prints JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from torch.nn.functional import linear

from bench.real_limits import PROMPT_ATTENTION, TOWER_ATTENTION, parts_of
from shenhe.engines.local.skinny_linear import MAX_ROWS_OF_BFLOAT16

EMBEDDINGS = "pos_embed", "embed_tokens"


class Matrices(NamedTuple):
    """Weights of a checkpoint by what passes them. Shape: (out, in) each."""

    patches: list[torch.Tensor]
    merged: list[torch.Tensor]
    tokens: list[torch.Tensor]
    head: torch.Tensor


def read_matrices(model: Path) -> Matrices:
    """Map the weights of a checkpoint into memory."""
    weights: dict[str, torch.Tensor] = {}
    for path in sorted(model.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            weights.update({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    matrices = {
        name: weight.flatten(1)
        for name, weight in weights.items()
        if weight.ndim > 1 and not any(part in name for part in EMBEDDINGS)
    }
    tower = {name for name in matrices if ".visual." in name}
    merging = {name for name in tower if "merger" in name}
    embeddings = next(weight for name, weight in weights.items() if "embed_tokens" in name)
    head = matrices.pop("lm_head.weight", embeddings)
    return Matrices(
        [matrices[name] for name in sorted(tower - merging)],
        [matrices[name] for name in sorted(merging)],
        [weight for name, weight in sorted(matrices.items()) if name not in tower],
        head,
    )


def multiply(matrices: Iterable[torch.Tensor], rows: dict[int, torch.Tensor]) -> int:
    """Multiply rows of each width with the matrices of that width; return the operations."""
    operations = 0
    for weight in matrices:
        entering = rows[weight.shape[1]]
        # Few rows are multiplied as the local engine does it, which is the fastest way known.
        is_skinny = len(entering) <= MAX_ROWS_OF_BFLOAT16
        (weight @ entering.T) if is_skinny else linear(entering, weight)
        operations += 2 * len(entering) * weight.numel()
    return operations


def rows_for(matrices: Sequence[torch.Tensor], count: int) -> dict[int, torch.Tensor]:
    """Make rows for each width of matrices."""
    return {
        width: torch.randn(count, width).bfloat16()
        for width in {weight.shape[1] for weight in matrices}
    }


def run(job: dict[str, Any]) -> dict[str, float]:
    """Multiply what a job multiplies; return the seconds of its prompts and of its answers."""
    model, photos = Path(job["model"]), len(job["photos"])
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    matrices = read_matrices(model)
    patches = rows_for(matrices.patches, job["patches"])
    side = config["vision_config"]["spatial_merge_size"]
    merged = rows_for(matrices.merged, job["patches"] // side**2)
    prompts = rows_for(matrices.tokens, photos * job["prompt"])
    last = rows_for([*matrices.tokens, matrices.head], max(2, photos))
    start = time.perf_counter()
    operations = multiply(matrices.tokens, prompts) + multiply([matrices.head], last)
    for _ in range(photos):
        operations += multiply(matrices.patches, patches) + multiply(matrices.merged, merged)
    products = time.perf_counter() - start
    start = time.perf_counter()
    for _ in range(job["tokens"] - 1):
        multiply([*matrices.tokens, matrices.head], last)
    answers = time.perf_counter() - start
    parts = parts_of(config, job["patches"], job["prompt"], job["tokens"], photos)
    attended = sum(
        part.operations for part in parts if part.name in (TOWER_ATTENTION, PROMPT_ATTENTION)
    )
    prompts_seconds = products * (1 + attended / operations)
    return {"first": prompts_seconds, "whole": prompts_seconds + answers}


def main() -> None:
    """Measure the job of the command line."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(job["threads"])
    with torch.inference_mode():
        print(json.dumps(run(job)))


if __name__ == "__main__":
    main()
