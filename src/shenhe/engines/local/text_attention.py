"""The language model's norms and rotary embeddings, with fewer passes over memory.

transformers writes all tokens to memory for each step of them, several times in float32. Here a few
tokens at a time pass all steps while they are in the processor's cache; the results are equal bit
by bit.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextAttention, Qwen3VLTextRMSNorm
from transformers.models.qwen3_vl_moe.modeling_qwen3_vl_moe import (
    Qwen3VLMoeTextAttention,
    Qwen3VLMoeTextRMSNorm,
)

from shenhe.engines.local.packed_attention import Packing, packed_attention

BLOCK = {"cpu": 1 << 17}
"""Values that pass all steps at once, by device; on another device all, as each launch costs."""


class BlockwiseRMSNorm(nn.Module):
    """The root mean square norm of rows."""

    weight: torch.Tensor
    variance_epsilon: float

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Shape: (..., width) in and out."""
        width = hidden_states.shape[-1]
        rows = hidden_states.reshape(-1, width)
        step = _step(rows, width)
        if len(rows) <= step:
            return self._norm(hidden_states)
        output = torch.empty_like(rows)
        for start in range(0, len(rows), step):
            output[start : start + step] = self._norm(rows[start : start + step])
        return output.view(hidden_states.shape)

    def _norm(self, rows: torch.Tensor) -> torch.Tensor:
        exact = rows.float()
        scale = exact.pow(2).mean(-1, keepdim=True).add_(self.variance_epsilon).rsqrt_()
        return self.weight * (exact * scale).to(rows.dtype)


class TextAttention(nn.Module):
    """The attention of a layer of the language model, over packed tokens."""

    head_dim: int
    layer_idx: int
    scaling: float
    q_proj: nn.Module
    k_proj: nn.Module
    v_proj: nn.Module
    o_proj: nn.Module
    q_norm: nn.Module
    k_norm: nn.Module

    def forward(
        self,
        hidden_states: torch.Tensor,
        position_embeddings: tuple[torch.Tensor, torch.Tensor],
        packing: Packing,
        **_: object,
    ) -> tuple[torch.Tensor, None]:
        """Shape: hidden_states (1, tokens, hidden) in and out, position_embeddings cosines and
        sines (1, tokens, size).
        """
        shape = (*hidden_states.shape[:-1], -1, self.head_dim)
        turns = signed(*position_embeddings)
        query = turn(self.q_proj(hidden_states).view(shape), self.q_norm, *turns)
        key = turn(self.k_proj(hidden_states).view(shape), self.k_norm, *turns)
        value = self.v_proj(hidden_states).view(shape)
        query, key, value = (part.transpose(1, 2) for part in (query, key, value))
        attended, _none = packed_attention(self, query, key, value, None, self.scaling, packing)
        return self.o_proj(attended.reshape(*shape[:-2], -1)), None


def use_text_attention(modules: Iterable[nn.Module]) -> None:
    """Let norms and attention of a language model be ours, in place."""
    for module in modules:
        if type(module) in (Qwen3VLTextRMSNorm, Qwen3VLMoeTextRMSNorm):
            module.__class__ = BlockwiseRMSNorm
        elif type(module) in (Qwen3VLTextAttention, Qwen3VLMoeTextAttention):
            module.__class__ = TextAttention


def turn(
    heads: torch.Tensor, norm: nn.Module, cosines: torch.Tensor, sines: torch.Tensor
) -> torch.Tensor:
    """Apply a norm and rotary embeddings.

    Shape: heads (1, tokens, heads, size) in and out, cosines and sines (1, tokens, 1, size), the
    first half of the sines negative.
    """
    tokens, count, size = heads.shape[1:]
    output = torch.empty_like(heads, memory_format=torch.contiguous_format)
    step = _step(heads, count * size)
    for start in range(0, tokens, step):
        block = slice(start, start + step)
        normed, turned = norm(heads[:, block]), output[:, block]
        torch.mul(normed, cosines[:, block], out=turned)
        turned += normed.roll(size // 2, -1).mul_(sines[:, block])
    return output


def signed(cosines: torch.Tensor, sines: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Give the first half of the sines their sign. Shape: (1, tokens, size), (1, tokens, 1, size).

    Half of a head is turned against the other: the sign stands in the sines, not in every head.
    """
    first, second = sines.chunk(2, dim=-1)
    return cosines[:, :, None], torch.cat((-first, second), dim=-1)[:, :, None]


def _step(values: torch.Tensor, width: int) -> int:
    """Return how many rows of a width pass all steps at once."""
    return max(1, BLOCK.get(values.device.type, values.numel()) // width)
