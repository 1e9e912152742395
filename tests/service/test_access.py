"""Who may ask: names of this machine, own pages, keys with their scopes and rates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from shenhe.cli.message_catalogue import in_chinese
from shenhe.errors import DatabaseAwayError, UsageError
from shenhe.printable import wording
from shenhe.service import keys
from shenhe.service.access import Caller
from shenhe.service.client_language import for_clients
from shenhe.service.keys import KeyRing
from shenhe.service.parts import Service
from shenhe.service.rates import Rates
from tests.servers.postgres import Postgres
from tests.service.apis import client_of, form, left_behind, make_service

ADMIN_KEY = "geheim-9d1c"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    return make_service(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def open_client(service: Service) -> Iterator[TestClient]:
    with client_of(service) as client:
        yield client


@pytest.fixture(scope="module")
def secrets(service: Service) -> dict[str, str]:
    ring = KeyRing(service.store.database)
    return {
        "submit": ring.add("工单系统", ["submit"]),
        "read": ring.add("看板", ["read"], rate=60_000),
        "slow": ring.add("慢", ["read"], rate=6),
        "admin": ADMIN_KEY,
    }


@pytest.fixture(scope="module")
def client(service: Service, secrets: dict[str, str]) -> Iterator[TestClient]:
    ring = KeyRing(service.store.database, ADMIN_KEY)
    with client_of(service, ring.find_caller) as client:
        yield client


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8770", "127.0.0.1.evil.example", "10.0.0.1"]
)
def test_other_names_of_this_machine_are_no_address(open_client: TestClient, host: str) -> None:
    answer = open_client.get("/v1/groups", headers={"Host": host})
    assert (answer.status_code, answer.json()["error"]["code"]) == (421, "unknown_host")


@pytest.mark.parametrize("host", ["localhost:8770", "127.0.0.1", "[::1]:8770"])
def test_names_of_loopback_are(open_client: TestClient, host: str) -> None:
    assert open_client.get("/v1/groups", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["null", "http://evil.example", "http://127.0.0.1:1", "https://[", ""]
)
def test_pages_of_others_may_not_ask(
    open_client: TestClient, service: Service, origin: str, demo_photos: list[Path]
) -> None:
    answer = open_client.post("/v1/groups", **form(demo_photos[:1]), headers={"Origin": origin})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "foreign_origin")
    assert left_behind(service) == []
    own = {"Origin": "http://127.0.0.1:8770"}
    assert open_client.get("/v1/groups", headers=own).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic wrong"},
        {"Authorization": f"Bearer {'x' * 5000}"},
        {"X-API-Key": "%ff"},
        {"Cookie": f"key={ADMIN_KEY}"},
    ],
)
def test_without_a_right_key_nothing_is_told(client: TestClient, headers: dict[str, str]) -> None:
    asked = (("GET", "/v1/groups"), ("POST", "/v1/groups"), ("GET", "/openapi.json"), ("GET", "/x"))
    for method, path in asked:
        answer = client.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "bad_key")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert client.get("/healthz", headers=headers).json() == {"status": "ok"}


def test_scopes_bound_what_a_key_may_do(
    client: TestClient, service: Service, secrets: dict[str, str], demo_photos: list[Path]
) -> None:
    def status(name: str, method: str) -> int:
        headers = {"Authorization": f"Bearer {secrets[name]}"}
        if method == "GET":
            return client.get("/v1/groups", headers=headers).status_code
        body = form(demo_photos[:1], f"QC-{name}")
        return client.post("/v1/groups", **body, headers=headers).status_code

    assert [status("submit", "POST"), status("submit", "GET")] == [202, 403]
    assert [status("read", "POST"), status("read", "GET")] == [403, 200]
    assert [status("admin", "POST"), status("admin", "GET")] == [202, 200]
    submitted = {job.new.group_id: job.new.submitted_by for job in service.store.list()}
    assert submitted == {"QC-submit": "工单系统", "QC-admin": "admin"}


def test_a_key_that_asks_too_often_waits(client: TestClient, secrets: dict[str, str]) -> None:
    headers = {"X-API-Key": secrets["slow"]}
    assert client.get("/v1/groups", headers=headers).status_code == 200
    refused = client.get("/v1/groups", headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_exceeded")
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert 1 <= int(refused.headers["retry-after"]) <= 10
    assert client.get("/v1/groups", headers={"X-API-Key": secrets["read"]}).status_code == 200


def test_a_bucket_fills_with_time() -> None:
    now = [0.0]
    rates, caller = Rates(lambda: now[0]), Caller("看板", frozenset(), rate=60)
    assert [rates.take(caller) for _ in range(11)] == [0.0] * 10 + [1.0]
    now[0] = 1.5
    assert rates.take(caller) == 0.0
    assert rates.take(caller) == pytest.approx(0.5)
    now[0] = 1e6
    assert [rates.take(caller) for _ in range(11)][-2:] == [0.0, 1.0]


def test_keys_are_hashed_and_removed_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_service(tmp_path).store
    ring = KeyRing(store.database)
    assert ring.find_caller("").name == ""  # type: ignore[union-attr]
    monkeypatch.setattr(keys, "FRESH_SECONDS", 0)
    secret = ring.add("工单系统", ["read", "submit"])
    for name in ("工单系统", "", " ", "admin", "a\nb", "x" * 61):
        with pytest.raises(UsageError):
            ring.add(name, ["read"])
    assert [key.scopes for key in ring.list()] == [("submit", "read")]
    assert ring.find_caller("") is None
    assert ring.find_caller(secret) == Caller("工单系统", frozenset({"submit", "read"}))
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("jobs.sqlite*"))
    assert "工单系统".encode() in files
    assert secret.encode() not in files
    ring.remove("工单系统")
    with pytest.raises(UsageError, match="no key"):
        ring.remove("工单系统")


def test_keys_that_were_read_count_while_the_database_is_away(
    tmp_path: Path, postgres: Postgres, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = make_service(tmp_path, url=database_url).store.database
    ring = KeyRing(database)
    secret = ring.add("工单系统", ["read"])
    assert ring.find_caller(secret) is not None
    monkeypatch.setattr(keys, "FRESH_SECONDS", 0)
    with postgres.closed(database_url):
        assert ring.find_caller(secret) is not None
        assert ring.find_caller("") is None
        with pytest.raises(DatabaseAwayError):
            KeyRing(database)
    database.close()


@pytest.mark.parametrize(
    ("accepted", "message"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "没有编号为 nosuch 的组"),
        ("en-GB,zh", "no group has the id nosuch"),
        ("*", "no group has the id nosuch"),
    ],
)
def test_refusals_are_in_the_language_of_the_client(
    open_client: TestClient, accepted: str, message: str
) -> None:
    with wording(for_clients(in_chinese)):
        answer = open_client.get("/v1/groups/nosuch", headers={"Accept-Language": accepted})
    assert answer.json()["error"]["message"] == message
