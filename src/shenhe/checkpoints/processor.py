"""The part of a checkpoint that says how photos are resized for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeGuard

from shenhe.checkpoints.inspect import DEMO, DEMO_FOLDER, CheckpointFiles, read_object
from shenhe.errors import CheckpointError, spelled
from shenhe.photos import PixelBudget
from shenhe.photos.sizing import FACTOR

PREPROCESSOR, PROCESSOR = "preprocessor_config.json", "processor_config.json"
"""Where it stands: in a file of its own, or since transformers 5 under `image_processor`."""
_LOWEST: Final = ("shortest_edge", "min_pixels")
_HIGHEST: Final = ("longest_edge", "max_pixels")


def read_processor(name: str) -> PixelBudget:
    """Read the range of pixels that photos are resized to, from a checkpoint's folder or one that
    holds the file of its processor; `demo` names the bundled one.

    Raises: CheckpointError.

        >>> read_processor("demo")
        PixelBudget(min_pixels=4096, max_pixels=81920)
    """
    folder = DEMO_FOLDER / "base" if name == DEMO else Path(name)
    if not folder.is_dir():
        raise CheckpointError(f"{spelled('processor', name)}: no such folder")
    for path in (folder / PREPROCESSOR, folder / PROCESSOR):
        if path.is_file():
            return read_budget_file(path)
    raise CheckpointError(
        f"{spelled('processor', name)}: neither {PREPROCESSOR} nor {PROCESSOR} lies in it; copy it"
        " from the checkpoint that the server has loaded"
    )


def read_budget(files: CheckpointFiles) -> PixelBudget:
    """Read the range of pixels that a checkpoint resizes photos to.

    Raises: CheckpointError.
    """
    return read_budget_file(files.folder / PREPROCESSOR)


def read_budget_file(path: Path) -> PixelBudget:
    """Read the range of pixels in the file of a processor.

    `min_pixels` and `max_pixels` beside `size`, or in it, are the names of earlier versions; beside
    it they count, as for transformers.
    Raises: CheckpointError, also for a processor of another family of models.

        read_budget_file(Path("Qwen3-VL-4B-Instruct/preprocessor_config.json"))
    """
    config = read_object(path, CheckpointError)
    nested = config.get("image_processor")
    if path.name == PROCESSOR and isinstance(nested, dict):
        config = nested
    patch, merge = config.get("patch_size", 16), config.get("merge_size", 2)
    if not (isinstance(patch, int) and isinstance(merge, int) and patch * merge == FACTOR):
        raise CheckpointError(
            f"{path}: patch_size {patch!r} x merge_size {merge!r} is not {FACTOR}: this is no"
            " processor of Qwen3-VL"
        )
    size = config.get("size")
    sizes = size if isinstance(size, Mapping) else {}
    lowest = _first(config.get("min_pixels"), *map(sizes.get, _LOWEST))
    highest = _first(config.get("max_pixels"), *map(sizes.get, _HIGHEST))
    if not (_is_count(lowest) and _is_count(highest) and lowest <= highest):
        raise CheckpointError(
            f"{path}: gives no size: {lowest!r} to {highest!r} pixels (shortest_edge to"
            " longest_edge)"
        )
    return PixelBudget(lowest, highest)


def _first(*values: object) -> object:
    return next((value for value in values if value is not None), None)


def _is_count(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number of pixels above 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
