"""The contract of engines, over those that need nothing else installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from shenhe.engines.base import EngineSpec
from shenhe.engines.local.engine import LocalEngine
from tests.engines import contract
from tests.engines.contract import CHECKS, FACTORIES, Subject
from tests.scripted import ScriptedEngine


@pytest.fixture(scope="module", params=["local", "openvino", "server", "llama.cpp", "devices"])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    with FACTORIES[request.param]("demo") as subject:
        yield subject


@pytest.mark.parametrize("subject", ["devices"], indirect=True)
def test_devices_answer_as_one_engine_does(subject: Subject, engine: LocalEngine) -> None:
    """Greedy or sampled: a request's answer is its own, whichever worker gives it."""
    requests = contract.line_requests()
    requests += [replace(request, key=f"{request.key}v", temperature=4.0) for request in requests]
    one = LocalEngine(EngineSpec(model="demo", batch_size=4, engine=engine.spec.engine))
    expected = contract.texts_by_key(one, requests)
    assert contract.texts_by_key(subject.engine, requests) == expected
    assert any(expected[f"k{n}v"] != expected[f"k{n}"] for n in range(len(contract.PHOTOS)))


@pytest.mark.parametrize("check", CHECKS)
def test_contract(check: str, subject: Subject) -> None:
    CHECKS[check](subject)


@pytest.mark.parametrize(
    "check",
    [
        contract.one_result_per_request,
        contract.no_requests_no_results,
        contract.fingerprint_is_set,
        contract.requests_are_taken_as_they_are_needed,
        contract.attempts_come_back,
        contract.pieces_join_to_the_answer,
        contract.requests_may_come_late,
        contract.pieces_come_out_of_the_batch,
    ],
)
def test_the_engine_of_other_tests_keeps_it_too(check: Callable[[Subject], None]) -> None:
    check(Subject(ScriptedEngine(lambda request: "无关图片"), refused="", kill=lambda: None))
