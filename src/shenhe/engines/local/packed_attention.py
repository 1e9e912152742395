"""One forward pass over tokens of many sequences, laid end to end without padding.

A sequence may bring its whole prompt, the one token it wrote last, or that and those which its
grammar forces. All but attention works on single tokens; attention is given its own function here,
by transformers' registry, which keeps keys and values and looks at each sequence alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from shenhe.engines.local.kv_cache import KeyValues

NAME = "shenhe_packed"
SHORT = 48
"""Sequences that bring at most so many tokens are looked at together, padded to the longest."""
CHEAP_BYTES = 1 << 20
"""A CPU pays for padding: those that bring one token are apart there from those that bring some,
and the latter are together only where taking their rows out costs less than a call for each."""
SPARSE = 2
"""Rows between are looked at in vain, up to so many times as many: taking rows out copies them."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some tokens of one sequence: its row, how many are there before, how many come."""

    row: int
    past: int
    count: int


_Placed = tuple[Piece, int]
"""A piece, and its first token's place among all tokens."""


@dataclass(frozen=True, slots=True)
class _Together:
    """Short pieces, padded. Shapes: tokens (rows, longest), mask (rows, 1, longest, columns)."""

    rows: list[int]
    tokens: torch.Tensor
    real: torch.Tensor
    order: torch.Tensor
    mask: torch.Tensor
    columns: int


@dataclass(frozen=True, slots=True)
class Packing:
    """Where the tokens of a pass belong. Shapes: rows, columns (tokens,)."""

    store: KeyValues
    rows: torch.Tensor
    columns: torch.Tensor
    alone: list[_Placed]
    together: list[_Together]


def pack(store: KeyValues, pieces: Sequence[Piece]) -> Packing:
    """Lay pieces out in their order; `store` must have room for them."""
    device = store.keys[0].device
    rows = [piece.row for piece in pieces for _ in range(piece.count)]
    columns = [piece.past + at for piece in pieces for at in range(piece.count)]
    starts, at = [], 0
    for piece in pieces:
        starts.append(at)
        at += piece.count
    placed = list(zip(pieces, starts, strict=True))
    groups, alone = _groups(store, placed)
    return Packing(
        store,
        torch.tensor(rows, device=device),
        torch.tensor(columns, device=device),
        alone,
        [_pad(group, device) for group in groups if group],
    )


def packed_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    packing: Packing,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attend, each sequence to its own past. Shapes: query (1, heads, tokens, size); key and value
    with fewer heads; the result (1, tokens, heads, size).
    """
    store, layer = packing.store, module.layer_idx
    keys, values = store.keys[layer], store.values[layer]
    keys[packing.rows, packing.columns] = key[0].transpose(0, 1)
    values[packing.rows, packing.columns] = value[0].transpose(0, 1)
    found = torch.empty_like(query[0].transpose(0, 1), memory_format=torch.contiguous_format)
    for together in packing.together:
        _attend_together(query[0].transpose(0, 1), keys, values, together, scaling, found)
    for piece, start in packing.alone:
        stop, seen = start + piece.count, piece.past + piece.count
        found[start:stop] = _attend_alone(
            query[:, :, start:stop],
            keys[piece.row, :seen].transpose(0, 1)[None],
            values[piece.row, :seen].transpose(0, 1)[None],
            scaling,
        )
    return found[None], None


AttentionInterface.register(NAME, packed_attention)


def _groups(store: KeyValues, placed: list[_Placed]) -> tuple[list[list[_Placed]], list[_Placed]]:
    """Part pieces into those that are looked at together, and those looked at alone."""
    short = [one for one in placed if one[0].count <= SHORT]
    long = [one for one in placed if one[0].count > SHORT]
    if store.keys[0].device.type != "cpu":
        return [short], long
    single = [one for one in short if one[0].count == 1]
    some = [one for one in short if one[0].count > 1]
    layer_bytes = store.bytes_per_token // len(store.keys)
    if max((piece.past for piece, _ in some), default=0) * layer_bytes > CHEAP_BYTES:
        return [single], some + long
    return [single, some], long


def _pad(short: list[_Placed], device: torch.device) -> _Together:
    longest = max(piece.count for piece, _ in short)
    columns = max(piece.past + piece.count for piece, _ in short)
    steps = torch.arange(longest)
    by_row = {piece.row: (piece, start) for piece, start in short}
    rows = list(range(max(by_row) + 1))
    if len(rows) > SPARSE * len(short):
        rows = list(by_row)
    starts, counts, pasts = torch.zeros(3, len(rows), 1, dtype=torch.long)
    for at, row in enumerate(rows):
        if row in by_row:
            piece, starts[at] = by_row[row]
            counts[at], pasts[at] = piece.count, piece.past
    real = steps < counts
    tokens = torch.where(real, starts + steps, 0)
    # A place that holds no token sees what is there: of nothing at all NaN would come.
    seen = torch.arange(columns) <= (pasts + torch.minimum(steps, counts - 1).clamp(0))[:, :, None]
    return _Together(
        rows,
        tokens.to(device),
        real.to(device),
        tokens[real].to(device),
        seen[:, None].to(device),
        columns,
    )


def _attend_together(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    together: _Together,
    scaling: float,
    found: torch.Tensor,
) -> None:
    """Shapes: query, found (tokens, heads, size), keys, values (rows, columns, heads, size)."""
    pieces, longest = together.tokens.shape
    heads, size = query.shape[1:]
    groups = heads // keys.shape[2]
    if together.rows == list(range(pieces)):
        own = (keys[:pieces, : together.columns], values[:pieces, : together.columns])
    else:
        own = (keys[together.rows, : together.columns], values[together.rows, : together.columns])
    # Heads that share keys become further questions to them: nothing is repeated in memory.
    asked = query[together.tokens].view(pieces, longest, -1, groups, size)
    asked = asked.permute(0, 2, 3, 1, 4).reshape(pieces, -1, groups * longest, size)
    mask = together.mask[:, :, None].expand(-1, -1, groups, -1, -1)
    result = scaled_dot_product_attention(
        asked,
        own[0].transpose(1, 2),
        own[1].transpose(1, 2),
        attn_mask=mask.reshape(pieces, 1, groups * longest, -1),
        scale=scaling,
    )
    result = result.view(pieces, -1, groups, longest, size).permute(0, 3, 1, 2, 4)
    found[together.order] = result.reshape(pieces, longest, heads, size)[together.real]


def _attend_alone(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
) -> torch.Tensor:
    """Shapes: query (1, heads, tokens, size), key and value (1, heads, seen, size)."""
    tokens, seen = query.shape[2], key.shape[2]
    mask = None
    if seen > tokens:
        steps = torch.arange(seen, device=query.device)
        mask = steps <= steps[seen - tokens :, None]
    result = scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        is_causal=mask is None,
        scale=scaling,
        enable_gqa=True,
    )
    return result[0].transpose(0, 1)
