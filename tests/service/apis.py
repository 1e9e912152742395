"""A service without a model for tests of its doors: jobs are ended by the test."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn
from fastapi.testclient import TestClient

from shenhe.config import load_missions
from shenhe.service import server
from shenhe.service.access import EVERYBODY, FindCaller
from shenhe.service.allowed_hosts import AllowedHosts
from shenhe.service.app import create_app
from shenhe.service.jobs import Job
from shenhe.service.limits import Limits
from shenhe.service.parts import Service
from shenhe.service.store import JobStore, open_store
from shenhe.web.connections import BoundedProtocol, Bounds, configure
from shenhe.web.listening import listen_on
from tests.conftest import MISSION
from tests.service.handed_in import judged

URL = "http://127.0.0.1:8770"


def make_service(
    data_dir: Path,
    limits: Limits | None = None,
    allow: Sequence[str] = (),
    url: str = "",
    secret: bytes = b"",
) -> Service:
    store, hosts = open_store(data_dir, url), AllowedHosts(allow)
    return server.make_service(
        store, data_dir, load_missions(), limits or Limits(free_bytes=0), hosts, secret
    )


@contextmanager
def client_of(
    service: Service, find_caller: FindCaller = lambda key: EVERYBODY
) -> Iterator[TestClient]:
    app = create_app(service, find_caller)
    with TestClient(app, base_url=URL, raise_server_exceptions=False) as client:
        yield client


def form(
    photos: Sequence[Path | tuple[str, bytes]], group_id: str = "QC-1", **fields: str
) -> dict[str, Any]:
    """Give the arguments of a multipart request."""
    files = [
        ("photos", (photo.name, photo.read_bytes()) if isinstance(photo, Path) else photo)
        for photo in photos
    ]
    return {"files": files, "data": {"mission": MISSION, "group_id": group_id, **fields}}


def end(store: JobStore) -> Job:
    """End the next job as a worker would."""
    (claimed,) = store.claim("test", 1)
    assert store.finish(claimed, judged(claimed.job))
    job = store.get(claimed.job.id)
    assert job is not None
    return job


class Running(NamedTuple):
    """A service that answers on a port of this machine, in a thread of the tests."""

    service: Service
    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def send(self, data: bytes, *further: tuple[float, bytes], end: bool = False) -> Answer:
        """Send bytes as they are, and read the answer; `further` come after pauses."""
        with socket.create_connection((self.host, self.port), 20) as connection:
            connection.sendall(data)
            for pause, later in further:
                time.sleep(pause)
                with suppress(OSError):  # it may have been refused by now
                    connection.sendall(later)
            if end:
                connection.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):
                return Answer.read(connection)
        return Answer(0, {})


class Answer(NamedTuple):
    """The status of an answer, and its JSON."""

    status: int
    body: dict[str, Any]

    @property
    def code(self) -> str:
        return str(self.body["error"]["code"])

    @classmethod
    def read(cls, connection: socket.socket) -> Answer:
        response = http.client.HTTPResponse(connection)
        response.begin()
        return cls(response.status, json.loads(response.read()))


@contextmanager
def running(
    service: Service,
    find_caller: FindCaller = lambda key: EVERYBODY,
    bounds: Bounds | None = None,
) -> Iterator[Running]:
    """Answer with a real server meanwhile."""
    listening = listen_on("127.0.0.1", 0)
    protocol = type("Protocol", (BoundedProtocol,), {"bounds": bounds or Bounds()})
    config = configure(create_app(service, find_caller), 20, protocol=protocol)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield Running(service, *listening.getsockname()[:2])
    finally:
        service.bell.is_closing = server.should_exit = True
        thread.join()


def multipart(*parts: tuple[str, bytes], boundary: str = "x") -> bytes:
    """Write parts, each with the values of its Content-Disposition, as a body."""
    written = (
        b"--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n"
        % (boundary.encode(), head.encode(), content)
        for head, content in parts
    )
    return b"".join(written) + f"--{boundary}--\r\n".encode()


def left_behind(service: Service) -> list[Path]:
    """List the files that submissions left."""
    return [path for path in service.submissions.inbox.folder.rglob("*") if path.is_file()]
