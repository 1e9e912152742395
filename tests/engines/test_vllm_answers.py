"""A bad output of vLLM fails its own request (by a stand-in; tests/peers run vLLM)."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from transformers import AutoTokenizer

from shenhe.checkpoints.inspect import find_checkpoint
from shenhe.engines.base import Engine, EngineSpec
from shenhe.engines.options import VllmOptions
from shenhe.messages import Answer, Message, Request, RequestFailed
from shenhe.values import FAIL, PASS

TEXT = "通过\n理由: 图片_1中"
TOP: dict[int, float] = {}
"""The log-probabilities of the first token, as vLLM lists them."""


class Scheduler:
    """vLLM's engine: ends each request with the reason that its prompt names, or refuses it."""

    def __init__(self, **options: Any) -> None:
        self.llm_engine, self._waiting = self, list[SimpleNamespace]()

    def add_request(self, name: str, prompt: dict[str, Any], *_: Any, **__: Any) -> None:
        if "too long" in prompt["prompt"]:
            raise ValueError("The decoder prompt is longer than the maximum model length")
        reason = next(r for r in ("stop", "abort", "error", "length") if r in prompt["prompt"])
        logprobs = [{token: SimpleNamespace(logprob=value) for token, value in TOP.items()}]
        completion = SimpleNamespace(
            text=TEXT, finish_reason=reason, logprobs=logprobs, token_ids=[1]
        )
        self._waiting.append(
            SimpleNamespace(
                request_id=name, finished=True, outputs=[completion], prompt_token_ids=[1]
            )
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
        "vllm.exceptions": {},
        "vllm.lora": {},
        "vllm.lora.request": {"LoRARequest": anything},
        "vllm.sampling_params": {
            "RequestOutputKind": SimpleNamespace(CUMULATIVE=1, FINAL_ONLY=2),
            "StructuredOutputsParams": anything,
        },
        "vllm.v1": {},
        "vllm.v1.engine": {},
        "vllm.v1.engine.exceptions": {
            "EngineDeadError": type("EngineDeadError", (Exception,), {}),
            "EngineGenerateError": type("EngineGenerateError", (Exception,), {}),
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


def test_only_finished_answers_count(engine: Engine) -> None:
    requests = [
        Request(text, (Message("user", (text,)),), 8)
        for text in ("stop", "too long", "abort", "error", "length")
    ]
    results = {result.key: result for result in engine.answer(requests)}
    answers = {
        key: result.finish_reason for key, result in results.items() if isinstance(result, Answer)
    }
    assert answers == {"stop": "stop", "length": "length"}
    failed = {key: result for key, result in results.items() if isinstance(result, RequestFailed)}
    assert {key: failure.code for key, failure in failed.items()} == {
        "too long": "refused",
        "abort": "bad_answer",
        "error": "bad_answer",
    }
    assert "longer than the maximum" in failed["too long"].message
    assert "by abort" in failed["abort"].message


def test_tokens_that_the_grammar_refuses_say_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vLLM lists twenty tokens also where a grammar leaves fewer; NaN still spoils them all."""
    tokenizer = AutoTokenizer.from_pretrained(find_checkpoint("demo").folder)
    passing, failing = (tokenizer(choice)["input_ids"][0] for choice in (PASS, FAIL))
    request = Request("stop", (Message("user", ("stop",)),), 8, choices=(PASS, FAIL))
    for others, expected in ((-math.inf, {PASS: -0.1, FAIL: -2.4}), (math.nan, {})):
        for token, value in ((passing, -0.1), (failing, -2.4), (0, others)):
            monkeypatch.setitem(TOP, token, value)
        (answer,) = engine.answer([request])
        assert isinstance(answer, Answer)
        assert answer.choice_logprobs == expected
