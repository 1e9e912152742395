"""The tower's attention: equal to transformers' own bit by bit."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import Qwen3VLConfig, Qwen3VLMoeConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionAttention
from transformers.models.qwen3_vl_moe.modeling_qwen3_vl_moe import Qwen3VLMoeVisionAttention

from shenhe.engines.local.tower_attention import (
    TowerAttention,
    stops_for_attention,
    use_tower_attention,
)

GRIDS = torch.tensor([[1, 8, 12], [1, 2, 2], [1, 10, 14]])
WIDTH, HEADS = 64, 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("is_moe", [False, True])
def test_the_result_equals_transformers_own(is_moe: bool, dtype: torch.dtype) -> None:
    config = (Qwen3VLMoeConfig if is_moe else Qwen3VLConfig)().vision_config
    config.hidden_size, config.num_heads = WIDTH, HEADS
    config._attn_implementation = "sdpa"
    torch.manual_seed(5)
    theirs = (Qwen3VLMoeVisionAttention if is_moe else Qwen3VLVisionAttention)(config).to(dtype)
    ours = copy.deepcopy(theirs)
    use_tower_attention([ours])
    assert type(ours) is TowerAttention
    stops = stops_for_attention(ours, GRIDS)["photo_stops"]
    assert stops == [96, 100, 240]
    bounds = torch.tensor([0, *stops])
    patches = torch.randn(stops[-1], WIDTH, dtype=dtype)
    angles = torch.randn(stops[-1], WIDTH // HEADS)
    turns = (angles.cos(), angles.sin())
    with torch.inference_mode():
        expected = theirs(patches, cu_seqlens=bounds, position_embeddings=turns)
        assert torch.equal(ours(patches, bounds, turns, photo_stops=stops), expected)
        assert torch.equal(ours(patches, bounds, turns), expected)


def test_other_attention_stays_as_it_is() -> None:
    config = Qwen3VLConfig().vision_config
    config.hidden_size, config.num_heads = WIDTH, HEADS
    config._attn_implementation = "eager"
    attention = Qwen3VLVisionAttention(config)
    use_tower_attention([attention])
    assert type(attention) is Qwen3VLVisionAttention
    assert stops_for_attention(attention, GRIDS) == {}
