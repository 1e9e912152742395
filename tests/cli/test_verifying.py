"""`verify`: a good merge passes, every way to spoil it is told."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from shenhe.checkpoints.check import check_files
from shenhe.checkpoints.merge import merge_adapters
from tests.conftest import DEMO
from tests.warm import SHENHE

DEMO_ADAPTER = DEMO / "checkpoint" / "adapter"
W = "model.safetensors"


def _verify(*words: object, code: int = 0) -> str:
    run = subprocess.run(
        [*SHENHE, "verify", *map(str, words)], capture_output=True, text=True, check=False
    )
    assert run.returncode == code, run.stdout + run.stderr
    return run.stdout


@pytest.fixture
def merged(tmp_path: Path) -> Path:
    adapter = shutil.copytree(DEMO_ADAPTER, tmp_path / "adapter")
    merge_adapters("demo", [str(adapter)], tmp_path / "merged")
    return tmp_path / "merged"


def test_a_merge_is_the_model_it_came_from_and_the_base_is_not(merged: Path) -> None:
    said = _verify(merged, "--against", "demo", "--adapters", "demo")
    assert "every value is finite" in said
    assert "names and shapes of the base" in said
    assert "rounding explains" in said
    assert "ERROR" not in said
    said = _verify("demo", "--against", "demo", "--adapters", "demo", code=1)
    assert "ERROR   next-token logits differ" in said


def test_a_checkpoint_alone_is_loaded(merged: Path) -> None:
    assert "loads, and writes" in _verify(merged)


def _spoil(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(path)
    change(weights)
    save_file(weights, path)


def _wrong_index(folder: Path) -> None:
    weights = load_file(folder / W)
    names = sorted(weights)
    for number, some in enumerate((names[::2], names[1::2])):
        save_file({name: weights[name] for name in some}, folder / f"s{number}.safetensors")
    (folder / W).unlink()
    swapped = dict.fromkeys(names[::2], "s1.safetensors") | dict.fromkeys(
        names[1::2], "s0.safetensors"
    )
    (folder / f"{W}.index.json").write_text(json.dumps({"weight_map": swapped}))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda f: _spoil(
                f / W, lambda w: w["model.language_model.norm.weight"].fill_(torch.nan)
            ),
            "1 tensors hold NaN",
        ),
        (lambda f: _spoil(f / W, lambda w: w.pop("model.language_model.norm.weight")), "not those"),
        (_wrong_index, "index.json and the shards disagree"),
        (lambda f: shutil.copy(f / W, f / "model-00001-of-00002.safetensors"), "no index"),
        (
            lambda f: _spoil(
                f.parent / "adapter" / "adapter_model.safetensors",
                lambda w: next(iter(w.values())).add_(1),
            ),
            "stale: the adapter",
        ),
        (lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json is missing"),
    ],
    ids=["nan", "lost tensor", "index", "stray shard", "stale", "companion"],
)
def test_what_is_wrong_is_told_with_its_remedy(
    merged: Path, spoil: Callable[[Path], object], said: str
) -> None:
    spoil(merged)
    errors = [f for f in check_files(str(merged), "demo") if f.level == "error"]
    assert errors
    assert any(said in finding.message for finding in errors)
    assert all(finding.remedy for finding in errors)


def test_adapters_need_their_base() -> None:
    run = subprocess.run(
        [*SHENHE, "verify", "demo", "--adapters", "demo"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert "--against" in run.stderr
