"""Few rows through a large matrix: torch and `shenhe.engines.local.skinny_linear`, in float32.

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
"""So much is read in turn, that no cache holds it."""


def main() -> None:
    print("| in, out | rows | torch, ms | thin, ms | times as fast | GB/s |")
    print("|---|---|---|---|---|---|")
    for inside, outside in SHAPES:
        size = inside * outside * 4
        plain = [nn.Linear(inside, outside, bias=False) for _ in range(max(1, BYTES // size))]
        thin = deepcopy(plain)
        for layer in thin:
            use_skinny_linear(layer.modules())
        for rows in ROWS:
            given = torch.randn(rows, inside)
            first, second = _seconds(plain, given), _seconds(thin, given)
            many = len(plain)
            print(
                f"| {inside}, {outside} | {rows} | {first / many * 1e3:.2f} |"
                f" {second / many * 1e3:.2f} | {first / second:.1f} |"
                f" {size * many / second / 1e9:.1f} |"
            )


def _seconds(layers: list[nn.Linear], given: torch.Tensor) -> float:
    taken = []
    with torch.inference_mode():
        for _ in range(1 + ROUNDS):
            began = time.perf_counter()
            for layer in layers:
                layer(given)
            taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


if __name__ == "__main__":
    main()
