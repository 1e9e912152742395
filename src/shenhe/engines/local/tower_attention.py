"""Attention of the vision tower over packed photos, with fewer passes over memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionAttention
from transformers.models.qwen3_vl_moe.modeling_qwen3_vl_moe import Qwen3VLMoeVisionAttention

ROWS = {"cpu": 64}
"""Patches that are turned at once, by device: so many stay in the processor's cache meanwhile; on
another device all of them, as each launch costs."""


class TowerAttention(nn.Module):
    """The attention of a block of the tower, by torch's scaled_dot_product_attention.

    The result equals that of transformers' class bit by bit. Rotary embeddings are computed in
    float32 a few patches at a time, and queries and keys are laid out as attention reads them:
    transformers writes the whole photo to memory in float32 for each step of that. With
    `photo_stops`, no block waits for a GPU to tell how long photos are.
    """

    num_heads: int
    scaling: float
    qkv: nn.Module
    proj: nn.Module

    def forward(
        self,
        hidden_states: torch.Tensor,
        cu_seqlens: torch.Tensor,
        position_embeddings: tuple[torch.Tensor, torch.Tensor],
        photo_stops: Sequence[int] | None = None,
        **_: object,
    ) -> torch.Tensor:
        """Attend within each photo; `photo_stops` are their ends, which `cu_seqlens` tell as well.

        Shape: (patches, width) in and out, cu_seqlens (photos + 1,).
        """
        count = len(hidden_states)
        joined = self.qkv(hidden_states).reshape(count, 3, self.num_heads, -1)
        query, key = (turn(joined[:, part], *position_embeddings) for part in (0, 1))
        value = joined[:, 2].transpose(0, 1)
        output = torch.empty_like(joined[:, 0], memory_format=torch.contiguous_format)
        start = 0
        for stop in photo_stops or cu_seqlens[1:].tolist():
            photo = slice(start, stop)
            attended = scaled_dot_product_attention(
                query[None, :, photo],
                key[None, :, photo],
                value[None, :, photo],
                scale=self.scaling,
            )
            output[photo] = attended[0].transpose(0, 1)
            start = stop
        projected: torch.Tensor = self.proj(output.view(count, -1))
        return projected


def use_tower_attention(modules: Iterable[nn.Module]) -> None:
    """Let the attention of a tower's blocks be ours, in place, where it is torch's."""
    for module in modules:
        if type(module) not in (Qwen3VLVisionAttention, Qwen3VLMoeVisionAttention):
            continue
        if getattr(module.config, "_attn_implementation", None) == "sdpa":
            module.__class__ = TowerAttention


def stops_for_attention(tower: nn.Module, grids: torch.Tensor) -> dict[str, list[int]]:
    """Return where each photo's patches end, as an argument for a tower with our attention.

    Shape: grids (photos, 3), on the CPU.
    """
    if not any(isinstance(module, TowerAttention) for module in tower.modules()):
        return {}
    return {"photo_stops": grids.prod(-1).cumsum(0).tolist()}


def turn(heads: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
    """Apply rotary embeddings, in float32.

    Shape: heads (patches, heads, size), cosines and sines (patches, size); (heads, patches, size)
    out, contiguous.
    """
    count, heads_count, size = heads.shape
    half = size // 2
    cosines, sines = cosines[:, None].float(), sines[:, None].float()
    signed = torch.cat((-sines[..., :half], sines[..., half:]), dim=-1)
    output = heads.new_empty(heads_count, count, size)
    rows = ROWS.get(heads.device.type, max(count, 1))
    for start in range(0, count, rows):
        block = slice(start, start + rows)
        exact = heads[block].float()
        crossed = exact.roll(half, -1).mul_(signed[block])
        output[:, block] = (exact * cosines[block]).add_(crossed).transpose(0, 1)
    return output
