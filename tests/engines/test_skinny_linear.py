"""Skinny GEMMs: equal to the usual product but for rounding."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from shenhe.engines.local.skinny_linear import (
    LM_HEAD_ROWS,
    MAX_ROWS_OF_LM_HEAD,
    SkinnyLinear,
    use_skinny_linear,
)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("inside", "outside"), [(512, 1024), (64, LM_HEAD_ROWS)])
def test_results_are_equal_but_for_rounding(inside: int, outside: int, bias: bool) -> None:
    layer = nn.Linear(inside, outside, bias=bias)
    skinny = deepcopy(layer)
    use_skinny_linear(skinny.modules())
    assert isinstance(skinny, SkinnyLinear)
    for rows in range(1, MAX_ROWS_OF_LM_HEAD + 2):
        inputs = torch.randn(rows, inside)
        torch.testing.assert_close(skinny(inputs), layer(inputs), rtol=1e-4, atol=1e-5)
        assert skinny(inputs[None]).shape == (1, rows, outside)


def test_other_layers_are_left_alone() -> None:
    class Other(nn.Linear):
        pass

    model = nn.Sequential(
        nn.Linear(8, 8),  # small
        Other(512, 1024),
        nn.Linear(512, 1024, dtype=torch.bfloat16),
    )
    use_skinny_linear(model.modules())
    assert not any(isinstance(layer, SkinnyLinear) for layer in model)
