"""Finding the files of checkpoints and adapters, before anything is loaded."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shenhe.checkpoints.foreign_code import refuse_foreign_code
from shenhe.errors import AdapterError, CheckpointError, spelled

DEMO = "demo"
DEMO_FOLDER = Path(__file__).parent.parent / "demo" / "checkpoint"
MODEL_TYPES = ("qwen3_vl", "qwen3_vl_moe")
TOWER = "vit.safetensors"
"""File of a vision tower that was trained whole, beside the adapter (ms-swift's recipe)."""
SAMPLES, SAMPLE_BYTES = 64, 65_536


@dataclass(frozen=True, slots=True)
class CheckpointFiles:
    """A checkpoint folder and its weight files, complete enough to be loaded.

    Example:
        files = find_checkpoint("Qwen3-VL-4B-Instruct")
        sum(path.stat().st_size for path in files.weights)

    """

    folder: Path
    weights: tuple[Path, ...]


def find_checkpoint(name: str) -> CheckpointFiles:
    """Find a base or merged checkpoint; `demo` names the bundled one.

        find_checkpoint("demo").weights[0].name == "model.safetensors"

    Raises: CheckpointError that names what is missing or unsafe.
    """
    folder = DEMO_FOLDER / "base" if name == DEMO else Path(name)
    if not folder.is_dir():
        raise CheckpointError(f"{spelled('model', name)}: no such folder")
    config = read_object(folder / "config.json", CheckpointError)
    if (folder / "adapter_config.json").exists():
        if not config:
            raise CheckpointError(
                f"{spelled('model', name)}: this is an adapter; give it as {spelled('adapters')}"
            )
        # transformers would apply it without being asked.
        raise CheckpointError(
            f"{spelled('model', name)}: adapter_config.json lies in it: it is a checkpoint"
            " and an adapter at once; move the adapter's files to a folder of their own, and give"
            f" that as {spelled('adapters')}"
        )
    refuse_foreign_code(folder, spelled("model", name), CheckpointError)
    if config.get("model_type") not in MODEL_TYPES:
        raise CheckpointError(
            f"{spelled('model', name)}: model_type {config.get('model_type')!r} is not Qwen3-VL"
        )
    for required in ("tokenizer_config.json", "preprocessor_config.json"):
        if not (folder / required).exists():
            raise CheckpointError(
                f"{spelled('model', name)}: {required} is missing; copy it from the base checkpoint"
            )
    return CheckpointFiles(folder, _find_weights(folder, "model", CheckpointError))


def find_adapter(name: str) -> CheckpointFiles:
    """Find a PEFT adapter; `demo` names the bundled one.

        find_adapter("demo").weights[0].name == "adapter_model.safetensors"

    Raises: AdapterError that names what is missing or unsafe.
    """
    folder = DEMO_FOLDER / "adapter" if name == DEMO else Path(name)
    if not folder.is_dir():
        raise AdapterError(f"{spelled('adapters', name)}: no such folder")
    if not read_object(folder / "adapter_config.json", AdapterError):
        inside = sorted(path.parent.name for path in folder.glob("*/adapter_config.json"))
        hint = f"; adapters lie in it: {', '.join(inside)}" if inside else ": not an adapter"
        raise AdapterError(f"{spelled('adapters', name)}: adapter_config.json is missing{hint}")
    refuse_foreign_code(folder, spelled("adapters", name), AdapterError)
    tower = folder / TOWER
    towers = (tower,) if tower.is_file() else ()
    return CheckpointFiles(folder, _find_weights(folder, "adapter_model", AdapterError) + towers)


def fingerprint(*parts: CheckpointFiles) -> str:
    """Fingerprint checkpoints in order, in time that does not grow with their size.

    Configuration files are hashed whole; of each weight file its size and 64 samples of 64 kB,
    spread evenly from its start: any retraining changes all of them.

        len(fingerprint(find_checkpoint("demo"), find_adapter("demo"))) == 16  # hex digits
    """
    digest = hashlib.sha256()
    for files in parts:
        for config in sorted(files.folder.glob("*.json")) + sorted(files.folder.glob("*.jinja")):
            if config.stat().st_size < 1_000_000:
                digest.update(config.name.encode() + b"\0" + config.read_bytes())
        for path in files.weights:
            size = path.stat().st_size
            digest.update(f"{path.name}\0{size}\0".encode())
            with path.open("rb") as file:
                for sample in range(SAMPLES):
                    file.seek(sample * max(0, size - SAMPLE_BYTES) // max(1, SAMPLES - 1))
                    digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()[:16]


def _find_weights(folder: Path, stem: str, error: type[CheckpointError]) -> tuple[Path, ...]:
    index = folder / f"{stem}.safetensors.index.json"
    if index.exists():
        shards = read_object(index, error).get("weight_map")
        if not isinstance(shards, dict) or not all(isinstance(n, str) for n in shards.values()):
            raise error(f"{index}: weight_map does not say which tensor lies in which file")
        names = set(shards.values())
        if any(Path(name).name != name for name in names):
            raise error(f"{index}: names a shard outside its folder")
    else:
        names = {f"{stem}.safetensors"}
    paths = tuple(folder / name for name in sorted(names))
    for path in paths:
        if path.is_file():
            continue
        pickled = next(
            iter(sorted(folder.glob(f"{'pytorch_' if stem == 'model' else ''}{stem}*.bin"))), None
        )
        if pickled:
            raise error(
                f"{pickled}: pickled weights can run code and are refused; save them as safetensors"
            )
        raise error(f"{path}: the weights are missing")
    return paths


def read_object(path: Path, error: type[CheckpointError]) -> dict[str, Any]:
    """Read a JSON object; a missing file is an empty one."""
    if not path.exists():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as cause:
        raise error(f"{path}: cannot be read: {cause}") from cause
    if not isinstance(value, dict):
        raise error(f"{path}: is not a JSON object")
    return value
