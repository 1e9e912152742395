"""What vLLM gives for one question costs that question alone. A stand-in takes vLLM's place here:
the real one runs in tests/peers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from shenhe.engines.base import Engine, EngineSpec
from shenhe.engines.options import VllmOptions
from shenhe.messages import Answer, Message, Request, RequestFailed

TEXT = "通过\n理由: 图片_1中"


class Scheduler:
    """vLLM's engine: ends each question by the reason that stands in it, or refuses it."""

    def __init__(self, **options: Any) -> None:
        self.llm_engine, self._waiting = self, list[SimpleNamespace]()

    def add_request(self, name: str, prompt: dict[str, Any], *_: Any, **__: Any) -> None:
        if "too long" in prompt["prompt"]:
            raise ValueError("The decoder prompt is longer than the maximum model length")
        reason = next(r for r in ("stop", "abort", "error", "length") if r in prompt["prompt"])
        said = SimpleNamespace(text=TEXT, finish_reason=reason, logprobs=None, token_ids=[1])
        self._waiting.append(
            SimpleNamespace(request_id=name, finished=True, outputs=[said], prompt_token_ids=[1])
        )

    def step(self) -> list[SimpleNamespace]:
        ended, self._waiting = self._waiting, []
        return ended


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    def anything(*_: Any, **__: Any) -> SimpleNamespace:
        return SimpleNamespace()

    modules: dict[str, dict[str, object]] = {
        "vllm": {"LLM": Scheduler, "SamplingParams": anything},
        "vllm.lora": {},
        "vllm.lora.request": {"LoRARequest": anything},
        "vllm.sampling_params": {
            "RequestOutputKind": SimpleNamespace(CUMULATIVE=1, FINAL_ONLY=2),
            "StructuredOutputsParams": anything,
        },
    }
    for name, members in modules.items():
        module = ModuleType(name)
        module.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "shenhe.engines.vllm", raising=False)
    from shenhe.engines.vllm import VllmEngine

    yield VllmEngine(EngineSpec(model="demo", engine=VllmOptions()))
    monkeypatch.delitem(sys.modules, "shenhe.engines.vllm")


def test_only_an_answer_that_ended_is_one(engine: Engine) -> None:
    requests = [
        Request(text, (Message("user", (text,)),), 8)
        for text in ("stop", "too long", "abort", "error", "length")
    ]
    results = {result.key: result for result in engine.answer(requests)}
    answers = {key: one.finish_reason for key, one in results.items() if isinstance(one, Answer)}
    assert answers == {"stop": "stop", "length": "length"}
    failed = {key: one for key, one in results.items() if isinstance(one, RequestFailed)}
    assert {key: one.code for key, one in failed.items()} == {
        "too long": "refused",
        "abort": "bad_answer",
        "error": "bad_answer",
    }
    assert "longer than the maximum" in failed["too long"].message
    assert "by abort" in failed["abort"].message
