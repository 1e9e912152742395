"""Debian's nginx with the configuration of `examples/nginx`, on free ports of this machine."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.servers.starting import ROOT, free_port

NAME = "review.example"


class Proxy(NamedTuple):
    """A running nginx: its ports, and what trusts its certificate alone."""

    port: int
    plain_port: int
    trust: ssl.SSLContext


def proxy_ports() -> tuple[int, int]:
    """Find nginx and two ports for it: with TLS, and without.

    Without nginx the tests are skipped, and fail where SHENHE_TESTS_NEED_SERVERS is set.
    """
    if shutil.which("nginx") is None and not Path("/usr/sbin/nginx").exists():
        if os.environ.get("SHENHE_TESTS_NEED_SERVERS"):
            pytest.fail("nginx is not installed")
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    return free_port(), free_port()


@contextmanager
def running_nginx(
    folder: Path, ports: tuple[int, int], upstream: int, *changes: tuple[str, str]
) -> Iterator[Proxy]:
    """Start nginx in front of a server of this machine, with a certificate of its own.

    `changes` are further lines of the example, each with another one in its place.
    """
    port, plain_port = ports
    key, certificate = folder / "privkey.pem", folder / "fullchain.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", f"/CN={NAME}"),
            *("-addext", f"subjectAltName=DNS:{NAME}", "-keyout", str(key)),
            *("-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    configuration = _write_configuration(folder, ports, upstream, *changes)
    process = subprocess.Popen(
        [
            *(shutil.which("nginx") or "/usr/sbin/nginx", "-p", str(folder), "-e", "error.log"),
            *(
                "-c",
                str(configuration),
                "-g",
                "daemon off;",
            ),
        ]
    )
    try:
        _wait(plain_port, process, folder)
        yield Proxy(port, plain_port, ssl.create_default_context(cafile=str(certificate)))
    finally:
        process.terminate()
        process.wait(10)


def _write_configuration(
    folder: Path, ports: tuple[int, int], upstream: int, *changes: tuple[str, str]
) -> Path:
    """Write the example with the addresses of the test; each of them must stand in it."""
    text = (ROOT / "examples" / "nginx" / "nginx.conf").read_text("utf-8")
    for example, ours in (
        ("server 127.0.0.1:8765;", f"server 127.0.0.1:{upstream};"),
        ("listen 80 default_server;", f"listen 127.0.0.1:{ports[1]} default_server;"),
        ("listen 443 ssl default_server;", f"listen 127.0.0.1:{ports[0]} ssl default_server;"),
        (f"https://{NAME}$request_uri", f"https://{NAME}:{ports[0]}$request_uri"),
        ("/etc/nginx/tls/", f"{folder}/"),
        ("/run/nginx.pid", f"{folder}/nginx.pid"),
        ("/var/log/nginx/", f"{folder}/"),
        *changes,
    ):
        assert example in text, example
        text = text.replace(example, ours)
    path = folder / "nginx.conf"
    # Root's nginx would work as a user who may not enter the folder of the test.
    path.write_text("user root;\n" * (os.geteuid() == 0) + text, "utf-8")
    return path


def _wait(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    for _ in range(200):
        if process.poll() is not None:
            raise AssertionError((folder / "error.log").read_text("utf-8"))
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.02)
    raise AssertionError("nginx does not answer")
