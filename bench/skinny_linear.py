"""Skinny GEMMs in float32, by torch and by `shenhe.engines.local.skinny_linear`.

python -m bench.skinny_linear
"""

from __future__ import annotations

import statistics
import time
from copy import deepcopy

import torch
from torch import nn

from shenhe.engines.local.skinny_linear import use_skinny_linear

SHAPES = ((512, 1536), (1024, 3072), (3072, 1024), (1024, 151_936))
ROWS = (1, 2, 4, 8, 16)
BYTES, ROUNDS = 200_000_000, 5
"""Weights that are read in turn: more than any cache holds."""


def main() -> None:
    print("| in, out | rows | torch, ms | skinny, ms | times as fast | GB/s |")
    print("|---|---|---|---|---|---|")
    for inside, outside in SHAPES:
        size = inside * outside * 4
        plain = [nn.Linear(inside, outside, bias=False) for _ in range(max(1, BYTES // size))]
        skinny = deepcopy(plain)
        for layer in skinny:
            use_skinny_linear(layer.modules())
        for rows in ROWS:
            inputs = torch.randn(rows, inside)
            first, second = _seconds(plain, inputs), _seconds(skinny, inputs)
            count = len(plain)
            print(
                f"| {inside}, {outside} | {rows} | {first / count * 1e3:.2f} |"
                f" {second / count * 1e3:.2f} | {first / second:.1f} |"
                f" {size * count / second / 1e9:.1f} |"
            )


def _seconds(layers: list[nn.Linear], inputs: torch.Tensor) -> float:
    taken = []
    with torch.inference_mode():
        for _ in range(1 + ROUNDS):
            began = time.perf_counter()
            for layer in layers:
                layer(inputs)
            taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


if __name__ == "__main__":
    main()
