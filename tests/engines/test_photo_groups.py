"""Photos that come together pass the tower in groups, and their answers are those of each alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from shenhe.config import load_missions, load_prompts
from shenhe.engines.base import EngineSpec
from shenhe.engines.local import photo_embedding
from shenhe.engines.local.engine import LocalEngine
from shenhe.engines.options import LocalOptions
from shenhe.messages import Answer
from shenhe.stages import summary


@pytest.mark.parametrize("limit", [1, 600, 100_000])
def test_no_group_has_more_patches_than_the_limit(
    limit: int, demo_photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    local = LocalOptions(dtype="float32", reuse_memory=0)
    engine = LocalEngine(EngineSpec(model="demo", adapters=("demo",), engine=local))
    mission, prompt = next(iter(load_missions())), load_prompts().summary
    requests = [
        summary.request(photo.name, photo, mission, prompt, 24) for photo in demo_photos[:4]
    ]
    expected = {answer.key: answer for answer in engine.answer(requests)}
    model = engine._runner.base.model
    passes: list[list[int]] = []

    def counted(patches: torch.Tensor, grids: torch.Tensor, **options: Any) -> object:
        passes.append(grids.prod(-1).tolist())
        return whole(patches, grids, **options)

    whole = model.get_image_features
    monkeypatch.setattr(model, "get_image_features", counted)
    monkeypatch.setattr(photo_embedding, "MAX_PATCHES", {"cpu": limit})
    answers = {answer.key: answer for answer in engine.answer(requests)}
    assert answers == expected
    assert all(isinstance(answer, Answer) for answer in answers.values())
    assert sum(map(len, passes)) == len(requests)
    assert all(len(group) == 1 or sum(group) <= limit for group in passes)
    assert len(passes) > 1 or limit == 100_000
