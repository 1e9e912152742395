"""Groups over HTTP: handed in, found again, told of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from shenhe.service.parts import Service
from tests.servers.postgres import Postgres
from tests.service.apis import client_of, end, form, make_service
from tests.service.cutting import CutWay


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return make_service(tmp_path / "data")


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    with client_of(service) as client:
        yield client


def test_a_group_is_taken_in_judged_and_shown(
    client: TestClient, service: Service, demo_photos: list[Path]
) -> None:
    answer = client.post("/v1/groups", **form(demo_photos[:2]))
    assert answer.status_code == 202, answer.text
    shown = answer.json()
    assert answer.headers["location"] == shown["url"] == f"/v1/groups/{shown['id']}"
    assert (shown["state"], shown["verdict"], shown["per_image"]) == ("queued", None, None)
    assert list(shown["facts"]) == ["图片_1", "图片_2"]
    assert shown["facts"]["图片_1"]["name"] == demo_photos[0].name
    job = service.store.get(shown["id"])
    assert job is not None
    for photo, original in zip(job.new.photos, demo_photos, strict=False):
        assert Path(str(photo.location)).read_bytes() == original.read_bytes()
    end(service.store)
    shown = client.get(shown["url"]).json()
    assert (shown["state"], shown["verdict"], shown["status"]) == ("done", "通过", "decided")
    assert shown["per_image"] == {"图片_1": "BBU设备/华为", "图片_2": "BBU设备/华为"}
    again = client.post("/v1/groups", **form(demo_photos[:2]))
    assert (again.status_code, again.json()["id"]) == (200, shown["id"])
    other = client.post("/v1/groups", **form(demo_photos[1:3])).json()
    assert (other["version"], other["current"]) == (2, True)
    assert client.get(shown["url"]).json()["current"] is False
    assert len([p for p in (service.submissions.inbox.folder).rglob("*") if p.is_file()]) == 4


def test_names_of_clients_are_no_paths(
    client: TestClient, service: Service, demo_photos: list[Path]
) -> None:
    data = demo_photos[0].read_bytes()
    names = [
        "../../../etc/passwd",
        "/etc/cron.d/x",
        "C:\\照片\\现场 1.JPG",
        ".",
        "a\u202eb.jpg",
        "",
        "n" * 500,
    ]
    shown = client.post("/v1/groups", **form([(name, data) for name in names], "QC-7")).json()
    job = service.store.get(shown["id"])
    assert job is not None
    folder = service.submissions.inbox.folder
    for number, stored in enumerate(job.new.photos, 1):
        assert isinstance(stored.location, Path)
        assert stored.location.name == f"{number:03}.jpg"
        assert stored.location.is_relative_to(folder)
    assert [photo["name"] for photo in shown["facts"].values()][:3] == ["passwd", "x", "现场 1.JPG"]


def test_photos_stay_where_the_commit_of_their_job_was_told_late(
    tmp_path: Path, postgres: Postgres, shared_url: str, demo_photos: list[Path]
) -> None:
    way = CutWay(postgres.port)
    service = make_service(tmp_path, url=shared_url.replace(str(postgres.port), str(way.port)))
    with client_of(service) as client:
        way.cut_next = True
        answer = client.post("/v1/groups", **form(demo_photos[:2]))
        assert (answer.status_code, way.cut_next) == (202, False)
        job = service.store.get(answer.json()["id"])
        assert job is not None
        assert [Path(str(photo.location)).exists() for photo in job.new.photos] == [True, True]
    service.store.close()
    way.close()


def test_photos_are_found_from_any_working_folder(
    tmp_path: Path, demo_photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    service = make_service(Path("data"))
    with client_of(service) as client:
        client.post("/v1/groups", **form(demo_photos[:1]))
    (claimed,) = service.store.claim("worker", 1)
    service.store.close()
    monkeypatch.chdir("/")
    assert Path(str(claimed.job.new.photos[0].location)).exists()


def test_an_empty_filter_filters_nothing(client: TestClient, demo_photos: list[Path]) -> None:
    assert client.post("/v1/groups", **form(demo_photos[:1])).status_code == 202
    answer = client.get("/v1/groups?state=&mission=")
    assert len(answer.json()["groups"]) == len(client.get("/v1/groups").json()["groups"]) > 0
