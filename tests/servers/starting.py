"""Servers as processes of their own, started and stopped."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent.parent


class Served(NamedTuple):
    url: str
    port: int
    process: subprocess.Popen[str]

    def get(self, path: str) -> dict[str, Any]:
        address = f"http://127.0.0.1:{self.port}/{path}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            content: dict[str, Any] = json.load(answer)
        return content


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@contextmanager
def scripted(*arguments: str) -> Iterator[Served]:
    """Start tests.servers.scripted, on a free port unless told otherwise."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.servers.scripted", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,  # a test may have left it
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield Served(f"http://127.0.0.1:{port}/v1", port, process)
    finally:
        process.terminate()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()
