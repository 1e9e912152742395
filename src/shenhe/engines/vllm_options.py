"""Options of vLLM itself, read without vLLM."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Final

from shenhe.errors import OptionError

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


def _python_name(name: str) -> str:
    return name.strip().lstrip("-").replace("-", "_")


def _entries(value: object) -> Iterator[tuple[str, object]]:
    """Yield every key and value of nested JSON, at any depth."""
    if isinstance(value, dict):
        yield from value.items()
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _entries(part)
