"""Uploads that are hostile, broken or too large: one clear error each, and nothing left behind."""

from __future__ import annotations

import io
import struct
import time
import zlib
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from shenhe.service.limits import Limits
from shenhe.service.parts import Service
from tests.conftest import MISSION
from tests.peak_memory import begin_peak
from tests.service.apis import (
    Running,
    client_of,
    left_behind,
    make_service,
    multipart,
    running,
)

LIMITS = Limits(
    photos=3,
    photo_bytes=1_000_000,
    group_bytes=2_400_000,
    photo_pixels=1_000_000,
    free_bytes=0,
    idle_seconds=0.4,
)
MISSION_PART = ('name="mission"', MISSION.encode())
GROUP_PART = ('name="group_id"', b"QC-1")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    return make_service(tmp_path_factory.mktemp("data"), LIMITS)


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[TestClient]:
    with client_of(service) as client:
        yield client


@pytest.fixture(scope="module")
def server(service: Service) -> Iterator[Running]:
    with running(service) as server:
        yield server


@pytest.fixture(autouse=True)
def _nothing_stays(service: Service) -> Iterator[None]:
    """Whatever is refused leaves no file, and is no job."""
    before = left_behind(service), service.store.waiting()
    yield
    until = time.monotonic() + 10  # a server learns of a cut a moment later
    while service.pressure.uploads and time.monotonic() < until:
        time.sleep(0.01)
    assert (left_behind(service), service.store.waiting()) == before
    assert service.pressure.uploads == 0


def jpeg(width: int = 64, height: int = 48) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), (90, 120, 60)).save(stream, "JPEG")
    return stream.getvalue()


def bomb(side: int) -> bytes:
    """Write a PNG of very many pixels in a few bytes."""
    return png(side, zlib.compress(bytes(1 + side // 8) * 64, 9))


def png(side: int, packed: bytes, kind: int = 0, depth: int = 1) -> bytes:
    """Write a square PNG of rows that are packed already."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    head = struct.pack(">IIBBBBB", side, side, depth, kind, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", packed), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def photo(content: bytes, name: str = "1.jpg") -> tuple[str, bytes]:
    return (f'name="photos"; filename="{name}"', content)


PHOTO = photo(jpeg())


def _with(name: str, value: bytes) -> bytes:
    """Write a whole body but for one field."""
    parts = {'name="mission"': MISSION.encode(), 'name="group_id"': b"QC-1"}
    return multipart(*(parts | {f'name="{name}"': value}).items(), PHOTO)


def _of(*photos: bytes) -> bytes:
    return multipart(MISSION_PART, GROUP_PART, *map(photo, photos))


BODIES = {
    "no_photos": (400, _of()),
    "missing_field": (400, multipart(MISSION_PART, PHOTO)),
    "unknown_field": (400, _with("grade", b"1")),
    "unknown_field twice": (400, multipart(MISSION_PART, MISSION_PART, PHOTO)),
    "unknown_mission": (400, _with("mission", "挡风板检查".encode())),
    "bad_group_id": (400, _with("group_id", b" ")),
    "bad_group_id long": (400, _with("group_id", b"x" * 201)),
    "bad_group_id control": (400, _with("group_id", b"a\0b")),
    "bad_lane": (400, _with("lane", b"fast")),
    "not_utf8": (400, _with("group_id", b"\xff")),
    "malformed_body": (400, b"no part at all"),
    "malformed_body no name": (400, multipart(MISSION_PART, ("x=1", b""))),
    "cut_short": (400, _of(jpeg())[:-9]),
    "cut_short empty": (400, b""),
    "empty_photo": (400, _of(b"")),
    "kind_not_read": (415, _of(b"%PDF-1.7" + bytes(600))),
    "kind_not_read page": (415, _of(b"<html>" * 200)),
    "kind_not_read zeros": (415, _of(bytes(900))),
    "too_many_photos": (413, _of(*[jpeg()] * 4)),
    "photo_too_large": (413, _of(jpeg() + bytes(1_000_000))),
    "photo_too_large pixels": (413, _of(jpeg(1200, 1000))),
    "photo_too_large bomb": (413, _of(bomb(60_000))),
    "photo_too_large bomb within": (413, _of(bomb(10_000))),
    "group_too_large": (413, _of(*[jpeg() + bytes(960_000)] * 3)),
    "field_too_large": (413, multipart(('name="mission"', bytes(5000)))),
}
"""Bodies by the code of their refusal; what follows a space tells them apart."""


@pytest.mark.parametrize("name", BODIES)
def test_what_is_refused_is_told_in_one_error(client: TestClient, name: str) -> None:
    status, body = BODIES[name]
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = client.post("/v1/groups", content=body, headers=headers)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == name.split()[0]
    assert "\n" not in error["message"]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("", "wrong_type"),
        ("text/plain", "wrong_type"),
        ("multipart/form-data", "malformed_body"),
        (f"multipart/form-data; boundary={'x' * 500}", "malformed_body"),
        ("multipart/mixed; boundary=x", "wrong_type"),
        ("application/x-www-form-urlencoded", "wrong_type"),
    ],
)
def test_other_types_are_refused(client: TestClient, kind: str, code: str) -> None:
    body = multipart(MISSION_PART, GROUP_PART, photo(jpeg()))
    answer = client.post("/v1/groups", content=body, headers={"Content-Type": kind})
    assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize("kind", [0, 6], ids=["grey", "transparent"])
def test_a_bomb_is_refused_by_its_head(client: TestClient, kind: int) -> None:
    """Small files of nearly as many pixels as are decoded anywhere: whole, and of one colour."""
    side = 14_000 if kind == 0 else 7_000
    row = bytes(1 + side * (1 if kind == 0 else 4))
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    body = _of(png(side, packed, kind, depth=8))
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    peak = begin_peak()
    answer = client.post("/v1/groups", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "photo_too_large")
    assert peak() < 60_000_000


def _head(length: int | str, further: str = "") -> bytes:
    lines = [
        "POST /v1/groups HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: multipart/form-data; boundary=x",
        f"Content-Length: {length}",
    ]
    return ("\r\n".join(lines) + further + "\r\n\r\n").encode()


WHOLE = multipart(MISSION_PART, GROUP_PART, photo(jpeg()))


def test_a_body_that_stops_is_given_up(server: Running) -> None:
    answer = server.send(_head(len(WHOLE)) + WHOLE[:300])
    assert (answer.status, answer.code) == (408, "too_slow")


def test_a_connection_that_is_cut_leaves_nothing(server: Running) -> None:
    begun = _head(len(WHOLE)) + WHOLE[:300]
    # The server has begun to receive it when it is cut.
    assert server.send(begun, (0.5, b"-"), end=True).status in (0, 400)


def test_a_length_that_is_too_short_cuts_the_body(server: Running) -> None:
    answer = server.send(_head(300) + WHOLE[:300])
    assert (answer.status, answer.code) == (400, "cut_short")


def test_a_length_over_the_limit_is_refused_before_the_body(server: Running) -> None:
    answer = server.send(_head(10**12))
    assert (answer.status, answer.code) == (413, "body_too_large")


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def test_an_endless_body_is_refused(server: Running) -> None:
    head = _head("0").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    chunk = _chunked(bytes(0x10000))
    answer = server.send(head + _chunked(WHOLE[:300]), *[(0, chunk)] * 40)
    assert (answer.status, answer.code) == (413, "photo_too_large")


def test_ten_thousand_parts_are_refused_at_the_first_that_is_too_many(server: Running) -> None:
    head = _head("0").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    parts = multipart(*[photo(jpeg(8, 8))] * 10_000)
    answer = server.send(
        head, *[(0, _chunked(parts[n : n + 60_000])) for n in range(0, len(parts), 60_000)]
    )
    assert (answer.status, answer.code) == (413, "too_many_photos")
