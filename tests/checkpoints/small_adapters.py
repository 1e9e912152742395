"""Adapters of the demo base in many forms, created from its headers without loading a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from shenhe.checkpoints.adapter import PREFIX
from shenhe.checkpoints.inspect import DEMO_FOLDER
from shenhe.checkpoints.tensors import StoredTensor, read_table

BASE = DEMO_FOLDER / "base"
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
TARGETS = r".*language_model.*\.(q_proj|v_proj)"
FIRST = f"{PREFIX}model.language_model.layers.0.self_attn.q_proj"
Change = Callable[[Path], object]


def base_tables() -> dict[str, StoredTensor]:
    """Read the tensors of the demo base."""
    return read_table(BASE / "model.safetensors")


def small_adapter(folder: Path, rank: int = 4, **options: Any) -> Path:
    """Write LoRA of a rank on q_proj and v_proj of the language model, as PEFT writes it."""
    folder.mkdir(parents=True)
    torch.manual_seed(rank)
    tensors: dict[str, torch.Tensor] = {}
    for name, stored in base_tables().items():
        if "language_model" in name and name.endswith(("q_proj.weight", "v_proj.weight")):
            module, (out, inner) = name.removesuffix(".weight"), stored.shape
            tensors[f"{PREFIX}{module}.lora_A.weight"] = torch.randn(rank, inner) * 0.05
            tensors[f"{PREFIX}{module}.lora_B.weight"] = torch.randn(out, rank) * 0.05
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    settings = {"peft_type": "LORA", "r": rank, "lora_alpha": 16, "target_modules": TARGETS}
    (folder / CONFIG).write_text(json.dumps(settings | options))
    return folder


def configure(**options: Any) -> Change:
    """Set options of the configuration; `...` removes one."""

    def change(folder: Path) -> None:
        path = folder / CONFIG
        settings = json.loads(path.read_text()) | options
        path.write_text(json.dumps({k: v for k, v in settings.items() if v is not ...}))

    return change


def rewrite(change: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    """Change the tensors, in place or by returning new ones."""

    def write(folder: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        changed = change(tensors)
        save_file(changed if isinstance(changed, dict) else tensors, folder / WEIGHTS)

    return write


def rename(old: str, new: str) -> Change:
    """Rename the tensors."""
    return rewrite(lambda tensors: {k.replace(old, new): v for k, v in tensors.items()})


def each(change: Callable[[torch.Tensor], torch.Tensor], name: str = "") -> Change:
    """Change every tensor whose name contains a text."""
    return rewrite(lambda tensors: {k: change(v) if name in k else v for k, v in tensors.items()})


def beside(name: str, content: bytes | None = None) -> Change:
    """Put a file beside the weights: bytes that nobody may unpickle, or safetensors."""

    def put(folder: Path) -> None:
        if content is not None:
            (folder / name).write_bytes(content)
        else:
            save_file({"summary.weight": torch.ones(2, 2)}, folder / name)

    return put


def in_order(*changes: Change) -> Change:
    """Make several changes."""

    def change(folder: Path) -> None:
        for step in changes:
            step(folder)

    return change
