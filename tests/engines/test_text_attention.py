"""The language model's norms and attention: equal to transformers' own bit by bit."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import pytest
import torch
from transformers import Qwen3VLConfig, Qwen3VLMoeConfig
from transformers.models.qwen3_vl import modeling_qwen3_vl as dense
from transformers.models.qwen3_vl_moe import modeling_qwen3_vl_moe as moe

from shenhe.engines.local import packed_attention, text_attention
from shenhe.engines.local.kv_cache import KVCache
from shenhe.engines.local.packed_attention import Span
from shenhe.engines.local.text_attention import (
    BlockwiseRMSNorm,
    TextAttention,
    use_text_attention,
)

HIDDEN, HEADS, KEY_HEADS, SIZE = 64, 4, 2, 32
DTYPES = [torch.float32, torch.bfloat16]


@dataclass
class Layer:
    """What attention asks of a layer."""

    layer_idx: int


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 3, 5000])
@pytest.mark.parametrize("is_moe", [False, True])
def test_norms_equal_those_of_transformers(is_moe: bool, rows: int, dtype: torch.dtype) -> None:
    torch.manual_seed(5)
    theirs = (moe.Qwen3VLMoeTextRMSNorm if is_moe else dense.Qwen3VLTextRMSNorm)(HIDDEN).to(dtype)
    torch.nn.init.normal_(theirs.weight)
    ours = copy.deepcopy(theirs)
    use_text_attention([ours])
    assert type(ours) is BlockwiseRMSNorm
    hidden = torch.randn(1, rows, HIDDEN, dtype=dtype)
    before = hidden.clone()
    with torch.inference_mode():
        assert torch.equal(ours(hidden), theirs(hidden))
    assert torch.equal(hidden, before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("is_moe", [False, True])
def test_attention_equals_that_of_transformers(
    is_moe: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_attention, "BLOCK", {"cpu": 24 * HEADS * SIZE})
    config = (Qwen3VLMoeConfig if is_moe else Qwen3VLConfig)().text_config
    config.hidden_size, config.head_dim = HIDDEN, SIZE
    config.num_attention_heads, config.num_key_value_heads = HEADS, KEY_HEADS
    config._attn_implementation = packed_attention.NAME
    torch.manual_seed(5)
    attention_class = moe.Qwen3VLMoeTextAttention if is_moe else dense.Qwen3VLTextAttention
    theirs = attention_class(config, layer_idx=0).to(dtype)
    for norm in (theirs.q_norm, theirs.k_norm):
        torch.nn.init.normal_(norm.weight)
    ours = copy.deepcopy(theirs)
    use_text_attention(ours.modules())
    assert type(ours) is TextAttention
    spans = [Span(0, 0, 70), Span(1, 0, 5), Span(2, 0, 1)]
    tokens = sum(span.count for span in spans)
    hidden = torch.randn(1, tokens, HIDDEN, dtype=dtype)
    angles = torch.randn(1, tokens, SIZE // 2).repeat(1, 1, 2)
    turns = (angles.cos().to(dtype), angles.sin().to(dtype))
    outputs, caches = [], []
    for attention in (theirs, ours):
        cache = KVCache(1, KEY_HEADS, SIZE, dtype, torch.device("cpu"))
        cache.reserve(3, 80)
        with torch.inference_mode():
            attended, _ = attention(
                hidden_states=hidden,
                position_embeddings=turns,
                attention_mask=None,
                packing=packed_attention.pack(cache, spans),
            )
        outputs.append(attended)
        caches.append(cache)
    assert torch.equal(*outputs)
    assert torch.equal(caches[0].keys[0], caches[1].keys[0])
    assert torch.equal(caches[0].values[0], caches[1].values[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("past", [1, 40, 60, 61, 150])
def test_tokens_behind_cached_ones_attend_as_in_a_whole_prompt(
    past: int, dtype: torch.dtype
) -> None:
    count = 120  # up to half as many cached tokens are computed again, beyond it there is a mask
    torch.manual_seed(5)
    heads = torch.randn(3, past + count, HEADS, SIZE).to(dtype)
    query, (key, value) = heads[0], heads[1:, :, :KEY_HEADS]
    outputs: list[torch.Tensor] = []
    for spans in ([Span(0, 0, past + count)], [Span(0, 0, past), Span(0, past, count)]):
        cache = KVCache(1, KEY_HEADS, SIZE, dtype, torch.device("cpu"))
        cache.reserve(1, past + count)
        for span in spans:
            own = slice(span.past, span.past + span.count)
            parts = [part[own].transpose(0, 1)[None] for part in (query, key, value)]
            packing = packed_attention.pack(cache, [span])
            attended, _ = packed_attention.packed_attention(
                Layer(0), parts[0], parts[1], parts[2], None, SIZE**-0.5, packing
            )
        outputs.append(attended[0, -count:])
    tolerance = 1e-6 if dtype == torch.float32 else 0.01
    whole, behind = outputs
    assert torch.isfinite(behind).all()
    assert torch.allclose(behind, whole, atol=tolerance, rtol=tolerance)
