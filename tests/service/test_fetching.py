"""Photos by URL: from hosts that are named alone, wherever their names and answers lead."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from shenhe.errors import OptionError
from shenhe.service import fetching
from shenhe.service.allowed_hosts import AllowedHosts, ForeignHostError
from shenhe.service.limits import Limits
from tests.conftest import DEMO, MISSION
from tests.service.apis import client_of, left_behind, make_service

PHOTO = next((DEMO / "photos" / MISSION).rglob("img-001*"))


class _Photos(BaseHTTPRequestHandler):
    """A host of photos, and of all that is none."""

    def do_GET(self) -> None:
        port = self.server.server_port  # type: ignore[attr-defined]
        match self.path.partition("?")[0]:
            case "/1.jpg":
                self._send(200, PHOTO.read_bytes())
            case "/elsewhere":
                self._send(302, b"", Location=f"http://localhost:{port}/1.jpg")
            case "/page":
                self._send(200, b"<html>" * 100)
            case "/endless":
                self.send_response(200)
                self.end_headers()
                self.wfile.write(PHOTO.read_bytes())
                for _ in range(1000):
                    self.wfile.write(bytes(100_000))
            case "/late":
                time.sleep(0.2)
                self._send(200, PHOTO.read_bytes())
            case "/slow":
                time.sleep(1.5)
            case "/cut":
                self.send_response(200)
                self.send_header("Content-Length", "100000")
                self.end_headers()
                self.wfile.write(PHOTO.read_bytes()[:5000])
            case _:
                self._send(404, b"")

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Photos)
    server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def client(tmp_path: Path, port: int) -> Iterator[TestClient]:
    limits = Limits(photo_bytes=300_000, free_bytes=0)
    service = make_service(tmp_path, limits, [f"127.0.0.1:{port}"])
    with client_of(service) as client:
        yield client
    assert len(left_behind(service)) == sum(len(job.new.photos) for job in service.store.list())


def _post(client: TestClient, *urls: str) -> tuple[int, dict[str, Any]]:
    body = {"mission": MISSION, "group_id": "QC-1", "photos": list(urls)}
    answer = client.post("/v1/groups", json=body)
    return answer.status_code, answer.json()


def test_photos_are_fetched_in_their_order(client: TestClient, port: int) -> None:
    url = f"http://127.0.0.1:{port}/1.jpg"
    status, shown = _post(client, f"{url}?token=geheim", url)
    assert status == 202
    assert [fact["name"] for fact in shown["facts"].values()] == ["1.jpg", "1.jpg"]
    assert shown["facts"]["图片_1"]["flags"] == ["repeated"]


def test_a_host_that_is_late_again_and_again_is_given_up(
    client: TestClient, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "GROUP_SECONDS", 0.5)
    status, shown = _post(client, *[f"http://127.0.0.1:{port}/late"] * 5)
    assert (status, shown["error"]["code"]) == (422, "not_fetched")
    assert "within 0.5 s" in shown["error"]["message"]


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:{port}/1.jpg",  # another name, though it leads to the same
        "http://127.0.0.1/1.jpg",
        "http://127.0.0.2:{port}/1.jpg",
        "http://[::ffff:127.0.0.1]:{port}/1.jpg",
        "http://2130706433:{port}/1.jpg",
        "http://user@127.0.0.1:{port}/1.jpg",
        "http://127.0.0.1:{port}@evil.example/1.jpg",
        "http://evil.example/1.jpg",
        "file:///etc/passwd",
        "ftp://127.0.0.1:{port}/1.jpg",
        "gopher://127.0.0.1:{port}/",
        "http://[",
        "http://127.0.0.1:99999/",
        "//127.0.0.1/1.jpg",
        "",
    ],
)
def test_other_hosts_are_never_asked(client: TestClient, port: int, url: str) -> None:
    status, shown = _post(client, url.format(port=port))
    assert (status, shown["error"]["code"]) == (400, "host_not_allowed")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("elsewhere", 422, "not_fetched"),
        ("nosuch", 422, "not_fetched"),
        ("cut", 422, "not_fetched"),
        ("page", 415, "kind_not_read"),
        ("endless", 413, "photo_too_large"),
    ],
)
def test_what_is_no_photo_is_refused(
    client: TestClient, port: int, path: str, status: int, code: str
) -> None:
    good, bad = f"http://127.0.0.1:{port}/1.jpg", f"http://127.0.0.1:{port}/{path}?sig=geheim"
    answered, shown = _post(client, good, bad)
    assert (answered, shown["error"]["code"]) == (status, code)
    assert "geheim" not in shown["error"]["message"]


def test_a_host_that_does_not_answer_is_not_waited_for(
    client: TestClient, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "PHOTO_SECONDS", 0.3)
    status, shown = _post(client, f"http://127.0.0.1:{port}/slow")
    assert (status, shown["error"]["code"]) == (422, "not_fetched")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        '{"mission": 1}',
        '{"mission": "x", "group_id": "1", "photos": []}',
        "NaN",
        "9" * 5000,
    ],
)
def test_json_that_is_no_group_is_refused(client: TestClient, body: str) -> None:
    answer = client.post("/v1/groups", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed_body")


def test_a_name_that_leads_into_a_private_network_is_not_followed(
    tmp_path: Path, port: int
) -> None:
    by_name = f"http://localhost:{port}/1.jpg"
    with client_of(make_service(tmp_path / "1", allow=[f"localhost:{port}"])) as client:
        status, shown = _post(client, by_name)
        assert (status, shown["error"]["code"]) == (422, "not_fetched")
    allowed = [f"localhost:{port}", "127.0.0.0/8"]
    with client_of(make_service(tmp_path / "2", allow=allowed)) as client:
        assert _post(client, by_name)[0] == 202


def test_a_name_that_cannot_be_looked_up_is_told(tmp_path: Path) -> None:
    with client_of(make_service(tmp_path, allow=[".example.com"])) as client:
        status, shown = _post(client, f"https://{'照' * 60}.example.com/1.jpg")
    assert (status, shown["error"]["code"]) == (422, "not_fetched")


@pytest.mark.parametrize(
    ("entry", "url", "is_allowed"),
    [
        ("photos.example.com", "https://photos.example.com/1.jpg", True),
        ("photos.example.com", "https://PHOTOS.example.com:443/1.jpg", True),
        ("photos.example.com", "https://photos.example.com:8443/1.jpg", False),
        ("photos.example.com:8443", "https://photos.example.com:8443/1.jpg", True),
        ("photos.example.com", "https://a.photos.example.com/1.jpg", False),
        (".example.com", "https://a.photos.example.com/1.jpg", True),
        (".example.com", "https://evilexample.com/1.jpg", False),
        ("10.1.0.0/16", "http://10.1.2.3:9000/1.jpg", True),
        ("10.1.0.0/16", "http://10.2.2.3:9000/1.jpg", False),
        ("fd00::/8", "http://[fd00::1]/1.jpg", True),
    ],
)
def test_hosts_are_those_that_are_named(entry: str, url: str, is_allowed: bool) -> None:
    hosts = AllowedHosts([entry])
    if is_allowed:
        hosts.check(url)
    else:
        with pytest.raises(ForeignHostError):
            hosts.check(url)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "::1",
        "fe80::1",
        "::ffff:10.0.0.1",
        "224.0.0.1",
        "0.0.0.0",
        "::7f00:1",
        "::ffff:0:7f00:1",
        "2002:7f00:1::",  # 6to4
        "64:ff9b::a00:1",  # NAT64
        "64:ff9b:1::a00:1",
        "fec0::1",
    ],
)
def test_private_addresses_are_named_themselves(address: str) -> None:
    assert not AllowedHosts(["photos.example.com"]).accepts(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["93.184.216.34", "64:ff9b::5db8:d822", "2606:2800:220:1::1"])
def test_addresses_of_the_open_internet_are_not(address: str) -> None:
    assert AllowedHosts(["photos.example.com"]).accepts(ipaddress.ip_address(address))


def test_an_address_that_is_named_with_a_port_is_that_port_alone() -> None:
    hosts, address = AllowedHosts(["127.0.0.1:9000"]), ipaddress.ip_address("127.0.0.1")
    assert [hosts.accepts(address, port) for port in (9000, 80)] == [True, False]


@pytest.mark.parametrize(
    "host", ["a..example.com", f"{'a' * 70}.example.com", "[::1%25.example.com]"]
)
def test_a_name_that_cannot_be_is_no_host(host: str) -> None:
    with pytest.raises(ForeignHostError):
        AllowedHosts([".example.com"]).check(f"https://{host}/1.jpg")


@pytest.mark.parametrize("entry", ["", "http://x", "x/y", "a@b", "[", "x:99999", "1.2.3.4/33"])
def test_what_is_no_host_is_refused(entry: str) -> None:
    with pytest.raises(OptionError):
        AllowedHosts([entry])
