"""Options of vLLM itself, chosen and read without vLLM."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Final

from shenhe.checkpoints.gate import AdmittedAdapter
from shenhe.checkpoints.inspect import CheckpointFiles
from shenhe.engines.base import EngineSpec
from shenhe.engines.options import VllmOptions
from shenhe.errors import AdapterError, OptionError

LORA_RANKS: Final = (8, 16, 32, 64, 128, 256, 320, 512)
"""Values that vLLM takes as `max_lora_rank`."""
FOREIGN_CODE: Final = ("trust_remote_code", "auto_map")


def read_vllm_options(options: Iterable[str]) -> dict[str, object]:
    """Read NAME=VALUE options; a value is JSON if it can be, else text.

    Raises: UsageError for another form, and for an option that would let foreign code run.

        >>> read_vllm_options(["max-model-len=2048", "kv_cache_dtype=fp8"])
        {'max_model_len': 2048, 'kv_cache_dtype': 'fp8'}
    """
    values: dict[str, object] = {}
    for option in options:
        name, equals, text = option.partition("=")
        if not equals:
            raise OptionError("vllm_options", option, "write NAME=VALUE")
        key = _python_name(name)
        try:
            values[key] = json.loads(text)
        except ValueError:
            values[key] = text
    for name, value in _entries(values):
        if _python_name(name).rpartition(".")[2] in FOREIGN_CODE and value is not False:
            raise OptionError("vllm_options", name, "foreign code is refused")
    return values


def engine_options(
    spec: EngineSpec[VllmOptions], base: CheckpointFiles, adapters: Iterable[AdmittedAdapter]
) -> dict[str, object]:
    """Choose the options of vLLM's own engine."""
    options: dict[str, object] = {
        "model": str(base.folder),
        "trust_remote_code": False,
        "dtype": spec.engine.dtype,
        "seed": spec.seed,
        "limit_mm_per_prompt": {"video": 0},
        # Grammars are compiled by llguidance, as in the local engine.
        "structured_outputs_config": {"backend": "guidance"},
        "generation_config": "vllm",  # greedy, whatever the checkpoint's own settings say
        "disable_log_stats": True,
    }
    for adapter in adapters:
        rank = max(adapter.settings.ranks.values())
        max_rank = next((size for size in LORA_RANKS if size >= rank), rank)
        options |= {"enable_lora": True, "max_lora_rank": max_rank}
        if any(".visual." in name for name in adapter.contents.modules):
            options["enable_tower_connector_lora"] = True
    return options


def require_plain_lora(adapters: Iterable[AdmittedAdapter]) -> None:
    """Refuse adapters of which vLLM would ignore a part.

    Raises: AdapterError.
    """
    for adapter in adapters:
        if adapter.kind != "LoRA" or adapter.contents.replaced:
            raise AdapterError(
                f"{adapter.files.folder}: vLLM applies LoRA on matrices only, this is more:"
                " merge it (shenhe merge), and give the merged checkpoint"
            )


def _python_name(name: str) -> str:
    return name.strip().lstrip("-").replace("-", "_")


def _entries(value: object) -> Iterator[tuple[str, object]]:
    """Yield every key and value of nested JSON, at any depth."""
    if isinstance(value, dict):
        yield from value.items()
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _entries(part)
