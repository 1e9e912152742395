"""What the option `vllm_options` passes on to vLLM, read without vLLM."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from shenhe.errors import OptionError

FOREIGN_CODE: Final = ("trust_remote_code", "auto_map")


def read_vllm_options(options: Iterable[str]) -> dict[str, Any]:
    """Read NAME=VALUE, a value being JSON where it can be, a text where not.

    Raises: UsageError for another form, and where an option would let foreign code run.

        >>> read_vllm_options(["max-model-len=2048", "kv_cache_dtype=fp8"])
        {'max_model_len': 2048, 'kv_cache_dtype': 'fp8'}
    """
    passed_on: dict[str, Any] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise OptionError("vllm_options", option, "write NAME=VALUE")
        key = _plain(name)
        try:
            passed_on[key] = json.loads(value)
        except ValueError:
            passed_on[key] = value
    for name, value in _pairs(passed_on):
        if _plain(name).rpartition(".")[2] in FOREIGN_CODE and value is not False:
            raise OptionError("vllm_options", name, "foreign code is refused")
    return passed_on


def _plain(name: str) -> str:
    return name.strip().lstrip("-").replace("-", "_")


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    """Go through every key of what was passed on, at any depth."""
    if isinstance(value, dict):
        yield from value.items()
    if isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _pairs(part)
