"""Refusal of quantised bases: nothing can be added to rounded weights."""

from __future__ import annotations

import json
import re
from typing import Final

from shenhe.checkpoints.foreign_code import foreign_library
from shenhe.checkpoints.inspect import CheckpointFiles
from shenhe.checkpoints.tensors import FLOAT8, read_table
from shenhe.errors import CheckpointError, spelled

SETTINGS: Final = ("quantization_config", "compression_config")
BESIDE: Final = ("hf_quant_config.json", "quantize_config.json", "quant_config.json")
"""Files of ModelOpt, GPTQ and AWQ for what is not in config.json."""
_SUFFIX = re.compile(
    r"-(?:unsloth-)?(?:bnb-4bit|fp8|awq|gptq|int4|int8|4bit|8bit|nvfp4|w\d+a\d+)\b.*", re.I
)


def refuse_quantised(files: CheckpointFiles) -> None:
    """Refuse a base that is quantised, by its configuration or by its tensors.

    Raises: CheckpointError that names the method and the checkpoint to use instead.

    Example:
        refuse_quantised(find_checkpoint("Qwen3-VL-4B-Instruct-AWQ"))  # raises

    """
    method = _read_method(files) or _find_rounded_dtype(files)
    if not method:
        return
    plain = _SUFFIX.sub("", files.folder.name)
    named = f" ({plain})" if plain and plain != files.folder.name else ""
    raise CheckpointError(
        f"{files.folder}: the base is quantised ({method}), and adapters can't be added to rounded"
        f" weights: load and merge with the unquantised checkpoint that it was made from{named};"
        f" vLLM runs quantised ones ({spelled('engine', 'vllm')} or server)"
    )


def _read_method(files: CheckpointFiles) -> str:
    path = files.folder / "config.json"
    with foreign_library(f"{path}: cannot be read", CheckpointError):
        config = json.loads(path.read_text(encoding="utf-8"))
    for settings in _collect_settings(config):
        if not isinstance(settings, dict):
            return f"quantization_config {str(settings)[:40]}"
        method = settings.get("quant_method") or settings.get("quant_algo")
        if not method:
            bits = [bit for bit in ("4", "8") if settings.get(f"load_in_{bit}bit")]
            method = f"bitsandbytes {bits[0]}-bit" if bits else "method not named"
        return str(method)[:40]
    return next((name for name in BESIDE if (files.folder / name).is_file()), "")


def _collect_settings(config: object) -> list[object]:
    """Collect quantisation settings at any depth of a configuration."""
    if isinstance(config, list):
        return [settings for part in config for settings in _collect_settings(part)]
    if not isinstance(config, dict):
        return []
    direct = [config[key] for key in SETTINGS if config.get(key)]
    nested = [settings for part in config.values() for settings in _collect_settings(part)]
    return direct + nested


def _find_rounded_dtype(files: CheckpointFiles) -> str:
    """Find a tensor whose dtype is that of quantised weights."""
    for path in files.weights:
        for name, stored in read_table(path).items():
            if stored.dtype in FLOAT8:
                return f"{name} is float8"
            if not stored.dtype.is_floating_point:
                return f"{name} is {stored.dtype.word}"
    return ""
