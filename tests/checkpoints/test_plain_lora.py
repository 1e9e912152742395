"""The gate's shortcut for plain LoRA knows a base as transformers does, and admits as PEFT does."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForImageTextToText

from shenhe.checkpoints.gate import admit_adapters, admit_for_peft
from shenhe.checkpoints.gate.base_shapes import read_base_shapes
from shenhe.checkpoints.gate.plain_lora import admit_plain_lora
from shenhe.checkpoints.inspect import CheckpointFiles, find_adapter, find_checkpoint
from tests.checkpoints.small_adapters import BASE, Change, configure, rename, small_adapter

CONFIGS: dict[str, dict[str, dict[str, Any]]] = {
    "as it is": {},
    "other sizes": {
        "text_config": {"num_hidden_layers": 2, "head_dim": 16, "num_key_value_heads": 1},
        "vision_config": {"depth": 3, "deepstack_visual_indexes": [0], "spatial_merge_size": 4},
    },
    "untied": {
        "": {"tie_word_embeddings": False},
        "text_config": {"tie_word_embeddings": False},
        "vision_config": {"out_hidden_size": 320, "temporal_patch_size": 1},
    },
}


def _create_base(folder: Path, changes: dict[str, dict[str, Any]]) -> tuple[CheckpointFiles, Any]:
    """Write a base of zeros with a changed configuration; return transformers' model of it."""
    shutil.copytree(BASE, folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for section, options in changes.items():
        (config[section] if section else config).update(options)
    path.write_text(json.dumps(config))
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(folder))
    tensors = {k: torch.zeros(v.shape, dtype=torch.bfloat16) for k, v in model.state_dict().items()}
    if config["tie_word_embeddings"]:
        del tensors["lm_head.weight"]
    save_file(tensors, folder / "model.safetensors")
    return find_checkpoint(str(folder)), model


@pytest.mark.parametrize("name", CONFIGS)
def test_names_and_shapes_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    base, model = _create_base(tmp_path / "base", CONFIGS[name])
    shapes = read_base_shapes(base)
    assert shapes is not None
    assert shapes.weights == {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert shapes.modules == {key for key, _ in model.named_modules()}


@pytest.mark.parametrize(
    ("section", "options"),
    [
        ("", {"model_type": "qwen3_vl_moe"}),
        ("", {"tomorrow": 1}),
        ("", {"dtype": "bfloat17"}),
        ("text_config", {"hidden_act": "nonsense"}),
        ("text_config", {"attention_bias": True}),
        ("text_config", {"num_hidden_layers": 3}),
        ("text_config", {"num_hidden_layers": "4"}),
        ("text_config", {"num_hidden_layers": 10**9}),
        ("text_config", {"head_dim": True}),
        ("text_config", {"rope_parameters": {"rope_type": "yarn"}}),
        ("vision_config", {"deepstack_visual_indexes": [1]}),
        ("vision_config", {"patch_size": 14}),
    ],
)
def test_a_base_in_doubt_is_left_to_transformers(
    section: str, options: dict[str, Any], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(BASE, tmp_path / "base"))
    config = json.loads((folder / "config.json").read_text())
    (config[section] if section else config).update(options)
    (folder / "config.json").write_text(json.dumps(config))
    assert read_base_shapes(CheckpointFiles(folder, (folder / "model.safetensors",))) is None


def test_a_tensor_more_or_less_is_left_to_transformers(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(BASE, tmp_path / "base"))
    files = find_checkpoint(str(folder))
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"extra": torch.ones(2)}, folder / "model.safetensors")
    assert read_base_shapes(files) is None
    del tensors["model.language_model.norm.weight"]
    save_file(tensors, folder / "model.safetensors")
    assert read_base_shapes(files) is None


WRITTEN = {"peft_type": "LORA", "target_modules": ["q_proj", "v_proj"]}
PLAIN: dict[str, Change] = {
    "as PEFT writes it": lambda folder: None,
    "older names": rename("model.language_model.", "model."),
    "a list of targets": configure(target_modules=["q_proj", "v_proj"]),
    "rsLoRA": configure(use_rslora=True, task_type="CAUSAL_LM", lora_dropout=0.05),
    "alpha is 0": configure(lora_alpha=0),
    "no modules excluded": configure(exclude_modules=[]),
    "no modules to save, as ms-swift writes it": configure(modules_to_save=[]),
    "all that PEFT writes": configure(**LoraConfig(r=4, lora_alpha=16).to_dict() | WRITTEN),
}
IN_DOUBT: dict[str, Change] = {
    "layer 0 alone": configure(target_modules=["q_proj", "v_proj"], layers_to_transform=0),
    "a rank by pattern": configure(rank_pattern={"q_proj": 4}),
    "another start": configure(init_lora_weights="eva"),
    "all linear layers": configure(target_modules="all-linear"),
    "no targets": configure(target_modules=...),
    "a target more": configure(target_modules=["q_proj", "v_proj", "act_fn"]),
    "containers too": configure(target_modules=".*language_model.*(q_proj|v_proj|self_attn)"),
    "DoRA": configure(use_dora=True),
    "an unknown task": configure(task_type="TALK"),
    "a task that is false": configure(task_type=False),
    "no dropout at all": configure(lora_dropout=None),
    "an option that is false": configure(layer_replication=False),
    "an unknown option": configure(tomorrow=1),
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_lora_is_admitted_as_by_peft(name: str, tmp_path: Path) -> None:
    folder = small_adapter(tmp_path / "adapter")
    PLAIN[name](folder)
    base, files = find_checkpoint("demo"), find_adapter(str(folder))
    [adapter], [expected] = admit_adapters(base, [files]), admit_for_peft(base, [files])
    assert admit_plain_lora(base, files) is not None
    for field in ("peft_type", "kind", "settings", "contents", "whole", "warnings"):
        assert getattr(adapter, field) == getattr(expected, field), field


@pytest.mark.parametrize("name", IN_DOUBT)
def test_an_adapter_in_doubt_is_left_to_peft(name: str, tmp_path: Path) -> None:
    folder = small_adapter(tmp_path / "adapter")
    IN_DOUBT[name](folder)
    assert admit_plain_lora(find_checkpoint("demo"), find_adapter(str(folder))) is None


def test_a_merge_of_plain_lora_imports_little(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from shenhe.checkpoints.merge import merge_adapters;"
        "merge_adapters('demo', ['demo'], Path(sys.argv[1]));"
        "slow = {'peft', 'pydantic', 'shapely', 'torch', 'transformers'};"
        "print(sorted(slow & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "m")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
