"""Connections that send no request, or read no answer, keep no place from others."""

from __future__ import annotations

import asyncio
import json
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from http.client import HTTPResponse
from pathlib import Path

import pytest

from shenhe.service.parts import Service
from shenhe.web.connections import Bounds
from shenhe.web.listening import GONE_SECONDS, listen_on
from tests.service.apis import Running, left_behind, make_service, running
from tests.service.chats import Slow, chatting, user

QUICK = Bounds(connections=40, head_seconds=0.5, unread_seconds=0.3, look_seconds=0.05)
PATIENT = Bounds(connections=40)
HEAD = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    return make_service(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def server(service: Service) -> Iterator[Running]:
    with running(service, bounds=QUICK) as server:
        yield server


def _connect(server: Running) -> socket.socket:
    return socket.create_connection((server.host, server.port), 5)


def _seconds_until_closed(connection: socket.socket, send: Callable[[], object] = bool) -> float:
    began = time.monotonic()
    connection.settimeout(0.05)
    while time.monotonic() - began < 5:
        with suppress(TimeoutError):
            try:
                send()
                if not connection.recv(10_000):
                    break
            except OSError as error:
                if isinstance(error, TimeoutError):
                    raise
                break
    return time.monotonic() - began


def _ask(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"\r\n")
    with HTTPResponse(connection) as answer:
        answer.begin()
        assert json.loads(answer.read()) == {"status": "ok"}


def _is_alive(server: Running) -> bool:
    with urllib.request.urlopen(f"{server.url}/healthz", timeout=5) as answer:
        return bool(json.load(answer) == {"status": "ok"})


def test_a_silent_connection_is_ended(server: Running) -> None:
    with _connect(server) as connection:
        assert 0.4 < _seconds_until_closed(connection) < 2


def test_a_head_that_comes_in_drops_is_ended(server: Running) -> None:
    with _connect(server) as connection:
        connection.sendall(HEAD)
        assert 0.4 < _seconds_until_closed(connection, lambda: connection.send(b"X: y\r\n")) < 2


def test_a_second_head_that_comes_in_drops_is_ended(server: Running) -> None:
    with _connect(server) as connection:
        _ask(connection)
        connection.sendall(HEAD)
        assert 0.4 < _seconds_until_closed(connection, lambda: connection.send(b"X: y\r\n")) < 2


def test_a_body_that_nobody_asked_for_is_not_read_for_ever(server: Running) -> None:
    with _connect(server) as connection:
        connection.sendall(HEAD + b"Content-Length: 1000000000\r\n\r\n")
        assert 0.4 < _seconds_until_closed(connection, lambda: connection.send(b"x")) < 2


def test_a_form_that_comes_in_drops_is_refused(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shenhe.web.forms.FORM_SECONDS", 0.3)
    head = b"POST /theme HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nx"
    answer = server.send(head, *[(0.1, b"y")] * 8)
    assert answer.status == 408


def test_a_peer_whose_network_is_lost_is_noticed() -> None:
    with (
        listen_on("127.0.0.1", 0) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as accepted,
    ):
        limit = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert limit == 1000 * GONE_SECONDS


def test_no_part_of_an_answer_waits_for_the_one_before_it() -> None:
    async def accept(listening: socket.socket) -> int:
        accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            sent_by = writer.get_extra_info("socket")
            accepted.set_result(sent_by.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(connected, sock=listening):
            with socket.create_connection(listening.getsockname()):
                return await accepted

    with ThreadPoolExecutor(1) as thread:  # the browser of other tests has a loop in this one
        assert thread.submit(asyncio.run, accept(listen_on("127.0.0.1", 0))).result(20)


def test_a_connection_with_requests_goes_on(server: Running) -> None:
    with _connect(server) as connection:
        for _ in range(5):
            _ask(connection)
            time.sleep(0.2)


def _begin(connection: socket.socket) -> None:
    connection.sendall(HEAD)


@pytest.mark.parametrize("use", [bool, _begin, _ask], ids=["silent", "begun", "kept"])
def test_silent_connections_keep_nobody_out(
    service: Service, use: Callable[[socket.socket], object]
) -> None:
    with running(service, bounds=PATIENT) as server, ExitStack() as stack:
        for _ in range(2 * PATIENT.connections):
            use(stack.enter_context(_connect(server)))
        assert _is_alive(server)


def test_an_answer_that_nobody_reads_is_given_up(tmp_path: Path, demo_photos: list[Path]) -> None:
    engine = Slow("字" * 10_000)
    with chatting(tmp_path, engine, bounds=QUICK) as served, _connect(served) as connection:
        body = json.dumps({"messages": [user("说", demo_photos[0])], "stream": True}).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}"
        )
        connection.sendall(f"{head}\r\n\r\n".encode() + body)
        until = time.monotonic() + 15
        while not engine.cancelled and time.monotonic() < until:
            time.sleep(0.02)
        assert len(engine.cancelled) == 1
        while left_behind(served.service) and time.monotonic() < until:
            time.sleep(0.02)
        assert left_behind(served.service) == []
        assert _is_alive(served)
