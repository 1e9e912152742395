"""Behind a real nginx that holds back what it is sent: events arrive as they come all the same."""

from __future__ import annotations

import http.client
import json
import socket
import time
from contextlib import closing
from pathlib import Path

from shenhe.service.keys import KeyRing
from tests.servers.nginx import NAME, proxy_ports, running_nginx
from tests.service.apis import end, make_service, running
from tests.service.handed_in import handed_in

KEY = "geheim-behind-a-proxy"
HOLDING = ("proxy_buffering off;", "proxy_buffering on;")


def test_events_arrive_at_once_behind_nginx(tmp_path: Path) -> None:
    ports = proxy_ports()
    service = make_service(tmp_path / "data")
    (tmp_path / "nginx").mkdir()
    ring = KeyRing(service.store.database, KEY)
    with (
        running(service, ring.find_caller) as server,
        running_nginx(tmp_path / "nginx", ports, server.port, HOLDING) as proxy,
        closing(http.client.HTTPSConnection(NAME, proxy.port)) as connection,
    ):
        plain = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
        connection.sock = proxy.trust.wrap_socket(plain, server_hostname=NAME)
        connection.request("GET", "/v1/events", headers={"Authorization": f"Bearer {KEY}"})
        answer = connection.getresponse()
        assert answer.readline() == b": \n"
        assert answer.readline() == b"\n"
        for number in range(2):
            service.store.submit(handed_in(f"QC-{number}", f"{number}"))
            began = time.monotonic()
            end(service.store)
            lines = [answer.readline().decode() for _ in range(4)]
            assert time.monotonic() - began < 2  # nginx would wait for kilobytes
            assert lines[1] == "event: done\n"
            assert json.loads(lines[2].removeprefix("data: "))["group_id"] == f"QC-{number}"
    service.store.close()
