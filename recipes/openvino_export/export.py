"""The export of a checkpoint: adapters merged, the old form written, optimum-intel run over it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from recipes.environments import make_environment
from recipes.openvino_export.old_form import old_config, old_video_processor
from shenhe.checkpoints.inspect import (
    CheckpointFiles,
    find_adapter,
    find_checkpoint,
    fingerprint,
    read_object,
)
from shenhe.checkpoints.merge import merge_adapters
from shenhe.checkpoints.staged_folder import staged_folder
from shenhe.engines.openvino.exported import MODELS, NOTES
from shenhe.errors import CheckpointError, EngineError

Weights = Literal["fp32", "fp16", "int8"]
BYTES: Final = {"fp32": 4, "fp16": 2, "int8": 1}
"""Bytes of a weight."""
NEEDED: Final = (
    *("optimum-intel==2.2.0", "optimum==2.3.0", "transformers==4.57.6", "nncf==3.4.0"),
    *("openvino==2026.4.1", "torch==2.13.0", "torchvision==0.28.0"),
)
"""What exports; transformers 5 is refused by this optimum-intel."""
ENVIRONMENT: Final = Path("~/.cache/shenhe/openvino_export")
COMPANIONS: Final = (
    *("config.json", "generation_config.json", "preprocessor_config.json"),
    *("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"),
)
"""Files of a checkpoint that an export keeps as they are."""


def export(
    checkpoint: str,
    adapters: Sequence[str],
    output: Path,
    weights: Weights = "int8",
    *,
    merge_dtype: str = "auto",
    environment: Path = ENVIRONMENT,
    pip_options: Sequence[str] = (),
) -> None:
    """Write the folder of an export, which is complete or absent.

    Raises: CheckpointError or AdapterError for a checkpoint that cannot be exported; EngineError
    if the environment cannot be made, or the export fails.
    """
    base = find_checkpoint(checkpoint)
    files = [find_adapter(name) for name in adapters]
    if read_object(base.folder / "config.json", CheckpointError)["model_type"] != "qwen3_vl":
        raise CheckpointError(f"{base.folder}: experts cannot be exported, only dense checkpoints")
    python = _environment(environment.expanduser(), pip_options)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as scratch:
        merged = base
        if adapters:
            folder = Path(scratch, "merged")
            merge_adapters(checkpoint, adapters, folder, dtype=merge_dtype)
            merged = find_checkpoint(str(folder))
        nbytes = sum(path.stat().st_size for path in merged.weights) * BYTES[weights] // 2
        old, exported = Path(scratch, "old"), Path(scratch, "exported")
        _write_old_form(merged, old)
        _run(python, old, exported, weights)
        with staged_folder(output, nbytes) as staged:
            _collect(exported, merged, staged)
            notes = {
                "weights": weights,
                "checkpoint": fingerprint(base, *files),
                "made_with": [name for name in NEEDED if "==" in name],
            }
            (staged / NOTES).write_text(json.dumps(notes, indent=2) + "\n")


def _environment(folder: Path, pip_options: Sequence[str]) -> Path:
    try:
        return make_environment(folder, [*pip_options, *NEEDED])
    except subprocess.CalledProcessError as error:
        raise EngineError(f"{folder}: this environment cannot be made: {error}") from error


def _write_old_form(files: CheckpointFiles, folder: Path) -> None:
    """Lay out a checkpoint in the old form; its weights are links."""
    folder.mkdir()
    for path in files.folder.iterdir():
        if path.is_file():
            (folder / path.name).symlink_to(path.resolve())
    for name, source, convert in (
        ("config.json", "config.json", old_config),
        ("video_preprocessor_config.json", "preprocessor_config.json", old_video_processor),
    ):
        content = convert(read_object(files.folder / source, CheckpointError))
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_text(json.dumps(content, indent=2))


def _run(python: Path, checkpoint: Path, output: Path, weights: Weights) -> None:
    """Run the export.

    Raises: EngineError with the last words of one that failed.
    """
    command: list[str | Path] = [python.parent / "optimum-cli", "export", "openvino"]
    command += ["--model", checkpoint]
    command += ["--task", "image-text-to-text", "--weight-format", weights, output]
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environ |= {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EngineError(f"the export failed:\n{done.stderr[-2000:]}")


def _collect(exported: Path, checkpoint: CheckpointFiles, output: Path) -> None:
    """Take the models of an export, and the checkpoint's own files."""
    for model in MODELS:
        for end in (".xml", ".bin"):
            shutil.move(exported / f"{model}{end}", output / f"{model}{end}")
    for name in COMPANIONS:
        if (checkpoint.folder / name).is_file():
            shutil.copyfile(checkpoint.folder / name, output / name)
