"""What is known of photos before any model, and what is refused before it is taken in."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import pytest
from PIL import Image, ImageFilter
from sqlalchemy import event

from shenhe.service.inbox import Inbox
from shenhe.service.keys import KeyRing
from shenhe.service.limits import Limits
from shenhe.service.refusals import RefusedError
from tests.servers.postgres import PASSWORD, Postgres
from tests.service.apis import client_of, end, form, make_service


def _encoded(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=90)
    return stream.getvalue()


def test_dark_blurred_damaged_and_reused_photos_are_told_at_once(
    tmp_path: Path, demo_photos: list[Path]
) -> None:
    with Image.open(demo_photos[3]) as image:
        dark = _encoded(image.point(lambda value: value // 12))
        blurred = _encoded(image.filter(ImageFilter.GaussianBlur(16)))
    photos: list[Path | tuple[str, bytes]] = [
        demo_photos[0],
        ("dark.jpg", dark),
        ("blurred.jpg", blurred),
        ("cut.jpg", demo_photos[1].read_bytes()[:9000]),
    ]
    service = make_service(tmp_path)
    with client_of(service) as client:
        client.post("/v1/groups", **form(demo_photos[:1], "QC-1"))
        end(service.store)
        began = time.monotonic()
        answer = client.post("/v1/groups", **form(photos, "QC-2"))
        assert time.monotonic() - began < 1
        assert answer.status_code == 202
        facts = list(answer.json()["facts"].values())
        assert [fact["flags"] for fact in facts] == [["reused"], ["dark"], ["blurred"], []]
        assert facts[0]["reused"] == [
            {"group_id": "QC-1", "mission": "挡风板安装检查", "same_content": True}
        ]
        assert facts[3]["problem"].startswith("truncated: ")
        assert str(tmp_path) not in answer.text
        # Whoever had it first learns it too.
        (first,) = client.get("/v1/groups?limit=1").json()["groups"]
        assert first["facts"]["图片_1"]["flags"] == ["reused"]
        # Another version of the group, or the group under another mission, is no other order.
        again = client.post("/v1/groups", **form([*photos[:1], demo_photos[2]], "QC-1")).json()
        assert [use["group_id"] for use in again["facts"]["图片_1"]["reused"]] == ["QC-2"]


def test_who_may_only_hand_in_learns_no_names_of_others(
    tmp_path: Path, demo_photos: list[Path]
) -> None:
    service = make_service(tmp_path)
    ring = KeyRing(service.store.database)
    keys = {name: ring.add(name, [name]) for name in ("submit", "read")}
    headers = {name: {"X-API-Key": key} for name, key in keys.items()}
    with client_of(service, ring.find_caller) as client:
        for number in range(3):
            body = form(demo_photos[:1], f"QC-geheim-{number}")
            answer = client.post("/v1/groups", **body, headers=headers["submit"])
        photo = answer.json()["facts"]["图片_1"]
        assert (photo["flags"], photo["reused_count"], photo["reused"]) == (["reused"], 2, None)
        assert "QC-geheim-0" not in answer.text
        read = client.get(answer.json()["url"], headers=headers["read"]).json()
        uses = [use["group_id"] for use in read["facts"]["图片_1"]["reused"]]
        assert uses == ["QC-geheim-0", "QC-geheim-1"]


def test_a_page_of_groups_costs_a_few_questions_to_the_database(
    tmp_path: Path, demo_photos: list[Path]
) -> None:
    service = make_service(tmp_path)
    with client_of(service) as client:
        for number in range(12):
            client.post("/v1/groups", **form(demo_photos[number : number + 3], f"QC-{number}"))
        asked: list[str] = []

        def note(connection: object, cursor: object, statement: str, *further: object) -> None:
            asked.append(statement)

        event.listen(service.store.database.engine, "before_cursor_execute", note)
        counts = []
        for limit in (1, 12):
            asked.clear()
            page = client.get(f"/v1/groups?limit={limit}").json()["groups"]
            counts.append((len(page), len(asked)))
    assert counts == [(1, 2), (12, 2)]
    assert [use["group_id"] for use in page[2]["facts"]["图片_1"]["reused"]] == ["QC-0", "QC-1"]


def test_a_full_backlog_refuses_until_it_is_worked_off(
    tmp_path: Path, demo_photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shenhe.service.pressure.LOOK_SECONDS", 0)
    service = make_service(tmp_path, Limits(backlog=1, free_bytes=0))
    with client_of(service) as client:
        assert client.post("/v1/groups", **form(demo_photos[:1])).status_code == 202
        refused = client.post("/v1/groups", **form(demo_photos[1:2], "QC-2"))
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "backlog_full")
        assert int(refused.headers["retry-after"]) > 0
        end(service.store)
        assert client.post("/v1/groups", **form(demo_photos[1:2], "QC-2")).status_code == 202


def test_a_disk_that_fills_up_refuses(
    tmp_path: Path, demo_photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with client_of(make_service(tmp_path / "full", Limits(free_bytes=2**62))) as client:
        refused = client.post("/v1/groups", **form(demo_photos[:1]))
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "disk_full")
    reception = Inbox(tmp_path / "photos").receive(Limits())
    reception.begin_photo("1.jpg")
    assert reception._writer is not None
    reception._writer._file.close()
    with (
        Path("/dev/full").open("wb", buffering=0) as reception._writer._file,
        pytest.raises(RefusedError, match="full") as refusal,
    ):
        reception.write(demo_photos[0].read_bytes())
    assert (refusal.value.status, refusal.value.code) == (429, "disk_full")
    reception.close()
    assert not reception.folder.exists()


def test_a_database_that_is_away_is_told_with_503(
    tmp_path: Path, postgres: Postgres, database_url: str
) -> None:
    service = make_service(tmp_path, url=database_url)
    with client_of(service) as client:
        assert client.get("/readyz").json() == {"status": "ready", "missing": {}}
        with postgres.closed(database_url):
            answer = client.get("/readyz")
            assert (answer.status_code, answer.json()["status"]) == (503, "not_ready")
            assert client.get("/healthz").status_code == 200
            for answer in (client.get("/v1/groups"), client.post("/v1/groups", json={})):
                assert (answer.status_code, answer.json()["error"]["code"]) == (
                    503,
                    "database_away",
                )
                assert answer.headers["retry-after"] == "5"
                assert PASSWORD not in answer.text
    service.store.database.close()


def test_what_was_left_half_received_is_swept(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "photos")
    fresh, stale = inbox.receive(Limits()), inbox.receive(Limits())
    os.utime(stale.folder, (1, 1))
    assert inbox.sweep() == 1
    assert fresh.folder.exists()
    assert not stale.folder.exists()
