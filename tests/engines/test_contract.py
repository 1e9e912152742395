"""The contract of engines, over those that need nothing else installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.engines import contract
from tests.engines.contract import CHECKS, FACTORIES, Subject
from tests.scripted import ScriptedEngine


@pytest.fixture(scope="module", params=["local", "server", "llama.cpp"])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    with FACTORIES[request.param]("demo") as subject:
        yield subject


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
    ],
)
def test_the_engine_of_other_tests_keeps_it_too(check: Callable[[Subject], None]) -> None:
    check(Subject(ScriptedEngine(lambda request: "无关图片"), refused="", kill=lambda: None))
