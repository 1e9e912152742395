"""Skinny GEMMs: equal to the usual product but for rounding."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from shenhe.engines.local.skinny_linear import (
    LM_HEAD_ROWS,
    MAX_ROWS,
    MAX_ROWS_OF_LM_HEAD,
    SkinnyInt8Linear,
    SkinnyLinear,
    use_skinny_linear,
)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("inside", "outside"), [(512, 1024), (64, LM_HEAD_ROWS)])
def test_results_are_equal_but_for_rounding(
    inside: int, outside: int, bias: bool, dtype: torch.dtype
) -> None:
    layer = nn.Linear(inside, outside, bias=bias, dtype=dtype)
    # One rounding of the product, another of the sum with the bias.
    relative, absolute = (1e-4, 1e-5) if dtype == torch.float32 else (2e-2, 2e-2)
    skinny = deepcopy(layer)
    use_skinny_linear(skinny.modules())
    assert isinstance(skinny, SkinnyLinear)
    for rows in range(1, MAX_ROWS_OF_LM_HEAD + 2):
        inputs = torch.randn(rows, inside, dtype=dtype)
        torch.testing.assert_close(skinny(inputs), layer(inputs), rtol=relative, atol=absolute)
        assert skinny(inputs[None]).shape == (1, rows, outside)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("bias", [True, False])
def test_int8_is_equal_but_for_rounding(bias: bool, dtype: torch.dtype, tolerance: float) -> None:
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    layers = nn.Sequential(nn.Linear(192, 512, bias=bias, dtype=dtype))
    quantize_(layers, Int8WeightOnlyConfig())
    skinny = deepcopy(layers)
    use_skinny_linear(skinny.modules())
    assert isinstance(skinny[0], SkinnyInt8Linear)
    with torch.inference_mode():
        for rows in range(1, MAX_ROWS + 2):
            inputs = torch.randn(1, rows, 192, dtype=dtype)
            torch.testing.assert_close(
                skinny(inputs), layers(inputs), rtol=tolerance, atol=tolerance
            )


def test_other_layers_are_left_alone() -> None:
    class Other(nn.Linear):
        pass

    model = nn.Sequential(
        nn.Linear(8, 8),  # small
        Other(512, 1024),
        nn.Linear(512, 1024, dtype=torch.float64),
    )
    use_skinny_linear(model.modules())
    assert not any(isinstance(layer, SkinnyLinear) for layer in model)
