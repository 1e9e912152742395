"""Adapters as trainers leave them: the same one in each layout loads, and merges the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from shenhe.checkpoints import find_adapter
from shenhe.checkpoints.inspect import DEMO_FOLDER
from shenhe.checkpoints.load import load_checkpoint
from shenhe.checkpoints.merge import merge_adapters
from shenhe.errors import AdapterError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
LINEAR = "q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj"
Change = Callable[[Path], None]


def _configure(folder: Path, **options: Any) -> None:
    path = folder / CONFIG
    content = json.loads(path.read_text(encoding="utf-8")) | options
    path.write_text(json.dumps(content), encoding="utf-8")


def _rename(folder: Path, change: Callable[[str], str]) -> None:
    path = folder / WEIGHTS
    save_file({change(name): weight for name, weight in load_file(path).items()}, path)


def _ms_swift(folder: Path) -> None:
    (folder / "args.json").write_text(json.dumps({"model": "base", "system": "你是质检员"}))
    (folder / "additional_config.json").write_text('{"lora_dtype": null, "lorap_lr_ratio": null}')
    _configure(folder, target_modules=rf"^(model.language_model(?=\.).*\.({LINEAR}))$")


def _llama_factory(folder: Path) -> None:
    # Pickled arguments and optimizers lie beside the weights; nobody opens them.
    (folder / "training_args.bin").write_bytes(b"\x80\x04never read")
    (folder / "optimizer.pt").write_bytes(b"\x80\x04never read")
    (folder / "trainer_state.json").write_text('{"global_step": 800}')
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(DEMO_FOLDER / "base" / name, folder / name)


def _unsloth(folder: Path) -> None:
    _configure(
        folder,
        base_model_name_or_path="unsloth/Qwen3-VL-4B-Instruct-unsloth-bnb-4bit",
        auto_mapping={"base_model_class": "Qwen3VLForConditionalGeneration", "unsloth_fixed": True},
        target_modules=rf"(?:.*?(?:language).*?(?:self_attn|mlp).*?(?:{LINEAR}).*?)",
    )


def _trl(folder: Path) -> None:
    (folder / "training_args.bin").write_bytes(b"\x80\x04never read")
    (folder / "README.md").write_text("---\nlibrary_name: peft\n---\n")


def _own_state(folder: Path) -> None:
    _rename(folder, lambda name: name.replace(".weight", ".default.weight"))


def _older_names(folder: Path) -> None:
    _rename(folder, lambda name: name.replace("model.language_model.", "model."))


LAYOUTS: dict[str, Change] = {
    "PEFT": lambda folder: None,
    "ms-swift": _ms_swift,
    "LLaMA-Factory": _llama_factory,
    "Unsloth": _unsloth,
    "TRL": _trl,
    "the model's own state": _own_state,
    "names of other times": _older_names,
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_same_adapter_in_every_layout(name: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DEMO_FOLDER / "adapter", tmp_path / "checkpoint-800"))
    LAYOUTS[name](folder)
    loaded = load_checkpoint("demo", [str(folder)], dtype="float32").model
    expected = load_checkpoint("demo", ["demo"], dtype="float32").model
    for (name, weight), (expected_name, expected_weight) in zip(
        loaded.state_dict().items(), expected.state_dict().items(), strict=True
    ):
        assert name == expected_name
        assert torch.equal(weight, expected_weight), name
    merge_adapters("demo", [str(folder)], tmp_path / "merged")
    merge_adapters("demo", ["demo"], tmp_path / "expected")
    merged, exact = (
        load_file(tmp_path / folder / "model.safetensors") for folder in ("merged", "expected")
    )
    assert all(torch.equal(merged[key], exact[key]) for key in exact)


def test_the_folder_of_a_run_names_its_checkpoints(tmp_path: Path) -> None:
    for step in (100, 1000, 200):
        shutil.copytree(DEMO_FOLDER / "adapter", tmp_path / "run" / f"checkpoint-{step}")
    with pytest.raises(AdapterError, match=r"lie in it: .*checkpoint-1000.*checkpoint-200"):
        find_adapter(str(tmp_path / "run"))
