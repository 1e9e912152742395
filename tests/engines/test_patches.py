"""Patches that equal those of a checkpoint's own image processor bit by bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from shenhe.checkpoints.load import load_checkpoint
from shenhe.engines.local.patches import Patches
from shenhe.photos import load

CLIP = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
QWEN = ([0.5] * 3, [0.5] * 3)


@pytest.mark.parametrize(("mean", "deviation"), [QWEN, CLIP])
def test_patches_are_those_of_the_image_processor(
    demo_photos: list[Path], mean: list[float], deviation: list[float]
) -> None:
    loaded = load_checkpoint("demo")
    processor = loaded.processor.image_processor
    processor.image_mean, processor.image_std = mean, deviation  # type: ignore[attr-defined]
    patches = Patches(processor)
    photo = load(demo_photos[0], loaded.budget)
    cut, grid = patches.cut(photo.raster.array)
    expected = processor([photo.image], do_resize=False, return_tensors="pt")
    assert torch.equal(patches.floats(cut), expected["pixel_values"])
    assert expected["image_grid_thw"].tolist() == [list(grid)]
