"""Results as they come: by waiting, by events of one group, by those of all."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from shenhe.messages import Request, RequestFailed
from shenhe.service.judging import GroupJudge
from shenhe.service.parts import Service
from shenhe.service.submissions import Draft
from tests.conftest import MISSION
from tests.scripted import ScriptedEngine
from tests.service.apis import Running, client_of, end, form, make_service, running
from tests.service.ended_jobs import RULES


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return make_service(tmp_path / "data")


@pytest.fixture
def server(service: Service) -> Iterator[Running]:
    with running(service) as server:
        yield server


def _hand_in(service: Service, photo: Path, group_id: str) -> str:
    """Hand in a group of one photo; give its id."""
    reception = service.submissions.inbox.receive(service.limits)
    reception.begin_photo(photo.name)
    reception.write(photo.read_bytes())
    reception.end_photo()
    job, _ = service.submissions.accept(Draft(MISSION, group_id), reception)
    return job.id


def _later(service: Service, seconds: float = 0.2) -> threading.Timer:
    timer = threading.Timer(seconds, end, [service.store])
    timer.start()
    return timer


def _open(server: Running, path: str, **headers: str) -> HTTPResponse:
    request = urllib.request.Request(server.url + path, headers=headers)
    response: HTTPResponse = urllib.request.urlopen(request, timeout=10)
    return response


def _events(response: HTTPResponse) -> Iterator[dict[str, Any]]:
    """Read server-sent events; comments are passed over."""
    event: dict[str, Any] = {}
    for line in response:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            event[name] = value
        elif event:
            yield event | {"data": json.loads(event["data"])}
            event = {}


def test_who_waits_has_the_verdict_as_soon_as_it_is_there(
    service: Service, demo_photos: list[Path]
) -> None:
    with client_of(service) as client:
        timer = _later(service, 0.4)
        began = time.monotonic()
        shown = client.post("/v1/groups?wait=20", **form(demo_photos[:1])).json()
        assert (shown["state"], shown["verdict"]) == ("done", "通过")
        assert 0.3 < time.monotonic() - began < 5
        timer.join()
        began = time.monotonic()
        answer = client.post("/v1/groups?wait=0.3", **form(demo_photos[1:2], "QC-2"))
        assert (answer.status_code, answer.json()["state"]) == (202, "queued")
        assert 0.2 < time.monotonic() - began < 5
        timer = _later(service)
        assert client.get(f"{answer.json()['url']}?wait=20").json()["state"] == "done"
        timer.join()


def test_waiting_needs_a_number_of_seconds(service: Service) -> None:
    with client_of(service) as client:
        for wait in ("nan", "-1", "inf", "1e9", "soon", ""):
            answer = client.post(f"/v1/groups?wait={wait}", json={})
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_parameter")


def test_events_of_a_group_end_with_it(
    server: Running, service: Service, demo_photos: list[Path]
) -> None:
    path = f"/v1/groups/{_hand_in(service, demo_photos[0], 'QC-1')}/events"
    with _open(server, path) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        events = _events(response)
        assert next(events)["event"] == "queued"
        timer = _later(service)
        states = [(event["event"], event["data"]["verdict"]) for event in events]
        assert states[-1] == ("done", "通过")
        timer.join()
    with _open(server, path) as response:
        assert [event["event"] for event in _events(response)] == ["done"]


def test_all_results_come_in_their_order_and_none_twice(
    server: Running, service: Service, demo_photos: list[Path]
) -> None:
    for number in range(3):
        _hand_in(service, demo_photos[number], f"QC-{number}")
    end(service.store)
    with _open(server, "/v1/events") as response:  # from now on
        end(service.store)
        event = next(_events(response))
        assert (event["event"], event["data"]["group_id"]) == ("done", "QC-1")
    with _open(server, "/v1/events", **{"Last-Event-ID": event["id"]}) as response:
        end(service.store)
        assert next(_events(response))["data"]["group_id"] == "QC-2"
    with _open(server, "/v1/events?after=0") as response:
        events = _events(response)
        assert [next(events)["data"]["group_id"] for _ in range(3)] == ["QC-0", "QC-1", "QC-2"]


def test_a_service_that_ends_lets_streams_go(service: Service, demo_photos: list[Path]) -> None:
    with running(service) as server:
        response = _open(server, "/v1/events")
        began = time.monotonic()
    assert time.monotonic() - began < 3
    assert list(_events(response)) == []


def test_pages_of_groups_follow_each_other(service: Service, demo_photos: list[Path]) -> None:
    for number in range(5):
        _hand_in(service, demo_photos[number], f"QC-{number}")
    end(service.store)
    with client_of(service) as client:
        pages, after = [], 0
        while after is not None:
            page = client.get(f"/v1/groups?limit=2&after={after}").json()
            pages.append([group["group_id"] for group in page["groups"]])
            after = page["next"]
        assert pages == [["QC-0", "QC-1"], ["QC-2", "QC-3"], ["QC-4"]]
        done = client.get("/v1/groups?state=done&mission=挡风板安装检查").json()
        assert [group["group_id"] for group in done["groups"]] == ["QC-0"]
        assert client.get("/v1/groups?mission=没有").json()["groups"] == []
        for query in (
            "state=lost",
            "after=-1",
            "after=x",
            f"after={2**70}",
            "limit=0",
            "limit=999",
        ):
            assert client.get(f"/v1/groups?{query}").status_code == 400
        assert client.get("/v1/groups/nosuch").json()["error"]["code"] == "unknown_group"


def test_an_id_that_was_never_given_is_that_of_the_last(
    service: Service, server: Running, demo_photos: list[Path]
) -> None:
    with _open(server, "/v1/events", **{"Last-Event-ID": "9" * 40}) as response:
        job_id = _hand_in(service, demo_photos[0], "QC-1")
        _later(service, 0.1)
        assert next(_events(response))["data"]["id"] == job_id


def test_a_photo_without_a_line_is_called_as_its_client_calls_it(
    service: Service, tmp_path: Path, demo_photos: list[Path]
) -> None:
    """In the reason, and in the failures; where it lies is told to nobody."""
    names = ("现场/IMG_1.jpg", "C:\\照片\\机柜.jpg", "IMG_1.jpg")
    photos = [
        (name, photo.read_bytes()) for name, photo in zip(names, demo_photos[:3], strict=True)
    ]
    with client_of(service) as client:
        sent = client.post("/v1/groups", **form(photos)).json()
        (claimed,) = service.store.claim("test", 1)
        stored = claimed.job.new.photos

        def fail(request: Request) -> RequestFailed:
            photo = stored[int(request.key.rpartition("_")[2]) - 1]
            return RequestFailed(request.key, "not_a_photo", f"{photo.location}: no photo")

        judge = GroupJudge(RULES, "scripted", tmp_path / "data")
        assert service.store.finish(claimed, judge.judge(claimed.job, ScriptedEngine(fail)))
        shown = client.get(sent["url"]).json()
    assert shown["status"] == "undecided"
    for name in ("图片_1 IMG_1.jpg（", "机柜.jpg（", "图片_3 IMG_1.jpg（"):
        assert name in shown["reason"]
    assert shown["failures"][1]["message"] == "机柜.jpg: no photo"
    told = json.dumps(shown, ensure_ascii=False)
    assert str(tmp_path) not in told
    assert "002.jpg" not in told
