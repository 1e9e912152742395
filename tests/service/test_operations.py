"""What operators look at: health, figures, logs; none of them tells of groups or secrets."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update

from shenhe.engines.base import ServingEngine
from shenhe.errors import EngineError
from shenhe.messages import Request, Served
from shenhe.runs.observers.json_log import JsonLog
from shenhe.service.chat.served import ChatModel, NamedModel
from shenhe.service.hub import ModelHub
from shenhe.service.keys import KeyRing
from shenhe.service.tables import JOBS
from tests.service.apis import client_of, end, form, make_service

KEY = "geheim-3c4d-admin"
HEADERS = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    service = make_service(tmp_path / "data")
    ring = KeyRing(service.store.database, KEY)
    with client_of(service, ring.find_caller) as client:
        yield client


def _figures(client: TestClient) -> dict[str, float]:
    answer = client.get("/metrics", headers=HEADERS)
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_figures_follow_what_happens(client: TestClient, demo_photos: list[Path]) -> None:
    client.post("/v1/groups", **form(demo_photos[:1]), headers=HEADERS)
    client.post("/v1/groups", **form(demo_photos[1:2], "QC-2"), headers=HEADERS)
    end(client.app.state.service.store)  # type: ignore[attr-defined]
    client.get("/wp-login.php?x=1")
    client.get("/v1/groups/nosuch", headers=HEADERS)
    figures = _figures(client)
    assert figures["shenhe_requests_total POST /v1/groups 202"] == 2
    assert figures["shenhe_requests_total GET none 401"] == 1
    assert figures["shenhe_requests_total GET /v1/groups/{job_id} 404"] == 1
    assert figures["shenhe_jobs queued"] == figures["shenhe_jobs done"] == 1
    assert figures["shenhe_backlog_bytes"] == demo_photos[1].stat().st_size
    assert figures["shenhe_uploads"] == 0
    assert "wp-login" not in str(figures)
    assert _figures(client)["shenhe_requests_total GET /metrics 200"] == 1


def test_figures_need_a_key_and_health_does_not(client: TestClient) -> None:
    assert client.get("/metrics").status_code == 401
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready", "missing": {}}


def test_a_watched_tree_that_is_away_is_told_without_its_name(tmp_path: Path) -> None:
    service = replace(make_service(tmp_path / "data"), find_problem=lambda: "/mnt/geheim: gone")
    ring = KeyRing(service.store.database, KEY)
    with client_of(service, ring.find_caller) as client:
        answer = client.get("/readyz")
        assert "geheim" in client.get("/readyz", headers=HEADERS).text
    assert answer.status_code == 503
    assert list(answer.json()["missing"]) == ["watched tree"]
    assert "geheim" not in answer.text


class _Broken(ServingEngine):
    """Ends at once, with a message that tells of the machine."""

    fingerprint = "broken"

    def serve(self, requests: Iterable[Request | None]) -> Generator[Served, None, None]:
        raise EngineError("/srv/geheim/model: out of memory")
        yield

    def cancel(self, key: str) -> None:
        """Has nothing."""


def test_what_is_wrong_with_the_model_is_told_to_admin_alone(tmp_path: Path) -> None:
    service = make_service(tmp_path / "data")
    ring = KeyRing(service.store.database, KEY)
    reader = {"X-API-Key": ring.add("看板", ["read"])}
    hub = ModelHub(_Broken, 1, pauses=[60.0])
    service = replace(service, chat=ChatModel(NamedModel("demo"), lambda: hub))
    until = time.monotonic() + 5
    while not hub.problem and time.monotonic() < until:
        time.sleep(0.01)
    with closing(hub), client_of(service, ring.find_caller) as client:
        for headers in ({}, reader, {"X-API-Key": "wrong"}):
            answer = client.get("/readyz", headers=headers)
            assert answer.status_code == 503
            assert answer.json()["missing"] == {"model": "does not answer"}
        told = client.get("/readyz", headers=HEADERS).json()["missing"]["model"]
        assert "/srv/geheim/model" in told


def test_a_log_tells_of_requests_and_not_of_what_they_hold(
    client: TestClient, tmp_path: Path, demo_photos: list[Path]
) -> None:
    path = tmp_path / "service.log"
    with closing(JsonLog(path)):
        body = form(demo_photos[:1], "QC-geheim")
        shown = client.post("/v1/groups?wait=0", **body, headers=HEADERS).json()
        client.get(f"{shown['url']}?token=geheim", headers=HEADERS)
        client.get("/v1/groups/geheim%0ageheim", headers={"X-API-Key": "geheim-wrong"})
    text = path.read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["method"], line["route"], line["status"], line["key"]) for line in lines] == [
        ("POST", "/v1/groups", 202, "admin"),
        ("GET", "/v1/groups/{job_id}", 200, "admin"),
        ("GET", "none", 401, ""),
    ]
    assert all(line["seconds"] >= 0 for line in lines)
    assert "geheim" not in text


def test_an_error_of_the_service_is_counted_as_one(
    client: TestClient, demo_photos: list[Path]
) -> None:
    service = client.app.state.service  # type: ignore[attr-defined]
    shown = client.post("/v1/groups", **form(demo_photos[:1]), headers=HEADERS).json()
    # A cell that no version has written: the row is damaged.
    with service.store.database.transaction() as connection:
        connection.execute(update(JOBS).values(state="lost"))
    answer = client.get(f"{shown['url']}/part".replace("/v1", ""), headers=HEADERS)
    assert answer.status_code == 500
    assert _figures(client)["shenhe_requests_total GET /groups/{job_id}/part 500"] == 1
