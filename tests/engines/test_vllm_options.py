"""Options of vLLM: which are passed on, which are refused."""

from __future__ import annotations

import pytest

from shenhe.engines.vllm_options import read_vllm_options
from shenhe.errors import UsageError


def test_values_are_json_or_text() -> None:
    options = ["max-model-len=2048", "kv_cache_dtype=fp8", 'hf_overrides={"a": 1}', "x=a=b"]
    assert read_vllm_options(options) == {
        "max_model_len": 2048,
        "kv_cache_dtype": "fp8",
        "hf_overrides": {"a": 1},
        "x": "a=b",
    }
    assert read_vllm_options(["trust_remote_code=false"]) == {"trust_remote_code": False}


@pytest.mark.parametrize(
    "option",
    [
        "trust_remote_code=true",
        "trust-remote-code=true",
        "--trust-remote-code=True",
        "trust_remote_code=1",
        "trust_remote_code=",
        'hf_overrides={"auto_map": {"AutoModel": "evil.Thing"}}',
        'speculative_config={"model": "x", "trust_remote_code": true}',
        'parts=[{"trust-remote-code": "yes"}]',
    ],
)
def test_foreign_code_is_refused_in_every_form(option: str) -> None:
    with pytest.raises(UsageError, match="foreign code is refused"):
        read_vllm_options([option])


def test_another_form_is_refused() -> None:
    with pytest.raises(UsageError, match="write NAME=VALUE"):
        read_vllm_options(["max_model_len"])
