"""One forward pass over the tokens of many sequences, concatenated without padding.

A sequence contributes its whole prompt (prefill), or its last token with the tokens that the
grammar forces and a draft (decode). All layers but attention work on single tokens; attention is
replaced through transformers' registry by a function that writes to the KV cache and attends within
each sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from shenhe.engines.local.kv_cache import KVCache

NAME = "shenhe_packed"
MAX_PADDED_TOKENS = 48
"""Spans up to this length are batched and padded to the longest."""
MAX_COPY_BYTES = 1 << 20
"""Limit on the copy of keys for a batch of several-token spans on a CPU, which pays for padding:
single tokens are batched apart there, and longer spans only while selecting their slots costs less
than a call for each."""
MAX_SLOT_RATIO = 2
"""Unused slots are attended in vain up to this ratio; beyond it, used slots are copied out."""


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens of one sequence in a pass: its slot, the cached tokens before, and the count."""

    slot: int
    past: int
    count: int


class AttentionLayer(Protocol):
    """The attention module of a decoder layer."""

    layer_idx: int


_PlacedSpan = tuple[Span, int]
"""A span and the index of its first token in the pass."""


@dataclass(frozen=True, slots=True)
class _PaddedSpans:
    """Spans padded to one length.

    `kept` are the places of tokens among all that are padded: an index, as a device is not waited
    for to count a mask in each layer.
    Shape: tokens (slots, longest), kept, order (tokens,), mask (slots, 1, longest, keys).
    """

    slots: list[int]
    tokens: torch.Tensor
    kept: torch.Tensor
    order: torch.Tensor
    mask: torch.Tensor
    keys: int


@dataclass(frozen=True, slots=True)
class Packing:
    """Layout of a pass. Shape: slots, cache_positions (tokens,)."""

    cache: KVCache
    slots: torch.Tensor
    cache_positions: torch.Tensor
    long: list[_PlacedSpan]
    padded: list[_PaddedSpans]


def pack(cache: KVCache, spans: Sequence[Span]) -> Packing:
    """Lay spans out in their order; `cache` must have room for them."""
    device = cache.keys[0].device
    slots = [span.slot for span in spans for _ in range(span.count)]
    positions = [span.past + index for span in spans for index in range(span.count)]
    starts, start = [], 0
    for span in spans:
        starts.append(start)
        start += span.count
    batches, long = _split_spans(cache, list(zip(spans, starts, strict=True)))
    return Packing(
        cache,
        torch.tensor(slots, device=device),
        torch.tensor(positions, device=device),
        long,
        [_pad(batch, device) for batch in batches if batch],
    )


def packed_attention(
    module: AttentionLayer,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    packing: Packing,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """Write keys and values to the cache, and attend each sequence to its own.

    Shape: query (1, heads, tokens, size), key and value (1, key heads, tokens, size) in;
    (1, tokens, heads, size) out.
    """
    keys = packing.cache.keys[module.layer_idx]
    values = packing.cache.values[module.layer_idx]
    keys[packing.slots, packing.cache_positions] = key[0].transpose(0, 1)
    values[packing.slots, packing.cache_positions] = value[0].transpose(0, 1)
    by_token = query[0].transpose(0, 1)
    output = torch.empty_like(by_token, memory_format=torch.contiguous_format)
    for spans in packing.padded:
        _attend_padded(by_token, keys, values, spans, scaling, output)
    for span, start in packing.long:
        stop, length = start + span.count, span.past + span.count
        output[start:stop] = _attend_long(
            query[:, :, start:stop],
            keys[span.slot, :length].transpose(0, 1)[None],
            values[span.slot, :length].transpose(0, 1)[None],
            scaling,
        )
    return output[None], None


AttentionInterface.register(NAME, packed_attention)


def _split_spans(
    cache: KVCache, spans: list[_PlacedSpan]
) -> tuple[list[list[_PlacedSpan]], list[_PlacedSpan]]:
    """Split spans into batches that are padded, and spans that are attended one by one."""
    short = [placed for placed in spans if placed[0].count <= MAX_PADDED_TOKENS]
    long = [placed for placed in spans if placed[0].count > MAX_PADDED_TOKENS]
    if cache.keys[0].device.type != "cpu":
        return [short], long
    single = [placed for placed in short if placed[0].count == 1]
    several = [placed for placed in short if placed[0].count > 1]
    layer_bytes = cache.bytes_per_token // len(cache.keys)
    if max((span.past for span, _ in several), default=0) * layer_bytes > MAX_COPY_BYTES:
        return [single], several + long
    return [single, several], long


def _pad(batch: list[_PlacedSpan], device: torch.device) -> _PaddedSpans:
    longest = max(span.count for span, _ in batch)
    keys = max(span.past + span.count for span, _ in batch)
    steps = torch.arange(longest)
    by_slot = {span.slot: (span, start) for span, start in batch}
    slots = list(range(max(by_slot) + 1))
    if len(slots) > MAX_SLOT_RATIO * len(batch):
        slots = list(by_slot)
    starts, counts, pasts = torch.zeros(3, len(slots), 1, dtype=torch.long)
    for index, slot in enumerate(slots):
        if slot in by_slot:
            span, starts[index] = by_slot[slot]
            counts[index], pasts[index] = span.count, span.past
    valid = steps < counts
    tokens = torch.where(valid, starts + steps, 0)
    # Padding attends to something as well: attention over no keys would be NaN.
    last_keys = (pasts + torch.minimum(steps, counts - 1).clamp(0))[:, :, None]
    mask = torch.arange(keys) <= last_keys
    return _PaddedSpans(
        slots,
        tokens.to(device),
        valid.flatten().nonzero()[:, 0].to(device),
        tokens[valid].to(device),
        mask[:, None].to(device),
        keys,
    )


def _attend_padded(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    spans: _PaddedSpans,
    scaling: float,
    output: torch.Tensor,
) -> None:
    """Shape: query, output (tokens, heads, size), keys, values (slots, capacity, heads, size)."""
    count, longest = spans.tokens.shape
    heads, size = query.shape[1:]
    groups = heads // keys.shape[2]
    # A slice is a view; any other choice of slots is a copy.
    chosen = slice(count) if spans.slots == list(range(count)) else spans.slots
    # Query heads that share a key head become further queries to it: no key is repeated in memory.
    grouped = query[spans.tokens].view(count, longest, -1, groups, size)
    grouped = grouped.permute(0, 2, 3, 1, 4).reshape(count, -1, groups * longest, size)
    mask = spans.mask[:, :, None].expand(-1, -1, groups, -1, -1)
    result = scaled_dot_product_attention(
        grouped,
        keys[chosen, : spans.keys].transpose(1, 2),
        values[chosen, : spans.keys].transpose(1, 2),
        attn_mask=mask.reshape(count, 1, groups * longest, -1),
        scale=scaling,
    )
    result = result.view(count, -1, groups, longest, size).permute(0, 3, 1, 2, 4)
    output[spans.order] = result.reshape(count * longest, heads, size)[spans.kept]


def _attend_long(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
) -> torch.Tensor:
    """Shape: query (1, heads, tokens, size), key and value (1, key heads, keys, size)."""
    tokens, keys = query.shape[2], key.shape[2]
    past = keys - tokens
    mask = None
    if 0 < 2 * past <= tokens:
        # Queries in place of the cached tokens are computed in vain, and cost less than a mask:
        # causal attention leaves out half of all keys.
        query = torch.cat((query.new_zeros(*query.shape[:2], past, query.shape[3]), query), dim=2)
    elif past:
        positions = torch.arange(keys, device=query.device)
        mask = positions <= positions[past:, None]
    result = scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        is_causal=mask is None,
        scale=scaling,
        enable_gqa=True,
    )
    return result[0, :, -tokens:].transpose(0, 1)
