"""The folder of an exported checkpoint: its models, its sizes, how photos are resized for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shenhe.checkpoints.inspect import (
    DEMO,
    DEMO_FOLDER,
    MODEL_TYPES,
    CheckpointFiles,
    read_object,
)
from shenhe.checkpoints.processor import read_budget
from shenhe.errors import CheckpointError, OptionError, spelled
from shenhe.photos import PixelBudget

LANGUAGE, EMBEDDING = "openvino_language_model", "openvino_text_embeddings_model"
PATCHES, PLACES, TOWER = (
    "openvino_vision_embeddings_model",
    "openvino_vision_embeddings_pos_model",
    "openvino_vision_embeddings_merger_model",
)
MODELS: Final = (LANGUAGE, EMBEDDING, PATCHES, PLACES, TOWER)
"""The models of an export, each an .xml and a .bin, as optimum-intel writes them."""
NOTES: Final = "shenhe_export.json"
"""What the recipe notes of an export: its weights, and the checkpoint that it was made of."""


@dataclass(frozen=True, slots=True)
class Exported:
    """An exported checkpoint, with the sizes that its models do not tell themselves.

    `head` and `tower_head` are the widths of attention heads, `grid` is the side of the square of
    learned positions of the tower, `deepstack` the number of first layers that photos are added
    to. `weights` is None where no recipe noted them.
    """

    files: CheckpointFiles
    budget: PixelBudget
    image_token: int
    end_tokens: tuple[int, ...]
    patch: int
    merge: int
    frames: int
    grid: int
    head: int
    tower_head: int
    deepstack: int
    tower_theta: float
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    weights: str | None

    def model(self, name: str) -> Path:
        """Path of one of its models."""
        return self.files.folder / f"{name}.xml"


def find_exported(name: str) -> CheckpointFiles:
    """Find an exported checkpoint; `demo` names the bundled one, with its adapter merged.

    Raises: CheckpointError that names what is missing.
    """
    folder = DEMO_FOLDER / "openvino" if name == DEMO else Path(name)
    if not folder.is_dir():
        raise CheckpointError(f"{spelled('model', name)}: no such folder")
    _require(name, [folder / "config.json"])
    config = read_object(folder / "config.json", CheckpointError)
    if config.get("model_type") not in MODEL_TYPES:
        raise CheckpointError(
            f"{spelled('model', name)}: model_type {config.get('model_type')!r} is not Qwen3-VL"
        )
    paths = [folder / f"{model}{end}" for model in MODELS for end in (".xml", ".bin")]
    _require(name, paths)
    return CheckpointFiles(folder, tuple(paths))


def refuse_adapters(adapters: Sequence[str]) -> None:
    """Refuse adapters beside an export, which has them in its weights.

    Raises: OptionError.
    """
    if adapters:
        problem = "are merged before an export: see python -m recipes.openvino_export"
        raise OptionError("adapters", None, problem)


def read_exported(name: str) -> Exported:
    """Read what the configuration of an exported checkpoint says.

    Raises: CheckpointError that names what is missing or wrong.
    """
    files = find_exported(name)
    config = read_object(files.folder / "config.json", CheckpointError)
    generation = read_object(files.folder / "generation_config.json", CheckpointError)
    processor = read_object(files.folder / "preprocessor_config.json", CheckpointError)
    notes = read_object(files.folder / NOTES, CheckpointError)
    budget = read_budget(files)
    try:
        tower = config["vision_config"]
        ends = generation.get("eos_token_id", config["text_config"].get("eos_token_id"))
        rope = tower.get("rope_parameters") or {}
        return Exported(
            files,
            budget,
            image_token=int(config["image_token_id"]),
            end_tokens=tuple(ends) if isinstance(ends, list) else (int(ends),),
            patch=int(tower["patch_size"]),
            merge=int(tower["spatial_merge_size"]),
            frames=int(tower["temporal_patch_size"]),
            grid=math.isqrt(int(tower["num_position_embeddings"])),
            head=_head(config["text_config"]),
            tower_head=int(tower["hidden_size"]) // int(tower["num_heads"]),
            deepstack=len(tower["deepstack_visual_indexes"]),
            tower_theta=float(rope.get("rope_theta", 10_000.0)),
            mean=tuple(processor["image_mean"]),
            deviation=tuple(processor["image_std"]),
            weights=notes.get("weights"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{files.folder}: its configuration lacks {error}") from error


def _require(name: str, paths: Sequence[Path]) -> None:
    if missing := next((path for path in paths if not path.is_file()), None):
        raise CheckpointError(
            f"{spelled('model', name)}: {missing.name} is missing: this is no export for OpenVINO;"
            " python -m recipes.openvino_export CHECKPOINT OUT makes one"
        )


def _head(config: Mapping[str, Any]) -> int:
    """Read the width of attention heads."""
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])
