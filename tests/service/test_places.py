"""What one client has under way at once leaves room for the others; wrong keys are counted."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from fastapi import Request

from shenhe.errors import ShenheError
from shenhe.service import key_guard
from shenhe.service.access import Caller
from shenhe.service.key_guard import KeyGuard
from shenhe.service.keys import KeyRing
from shenhe.service.limits import Limits
from shenhe.service.parts import Service
from shenhe.service.places import Place
from tests.conftest import MISSION
from tests.service.apis import Running, end, make_service, multipart, running

LIMITS = Limits(free_bytes=0, uploads_each=2, streams_each=2, waits_each=2, requests_each=4)
SHORT = "geheim"


class Clients:
    """Two clients of a service, each with a key."""

    def __init__(self, served: Running, first: str, second: str) -> None:
        self.served, self.first, self.second = served, first, second

    def open(self, path: str, key: str, **further: Any) -> HTTPResponse:
        headers = {"Authorization": f"Bearer {key}"} | further.pop("headers", {})
        request = urllib.request.Request(self.served.url + path, headers=headers, **further)
        answer: HTTPResponse = urllib.request.urlopen(request, timeout=10)
        return answer

    def code(self, path: str, key: str, **further: Any) -> str:
        """Give the code of a refusal."""
        with pytest.raises(HTTPError) as refused, self.open(path, key, **further):
            pass
        with refused.value as answer:
            assert (answer.code, int(answer.headers["Retry-After"]) > 0) == (429, True)
            return str(json.load(answer)["error"]["code"])


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    return make_service(tmp_path_factory.mktemp("data"), LIMITS)


@pytest.fixture(scope="module")
def clients(service: Service) -> Iterator[Clients]:
    ring = KeyRing(service.store.database, SHORT)
    first, second = ring.add("工单系统", ["submit", "read"]), ring.add("看板", ["submit", "read"])
    with running(service, ring.find_caller) as served:
        yield Clients(served, first, second)


def _until(is_so: Callable[[], bool]) -> None:
    limit = time.monotonic() + 5
    while not is_so() and time.monotonic() < limit:
        time.sleep(0.01)
    assert is_so()


def _is_free(service: Service) -> bool:
    return not service.places._taken


def test_streams_of_one_key_are_bounded_and_their_places_come_back(
    clients: Clients, service: Service
) -> None:
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(clients.open("/v1/events", clients.first))
        assert clients.code("/v1/events", clients.first) == "too_many_streams"
        clients.open("/v1/events", clients.second).close()
    clients.open("/v1/groups?limit=1", clients.first).close()
    # A stream notices that its reader has gone as soon as there is something to say.
    _until(lambda: _is_free(service))
    clients.open("/v1/events", clients.first).close()
    with pytest.raises(HTTPError) as missing:
        clients.open("/v1/groups/nosuch/events", clients.first)
    missing.value.close()
    _until(lambda: _is_free(service))


def _post(photo: Path, group_id: str) -> dict[str, Any]:
    parts = [('name="mission"', MISSION.encode()), ('name="group_id"', group_id.encode())]
    body = multipart(*parts, ('name="photos"; filename="1.jpg"', photo.read_bytes()))
    return {"data": body, "headers": {"Content-Type": "multipart/form-data; boundary=x"}}


def test_waits_and_requests_of_one_key_are_bounded(
    clients: Clients, service: Service, demo_photos: list[Path]
) -> None:
    with clients.open("/v1/groups", clients.first, **_post(demo_photos[0], "QC-1")) as answer:
        url = json.load(answer)["url"]
    wait = f"{url}?wait=20"

    def ask(key: str) -> None:
        clients.open(wait, key).close()

    asking = [threading.Thread(target=ask, args=(clients.first,)) for _ in range(2)]
    for thread in asking:
        thread.start()
    name: Place = ("waits", ("工单系统", ""))
    _until(lambda: service.places._taken[name] == 2)
    assert clients.code(wait, clients.first) == "too_many_waits"
    posted = _post(demo_photos[1], "QC-2")
    assert clients.code("/v1/groups?wait=20", clients.first, **posted) == "too_many_waits"
    asking.append(threading.Thread(target=ask, args=(clients.second,)))
    asking[-1].start()
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(clients.open("/v1/events", clients.first))
        assert clients.code("/v1/groups", clients.first) == "too_many_requests"
        clients.open("/v1/groups", clients.second).close()
    end(service.store)
    for thread in asking:
        thread.join()
    _until(lambda: _is_free(service))
    assert service.store.waiting() == 0


def test_uploads_of_one_key_are_bounded(
    clients: Clients, service: Service, demo_photos: list[Path]
) -> None:
    posted = _post(demo_photos[2], "QC-3")
    head = (
        f"POST /v1/groups HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {clients.first}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 9000\r\n\r\n"
    )
    slow = [
        threading.Thread(
            target=clients.served.send, args=(head.encode(), (0.7, b"--x--")), kwargs={"end": True}
        )
        for _ in range(2)
    ]
    for thread in slow:
        thread.start()
    _until(lambda: service.pressure.uploads == 2)
    assert clients.code("/v1/groups", clients.first, **posted) == "too_many_uploads"
    assert clients.open("/v1/groups", clients.second, **posted).status == 202
    for thread in slow:
        thread.join()
    _until(lambda: service.pressure.uploads == 0 and _is_free(service))


def test_many_wrong_keys_of_an_address_are_told_to_wait(clients: Clients) -> None:
    def status(key: str) -> int:
        with pytest.raises(HTTPError) as refused:
            clients.open("/v1/groups", key)
        with refused.value as answer:
            return answer.code

    clients.open("/v1/groups", SHORT).close()
    assert {status("again and again") for _ in range(30)} == {401}  # one attempt
    assert [status(f"wrong-{n}") for n in range(12)][-1] == 429
    for key in (clients.first, SHORT):  # that are right, and were before
        clients.open("/v1/groups", key).close()
    with pytest.raises(HTTPError) as refused:
        urllib.request.urlopen(f"{clients.served.url}/sign-in", b"key=wrong-x")
    with refused.value as answer:
        assert (answer.code, json.load(answer)["error"]["code"]) == (429, "too_many_keys")
    with clients.open("/sign-in", "wrong-y") as page:
        assert page.status == 200


async def _ask(guard: KeyGuard, address: str, key: str) -> str:
    request = Request({"type": "http", "client": (address, 1)})
    try:
        caller = await guard.find(request, key)
    except ShenheError:
        return "wait"
    return caller.name if caller else "wrong"


def test_a_short_key_cannot_be_guessed_from_one_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_guard, "MAX_TRIED", 20)
    now = [0.0]
    keys = {"1234": Caller("short", frozenset()), "k" * 24: Caller("long", frozenset())}
    guard = KeyGuard(keys.get, lambda: now[0])

    async def attack() -> list[str]:
        guesses = [await _ask(guard, "192.0.2.7", f"{n}") for n in range(30)]
        assert guesses[9:12] == ["wrong", "wait", "wait"]
        told = [await _ask(guard, "192.0.2.7", key) for key in ("1234", "k" * 24, "")]
        told += [await _ask(guard, "192.0.2.8", "1234")]
        now[0] = 3600.0
        return [*told, await _ask(guard, "192.0.2.7", "1234")]

    async def many() -> None:
        for n in range(100):
            await _ask(guard, f"2001:db8::{n}", f"x{n}")

    # A browser of other tests leaves a loop that runs in this thread.
    with ThreadPoolExecutor(1) as elsewhere:
        told = elsewhere.submit(asyncio.run, attack()).result()
        assert told == ["wait", "long", "wrong", "short", "short"]
        elsewhere.submit(asyncio.run, many()).result()
    assert len(guard._tried) <= 20
