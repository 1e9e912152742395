"""Whatever may be sent by the OpenAPI document is answered, and never with an error of ours."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from shenhe.service.chat.served import ChatModel, NamedModel
from shenhe.service.hub import ModelHub
from shenhe.service.keys import KeyRing
from shenhe.service.limits import Limits
from tests.service.apis import Running, make_service, running
from tests.service.paced import PacedScript

EXAMPLES = int(os.environ.get("API_EXAMPLES", "25"))
"""How many requests are made for each operation; `make fuzz` makes many."""
CHAT = "/v1/chat/completions"
ADMIN = "geheim-of-the-administrator"
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance]
CHECKS += [response_schema_conformance]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    # No stream of events is endless here: none begins.
    limits = Limits(free_bytes=0, wait_seconds=0.05, idle_seconds=1, streams_each=0)
    folder = tmp_path_factory.mktemp("data")
    service = make_service(folder, limits, ["127.0.0.1:1"], "", b"x" * 32)
    hub = ModelHub(lambda: PacedScript(lambda request: "通过"), 4)
    with (
        closing(hub),
        running(replace(service, chat=ChatModel(NamedModel("demo"), lambda: hub))) as server,
    ):
        yield server
    service.store.close()


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    service = make_service(tmp_path_factory.mktemp("keyed"))
    with running(service, KeyRing(service.store.database, ADMIN).find_caller) as server:
        yield server
    service.store.close()


def _operations(server: Running, key: str = "") -> Any:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json", headers=headers)
    operations = []
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operations.append(result.ok())
    return operations


def test_every_operation_stands_in_the_document(server: Running) -> None:
    labels = {operation.label for operation in _operations(server)}
    named = {"POST /v1/groups", "GET /v1/groups/{job_id}", "GET /v1/events", "GET /metrics"}
    assert named <= labels


def _check(server: Running, operation: Any, examples: int) -> None:
    """Send what an operation may be sent: each answer is one that the document names."""

    @given(case=operation.as_strategy())
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize="API_EXAMPLES" not in os.environ,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def answered(case: Any) -> None:
        case.call_and_validate(base_url=server.url, checks=CHECKS)

    answered()


def test_every_answer_is_one_of_the_document_and_no_error_of_ours(server: Running) -> None:
    for operation in _operations(server):
        _check(server, operation, 5 if operation.path == CHAT else EXAMPLES)


def test_without_a_key_every_operation_answers_as_documented(keyed: Running) -> None:
    for operation in _operations(keyed, ADMIN):
        _check(keyed, operation, 3)


def test_the_document_says_how_keys_are_sent_and_names_no_answer_that_never_comes(
    server: Running,
) -> None:
    with urllib.request.urlopen(f"{server.url}/openapi.json") as answer:
        document = json.load(answer)
    assert set(document["components"]["securitySchemes"]) == {"bearer", "header"}
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            statuses = set(operation["responses"])
            takes_urls = operation.get("requestBody") is not None  # of photos
            assert ("422" in statuses) is takes_urls, path
            assert ("401" in statuses) is (operation.get("security") != []), path


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
