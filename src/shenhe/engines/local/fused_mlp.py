"""The tower's MLPs in bfloat16 on a CPU: GELU is computed inside the product before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

import torch
from torch import nn
from transformers.activations import ACT2FN
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionMLP
from transformers.models.qwen3_vl_moe.modeling_qwen3_vl_moe import Qwen3VLMoeVisionMLP

from shenhe.engines.local.skinny_linear import is_quantized

MAX_INNER_BYTES = 24 << 20
"""Rows are taken so many at a time that what lies between two products is no larger: glibc gives
blocks of 32 MB and more back to the system, which clears every page of the next one."""
_GELU = type(ACT2FN["gelu_pytorch_tanh"])


class FusedTowerMLP(nn.Module):
    """The MLP of a block of the tower.

    Its GELU is taken of the float32 sums of the first product, before they are rounded, and costs a
    third of a pass of its own: torch computes the hyperbolic tangent of one value in 2.6 ns.
    """

    linear_fc1: nn.Linear
    linear_fc2: nn.Module
    act_fn: Callable[[torch.Tensor], torch.Tensor]

    def forward(self, hidden_state: torch.Tensor) -> torch.Tensor:
        """Shape: (patches, width) in and out."""
        if not _is_fusible(hidden_state, self.linear_fc1):
            output: torch.Tensor = self.linear_fc2(self.act_fn(self.linear_fc1(hidden_state)))
            return output
        inner = self.linear_fc1.out_features * hidden_state.element_size()
        blocks = -(-len(hidden_state) * inner // MAX_INNER_BYTES)
        parts = [self._block(rows) for rows in hidden_state.chunk(blocks)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _block(self, rows: torch.Tensor) -> torch.Tensor:
        first = self.linear_fc1
        inner = torch.ops.mkldnn._linear_pointwise(
            rows, first.weight, first.bias, "gelu", [], "tanh"
        )
        output: torch.Tensor = self.linear_fc2(inner)
        return output


def use_fused_mlp(modules: Iterable[nn.Module]) -> None:
    """Let the MLPs of a tower's blocks be ours, in place, where their activation is that GELU."""
    for module in modules:
        is_mlp = type(module) in (Qwen3VLVisionMLP, Qwen3VLMoeVisionMLP)
        if is_mlp and type(module.act_fn) is _GELU:
            module.__class__ = FusedTowerMLP


def _is_fusible(rows: torch.Tensor, layer: nn.Module) -> bool:
    """Whether a layer is a plain matrix in bfloat16, on a CPU where torch's own use oneDNN."""
    return (
        type(layer) is nn.Linear
        and rows.device.type == "cpu"
        and rows.dtype == layer.weight.dtype == torch.bfloat16
        and not is_quantized(layer.weight)
        and _has_fused_products()
    )


@cache
def _has_fused_products() -> bool:
    """Whether torch has these products here, and computes its own in bfloat16 by oneDNN too.

    oneDNN compiles GELU into its products for AVX-512; elsewhere it may be a slow pass of its own.
    """
    library = torch.ops.mkldnn  # its names are not promised to stay
    return (
        torch.backends.cpu.get_cpu_capability() == "AVX512"
        and hasattr(library, "_linear_pointwise")
        and hasattr(library, "_is_mkldnn_bf16_supported")
        and bool(library._is_mkldnn_bf16_supported())
    )
