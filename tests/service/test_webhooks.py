"""Results that are told: signed, to hosts that are named, again until they are taken."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from shenhe.errors import ConfigError
from shenhe.service.deliveries import EACH, Deliveries
from shenhe.service.parts import Service
from shenhe.service.webhooks import read_secret
from shenhe.web.listening import listen_on
from tests.service.apis import client_of, end, form, make_service
from tests.service.handed_in import handed_in

SECRET = b"geheim-5e1f-of-a-webhook"


class Message(NamedTuple):
    headers: dict[str, str]
    body: bytes


class Hook(ThreadingHTTPServer):
    """Takes messages, but answers the first ones by `statuses`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses: list[int] = []
        self.messages: list[Message] = []

    def url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"

    def wait_for(self, count: int) -> list[Message]:
        until = time.monotonic() + 10
        while len(self.messages) < count and time.monotonic() < until:
            time.sleep(0.01)
        return self.messages


class _Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.messages.append(Message(headers, body))
        status = self.server.statuses.pop(0) if self.server.statuses else 204
        self.send_response(status)
        if status == 302:
            self.send_header("Location", self.server.url("elsewhere"))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *values: Any) -> None:
        """Say nothing."""


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def service(tmp_path: Path, hook: Hook) -> Service:
    service = make_service(tmp_path, allow=[f"127.0.0.1:{hook.server_port}"], secret=SECRET)
    assert service.webhooks is not None
    service.webhooks.deliveries = Deliveries(service.store, pauses=[0.0, 0.0])
    return service


def _counts(service: Service) -> dict[str, int]:
    assert service.webhooks is not None
    return service.webhooks.deliveries.counts()


def _wait_until(service: Service, counts: dict[str, int]) -> None:
    until = time.monotonic() + 5
    while _counts(service) != counts and time.monotonic() < until:
        time.sleep(0.02)
    assert _counts(service) == counts


def test_a_result_is_told_signed_and_again_until_it_is_taken(
    service: Service, hook: Hook, demo_photos: list[Path]
) -> None:
    hook.statuses = [500, 302]
    with client_of(service) as client:
        shown = client.post("/v1/groups", **form(demo_photos[:1], callback=hook.url("x"))).json()
        client.post("/v1/groups", **form(demo_photos[1:2], "QC-2"))  # nobody asked to be told
        end(service.store)
        end(service.store)
        messages = hook.wait_for(3)
        _wait_until(service, {"told": 1})
    for message in messages:
        told = json.loads(message.body)
        assert told["type"] == "group.done"
        assert (told["data"]["id"], told["data"]["verdict"]) == (shown["id"], "通过")
        stamp = message.headers["webhook-timestamp"]
        assert message.headers["webhook-id"] == shown["id"]
        assert abs(int(stamp) - time.time()) < 60
        content = f"{shown['id']}.{stamp}.".encode() + message.body
        digest = base64.b64encode(hmac.new(SECRET, content, hashlib.sha256).digest()).decode()
        assert message.headers["webhook-signature"] == f"v1,{digest}"
    assert len(messages) == 3


def test_a_result_that_nobody_takes_is_given_up(
    service: Service, hook: Hook, demo_photos: list[Path]
) -> None:
    hook.statuses = [500, 500, 500, 410]
    with client_of(service) as client:
        for number in range(2):
            photos = demo_photos[number : number + 1]
            client.post("/v1/groups", **form(photos, f"QC-{number}", callback=hook.url()))
            end(service.store)
            _wait_until(service, {"given_up": number + 1})
    assert len(hook.messages) == 4


def test_what_a_killed_process_had_in_hand_is_told_by_another(
    service: Service, hook: Hook, demo_photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with client_of(service) as client:
        client.post("/v1/groups", **form(demo_photos[:1], callback=hook.url()))
    end(service.store)
    deliveries = Deliveries(service.store)
    monkeypatch.setattr("shenhe.service.deliveries.LEASE_SECONDS", 0.3)
    assert deliveries.note() == 1
    assert deliveries.note() == 0
    assert [delivery.attempts for delivery in deliveries.take(8)] == [0]  # and is killed
    assert deliveries.take(8) == []
    with client_of(service):
        assert len(hook.wait_for(1)) == 1
        _wait_until(service, {"told": 1})


@pytest.mark.parametrize("steps", range(4))
def test_it_ends_when_it_is_told_to_in_the_moment_in_which_a_result_was_told(
    service: Service, steps: int
) -> None:
    """asyncio.wait_for of Python 3.11 forgets a cancellation that comes beside its end."""
    webhooks = service.webhooks
    assert webhooks is not None

    async def run() -> bool:
        task = asyncio.create_task(webhooks.run())
        await asyncio.sleep(0.2)  # now it waits for something to do
        webhooks._has_room.set()
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task}, timeout=3)
        has_ended = task.done()
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=0.01)
        return has_ended

    # The browser of earlier tests keeps a loop that runs in this thread.
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(asyncio.run, run()).result()


def test_a_host_that_cannot_be_looked_up_costs_its_own_delivery_alone(
    tmp_path: Path, hook: Hook, demo_photos: list[Path]
) -> None:
    allowed = [".example.com", f"127.0.0.1:{hook.server_port}"]
    service = make_service(tmp_path, allow=allowed, secret=SECRET)
    with client_of(service) as client:
        for number, url in enumerate([f"https://{'照' * 60}.example.com/?token=1", hook.url()]):
            photos = demo_photos[number : number + 1]
            answer = client.post("/v1/groups", **form(photos, f"QC-{number}", callback=url))
            assert answer.status_code == 202
            end(service.store)
            time.sleep(0.6 * (1 - number))  # the first one is tried before the other is there
        assert len(hook.wait_for(1)) == 1
        _wait_until(service, {"pending": 1, "told": 1})


def test_slow_receivers_delay_nobody_but_themselves(
    tmp_path: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shenhe.service.webhooks.AT_ONCE", 16)
    with ExitStack() as stack:
        # They take connections, and never answer: the first one has many results, the rest one.
        slow = [stack.enter_context(listen_on("127.0.0.1", 0)) for _ in range(8)]
        ports = [listening.getsockname()[1] for listening in slow]
        hosts = [f"127.0.0.1:{port}" for port in [*ports, hook.server_port]]
        service = make_service(tmp_path, allow=hosts, secret=SECRET)
        urls = [f"http://{host}" for host in hosts]
        urls[:0] = [f"{urls[0]}/{number}" for number in range(17)]
        for number, url in enumerate(urls):
            new = handed_in(f"QC-{number}", f"{number}")
            service.store.submit(replace(new, callback=url))
            end(service.store)
        with client_of(service):
            assert len(hook.wait_for(1)) == 1
            assert _connections(slow[0]) == EACH


def _connections(listening: socket.socket) -> int:
    """Count the connections that wait to be taken."""
    listening.settimeout(0.5)
    with ExitStack() as stack:
        for count in range(100):
            try:
                stack.enter_context(listening.accept()[0])
            except TimeoutError:
                return count
    raise AssertionError("too many")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://evil.example/", "x", "file:///x"])
def test_others_are_never_told(service: Service, url: str, demo_photos: list[Path]) -> None:
    with client_of(service) as client:
        answer = client.post("/v1/groups", **form(demo_photos[:1], callback=url))
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "host_not_allowed")


def test_without_a_secret_nobody_is_told(tmp_path: Path, demo_photos: list[Path]) -> None:
    with client_of(make_service(tmp_path, allow=["127.0.0.1"])) as client:
        answer = client.post("/v1/groups", **form(demo_photos[:1], callback="http://127.0.0.1/"))
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "no_webhooks")


@pytest.mark.parametrize("text", ["short", "whsec_", "whsec_QUJD", "whsec_!!!!", "x" * 15])
def test_a_secret_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="SHENHE_WEBHOOK_SECRET"):
        read_secret(text)
