"""Refusal of weights that trainers keep beside an adapter and that nothing here would apply.

Applied are the files in the adapter's own list (`inspect.find_adapter`): its safetensors, and the
vision tower that ms-swift keeps whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from shenhe.errors import AdapterError

SUFFIXES: Final = (
    *(".safetensors", ".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npz", ".npy", ".h5"),
    *(".msgpack", ".gguf", ".onnx", ".joblib", ".tensors", ".th"),
)
OF_TRAINING: Final = (
    "optimizer",
    "scheduler",
    "rng_state",
    "random_states",
    "scaler",
    "training_args",
    "sampler",
)
"""Prefixes of a trainer's own state, none of it weights of the model; never opened."""


def refuse_side_files(folder: Path, applied: tuple[Path, ...]) -> None:
    """Refuse weights beside an adapter that are not applied.

    Raises: AdapterError that names them.
    """
    names = {path.name for path in applied}
    beside = sorted(
        path.name
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES
        and path.name not in names
        and not path.name.startswith(OF_TRAINING)
    )
    if beside:
        raise AdapterError(
            f"{folder}: {', '.join(beside[:5])}{' ...' if len(beside) > 5 else ''}: weights beside"
            " the adapter that are not applied here: merge them where they were trained, or move"
            " them away if they are not part of the model"
        )
