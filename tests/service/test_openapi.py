"""Whatever may be sent by the OpenAPI document is answered, and never with an error of ours."""

from __future__ import annotations

import os
import re
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok

from shenhe.service.limits import Limits
from tests.service.apis import Running, make_service, running

EXAMPLES = int(os.environ.get("API_EXAMPLES", "25"))
"""How many requests are made for each operation; `make fuzz` makes many."""
ENDLESS = "/v1/events"
OF_A_MODEL = re.compile("/v1/(chat|models)")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    limits = Limits(free_bytes=0, wait_seconds=0.05, idle_seconds=1)
    folder = tmp_path_factory.mktemp("data")
    service = make_service(folder, limits, ["127.0.0.1:1"], "", b"x" * 32)
    with running(service) as server:
        yield server
    service.store.close()


def _operations(server: Running) -> Any:
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    operations = []
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operations.append(result.ok())
    return operations


def test_every_operation_stands_in_the_document(server: Running) -> None:
    labels = {operation.label for operation in _operations(server)}
    named = {"POST /v1/groups", "GET /v1/groups/{job_id}", "GET /v1/events", "GET /metrics"}
    assert named <= labels


def test_no_request_is_answered_with_an_error_of_ours(server: Running) -> None:
    for operation in _operations(server):
        if operation.path == ENDLESS or OF_A_MODEL.match(operation.path):
            continue

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize="API_EXAMPLES" not in os.environ,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def answered(case: Any) -> None:
            case.call_and_validate(base_url=server.url, checks=[not_a_server_error])

        answered()


@pytest.mark.parametrize(("language", "title"), [("zh", "接口说明"), ("en", "The API")])
def test_the_page_of_the_api_shows_every_operation(
    server: Running, language: str, title: str
) -> None:
    request = urllib.request.Request(f"{server.url}/docs", headers={"Accept-Language": language})
    with urllib.request.urlopen(request) as answer:
        page = answer.read().decode()
    assert f"<h1>{title}</h1>" in page
    for operation in _operations(server):
        assert f"<code>{operation.label}</code>" in page
    assert "too_many_photos" in page
    assert f"{server.url}/v1/groups?wait=30" in page
