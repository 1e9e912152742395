"""The bundled checkpoint with Qwen's own token ids, which ms-swift has hard-coded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>"),
    *("<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>"),
    *("<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
)
FIRST, ROWS = 151643, 151936
EMBEDDING = "model.language_model.embed_tokens.weight"


def with_real_ids(source: Path, folder: Path) -> Path:
    """Copy a checkpoint, its special tokens moved to their ids in Qwen's own vocabulary."""
    shutil.copytree(source, folder)
    moved = _rewrite_tokenizer(folder / "tokenizer.json")
    _rewrite_config(folder / "config.json", moved)
    _rewrite_config(folder / "generation_config.json", moved)
    weights = load_file(folder / "model.safetensors")
    rows = weights[EMBEDDING]
    # Far from every prompt: a row that no token has is never the likeliest.
    wide = torch.zeros(ROWS, rows.shape[1], dtype=rows.dtype)
    wide[: len(rows)] = rows
    for old, new in moved.items():
        wide[new] = rows[old]
        wide[old] = 0
    weights[EMBEDDING] = wide
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return add_video(folder)


def add_video(folder: Path) -> Path:
    """Add the configuration of videos, without which other engines make no processor."""
    config = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    config.pop("image_processor_type")
    config["video_processor_type"] = "Qwen3VLVideoProcessor"
    (folder / "video_preprocessor_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def _rewrite_tokenizer(path: Path) -> dict[int, int]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    vocabulary, moved = content["model"]["vocab"], {}
    for number, token in enumerate(SPECIAL):
        moved[vocabulary[token]] = FIRST + number
        vocabulary[token] = FIRST + number
    # Like Qwen's own, a vocabulary without holes; no text is ever made of these.
    taken = set(vocabulary.values())
    vocabulary |= {f"<unused{n}>": n for n in range(ROWS) if n not in taken}
    for token in content["added_tokens"]:
        token["id"] = vocabulary[token["content"]]
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return moved


def _rewrite_config(path: Path, moved: dict[int, int]) -> None:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))

    def rewrite(part: dict[str, Any]) -> None:
        for name, value in part.items():
            if isinstance(value, dict):
                rewrite(value)
            elif name.endswith("token_id") and isinstance(value, int):
                part[name] = moved[value]
            elif name.endswith("token_id") and isinstance(value, list):
                part[name] = [moved[one] for one in value]
            elif name == "vocab_size":
                part[name] = ROWS

    rewrite(content)
    path.write_text(json.dumps(content), encoding="utf-8")
