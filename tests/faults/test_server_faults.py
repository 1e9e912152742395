"""An error of the HTTP library fails its request, or the request is retried."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest

from shenhe.engines.base import EngineSpec
from shenhe.engines.options import ServerOptions
from shenhe.engines.server.engine import ServerEngine
from tests.faults.injection import NEVER, Fault, assert_accounted_for, name_of, run
from tests.servers.starting import Served, scripted

GROUPS = {"g1", "g2", "g3"}
Make = Callable[..., Path]
_KEY = Mock(ssl=True, host="127.0.0.1", port=1)
ERRORS = (
    aiohttp.ClientConnectionError("lost"),
    aiohttp.ClientConnectorError(_KEY, OSError(111, "Connection refused")),
    aiohttp.ClientConnectorDNSError(_KEY, OSError(-2, "Name or service not known")),
    aiohttp.ClientConnectorCertificateError(_KEY, ssl.SSLCertVerificationError(1, "expired")),
    aiohttp.ClientOSError(104, "Connection reset by peer"),
    aiohttp.ClientPayloadError("Response payload is not completed"),
    aiohttp.ClientResponseError(Mock(), (), status=400, message="Bad status line"),
    aiohttp.InvalidURL("http://"),
    aiohttp.ServerDisconnectedError(),
    aiohttp.ServerTimeoutError("slow"),
    aiohttp.TooManyRedirects(Mock(), ()),
    aiohttp.ContentTypeError(Mock(), ()),
    asyncio.IncompleteReadError(b"half", 9),
    asyncio.LimitOverrunError("long", 9),
    TimeoutError(),
    ConnectionResetError(104, "Connection reset by peer"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    MemoryError(),
    *NEVER,
)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with scripted() as server:
        yield server


@pytest.mark.parametrize("error", ERRORS, ids=name_of)
@pytest.mark.parametrize(
    ("owner", "name"),
    [(aiohttp.ClientSession, "_request"), (aiohttp.StreamReader, "readany")],
    ids=name_of,
)
def test_every_group_is_accounted_for(
    served: Served,
    tmp_path: Path,
    make_group: Make,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    error: BaseException,
) -> None:
    for group in sorted(GROUPS):
        make_group(group, "img-1.jpg")
    engine = ServerEngine(EngineSpec(model="scripted", engine=ServerOptions(base_url=served.url)))
    try:
        fault = Fault(owner, name, error, at=2)
        with monkeypatch.context() as patch:
            fault.inject(patch)
            assert run(engine, tmp_path / "tree", tmp_path / "out") is None
    finally:
        engine.close()
    assert fault.raised
    assert_accounted_for(tmp_path / "out", GROUPS)
