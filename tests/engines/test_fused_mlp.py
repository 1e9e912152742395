"""The tower's MLPs: in bfloat16 nearer to the exact result than transformers' own."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from transformers import Qwen3VLConfig, Qwen3VLMoeConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionMLP
from transformers.models.qwen3_vl_moe.modeling_qwen3_vl_moe import Qwen3VLMoeVisionMLP

from shenhe.engines.local import fused_mlp
from shenhe.engines.local.fused_mlp import FusedTowerMLP, use_fused_mlp

WIDTH, INNER, PATCHES = 64, 256, 240


def _mlps(*, is_moe: bool = False, activation: str = "gelu_pytorch_tanh") -> list[nn.Module]:
    """Make an MLP of transformers, and one whose class was replaced where that is possible."""
    config = (Qwen3VLMoeConfig if is_moe else Qwen3VLConfig)().vision_config
    config.hidden_size, config.intermediate_size = WIDTH, INNER
    config.hidden_act = activation
    torch.manual_seed(5)
    theirs = (Qwen3VLMoeVisionMLP if is_moe else Qwen3VLVisionMLP)(config)
    for layer in (theirs.linear_fc1, theirs.linear_fc2):
        nn.init.normal_(layer.weight, std=0.2)
    ours = copy.deepcopy(theirs)
    use_fused_mlp([ours])
    return [theirs, ours]


@pytest.mark.parametrize("is_moe", [False, True])
def test_bfloat16_is_at_least_as_exact(is_moe: bool) -> None:
    theirs, ours = _mlps(is_moe=is_moe)
    assert type(ours) is FusedTowerMLP
    patches = torch.randn(PATCHES, WIDTH).bfloat16()
    with torch.inference_mode():
        exact = copy.deepcopy(theirs.bfloat16()).double()(patches.double())
        errors = [
            (mlp.bfloat16()(patches).double() - exact).square().mean() for mlp in (theirs, ours)
        ]
    assert 0 < errors[1] <= errors[0]


def test_float32_is_equal_to_the_bit() -> None:
    theirs, ours = _mlps()
    patches = torch.randn(PATCHES, WIDTH)
    with torch.inference_mode():
        assert torch.equal(ours(patches), theirs(patches))


def test_blocks_of_patches_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = _mlps()[1].bfloat16()
    patches = torch.randn(PATCHES, WIDTH).bfloat16()
    with torch.inference_mode():
        whole = ours(patches)
        monkeypatch.setattr(fused_mlp, "MAX_INNER_BYTES", 100 * INNER * 2)
        parts = [len(rows) for rows in patches.chunk(3)]
        assert parts == [80, 80, 80]
        torch.testing.assert_close(ours(patches), whole)


def test_an_adapter_in_the_product_is_not_lost() -> None:
    class Doubled(nn.Linear):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(input)

    theirs, ours = (mlp.bfloat16() for mlp in _mlps())
    for mlp in (theirs, ours):
        mlp.linear_fc1.__class__ = Doubled
    patches = torch.randn(PATCHES, WIDTH).bfloat16()
    with torch.inference_mode():
        assert torch.equal(ours(patches), theirs(patches))


def test_another_activation_stays_as_it_is() -> None:
    assert type(_mlps(activation="silu")[1]) is Qwen3VLVisionMLP
