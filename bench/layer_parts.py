"""Parts of the local engine's layers beside those of transformers that they replace.

    python -m bench.layer_parts [--rounds 15]

One thread, its own processor time, the best of some rounds, in the shape of Qwen3-VL 2B: a photo of
3,072 patches in the tower, 1,746 prompt tokens (those of two photos) in the language model. `error`
is the root of the mean square difference from the same in float32, of the classes of transformers
and of ours. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable

import torch
from torch import nn
from transformers import Qwen3VLConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import (
    Qwen3VLTextRMSNorm,
    Qwen3VLVisionMLP,
    apply_rotary_pos_emb,
)

from shenhe.engines.local.fused_mlp import use_fused_mlp
from shenhe.engines.local.text_attention import signed, turn, use_text_attention

PATCHES, TOKENS, HIDDEN, HEADS, SIZE = 3072, 1746, 2048, 16, 128
TOWER_WIDTH, TOWER_INNER = 1024, 4096
Compute = Callable[[torch.Tensor], torch.Tensor]


def main() -> None:
    """Measure the parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.manual_seed(7)
    print("| part | transformers, ms | ours, ms | times as fast | error | error of ours |")
    print(f"|{'---|' * 6}")
    with torch.inference_mode():
        for name, (theirs, ours, exact, values) in {
            "MLP of the tower": _mlps(),
            "norm of a layer": _norms(),
            "norm and rotary embeddings of the queries": _turns(),
        }.items():
            times = [_best(part, values, rounds) for part in (theirs, ours)]
            expected = exact(values.float())
            errors = [
                (part(values).float() - expected).square().mean().sqrt().item()
                for part in (theirs, ours)
            ]
            print(
                f"| {name} | {times[0]:.1f} | {times[1]:.1f} | {times[0] / times[1]:.1f} |"
                f" {errors[0]:.2g} | {errors[1]:.2g} |"
            )


def _mlps() -> tuple[Compute, Compute, Compute, torch.Tensor]:
    config = Qwen3VLConfig().vision_config
    config.hidden_size, config.intermediate_size = TOWER_WIDTH, TOWER_INNER
    theirs = Qwen3VLVisionMLP(config).bfloat16()
    ours = copy.deepcopy(theirs)
    use_fused_mlp([ours])
    return theirs, ours, copy.deepcopy(theirs).float(), _random(PATCHES, TOWER_WIDTH)


def _norms() -> tuple[Compute, Compute, Compute, torch.Tensor]:
    theirs, ours = _norm_pair(HIDDEN)
    return theirs, ours, copy.deepcopy(theirs).float(), _random(1, TOKENS, HIDDEN)


def _turns() -> tuple[Compute, Compute, Compute, torch.Tensor]:
    norm, our_norm = _norm_pair(SIZE)
    exact_norm = copy.deepcopy(norm).float()
    cosines, sines = _random(1, TOKENS, SIZE), _random(1, TOKENS, SIZE)

    def by_steps(heads: torch.Tensor) -> torch.Tensor:
        of_norm = norm if heads.dtype == torch.bfloat16 else exact_norm
        normed = of_norm(heads).transpose(1, 2)
        angles = cosines.to(heads.dtype), sines.to(heads.dtype)
        turned: torch.Tensor = apply_rotary_pos_emb(normed, normed[:, :1], *angles)[0]
        return turned.transpose(1, 2)

    def by_blocks(heads: torch.Tensor) -> torch.Tensor:
        return turn(heads, our_norm, *signed(cosines, sines))

    return by_steps, by_blocks, by_steps, _random(1, TOKENS, HEADS, SIZE)


def _norm_pair(width: int) -> tuple[nn.Module, nn.Module]:
    theirs = Qwen3VLTextRMSNorm(width).bfloat16()
    nn.init.normal_(theirs.weight)
    ours = copy.deepcopy(theirs)
    use_text_attention([ours])
    return theirs, ours


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape).bfloat16()


def _best(part: Compute, values: torch.Tensor, rounds: int) -> float:
    """Return the least time of some rounds. Units: ms of the thread's processor time."""
    seconds = []
    for _ in range(rounds):
        start = time.thread_time()
        part(values)
        seconds.append(time.thread_time() - start)
    return 1000 * min(seconds)


if __name__ == "__main__":
    main()
