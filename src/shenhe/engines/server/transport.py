"""HTTP with one server: bounded answers, redirects within the host, faults of few kinds.

Every question has a connection of its own. What a server sends too much, or twice, ends with its
connection, and cannot be taken for the answer to the next question.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import SplitResult, unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from shenhe.engines.server.faults import (
    BadAnswerError,
    UnreachedError,
    UselessAnswerError,
    one_line,
    torn,
)
from shenhe.errors import ItemError, UsageError, item_wall
from shenhe.secrecy import KEY_VARIABLES, Secrets, api_key, redact_url

MOST_BYTES: Final = 16 << 20
"""A larger answer, also one that becomes larger when it is unpacked, is given up."""
CONNECT_SECONDS: Final = 10.0
IDLE_SECONDS: Final = 10.0
"""A body whose length was announced comes without such pauses, or not at all."""
TELLING: Final = 8
LONGEST_HEADER: Final = 1 << 16
REDIRECTS: Final = frozenset({301, 302, 307, 308})
MOST_REDIRECTS: Final = 4
_PORTS: Final = {"http": 80, "https": 443}


class Reply(NamedTuple):
    """What came back, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def fine(self) -> bool:
        """Whether it is meant as an answer."""
        return 200 <= self.status < 300


class Transport:
    """Connections to one server; lives in one event loop."""

    def __init__(self, base_url: str) -> None:
        """Connect to nothing yet.

        Raises: UsageError for an address that is none, or a key that no header can hold.
        """
        self.address = redact_url(base_url)
        self._base = _split(base_url)
        proxy = _proxy(self._base)
        self.secrets = Secrets.of(base_url, *([proxy] if proxy else []))
        self._proxy = proxy
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            # How long an answer may take is for whoever asks to say.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            headers={"Authorization": _authorization(self._base), "Accept-Encoding": "identity"},
            max_line_size=LONGEST_HEADER,
            max_field_size=LONGEST_HEADER,
        )

    async def close(self) -> None:
        """Let go of the connections."""
        await self._session.close()

    async def send(self, path: str, body: bytes | None = None) -> Reply:
        """Ask, by POST where there is a body, and read the whole reply, whatever its status.

        Raises: UnreachedError, BadAnswerError; ItemError for a redirect to elsewhere.
        """
        async with self.opened(path, body) as response:
            announced = response.headers.get("Content-Length")
            pause = IDLE_SECONDS if announced else None
            pieces = [piece async for piece in self.pieces(response, pause)]
            return Reply(response.status, response.headers, b"".join(pieces))

    @asynccontextmanager
    async def opened(self, path: str, body: bytes | None) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask, and give the response as soon as its head is there.

        Raises: as `send`.
        """
        path = f"{self._base.path.rstrip('/')}/{path}"
        url = self._base._replace(netloc=_host(self._base), path=path, fragment="")
        with self._told():
            for _ in range(MOST_REDIRECTS):
                response = await self._session.request(
                    "GET" if body is None else "POST",
                    url.geturl(),
                    data=body,
                    headers={} if body is None else {"Content-Type": "application/json"},
                    allow_redirects=False,
                    proxy=self._proxy,
                )
                target = response.headers.get("Location")
                if response.status not in REDIRECTS or not target:
                    break
                response.close()
                url = self._within(url, response.status, target)
            else:
                raise ItemError("refused", f"more than {MOST_REDIRECTS - 1} redirects")
            try:
                yield response
            finally:
                response.close()

    async def pieces(
        self, response: aiohttp.ClientResponse, pause: float | None
    ) -> AsyncIterator[bytes]:
        """Read a body as it comes. Units: `pause` between two pieces in seconds.

        Raises: BadAnswerError if it is too large, or stops before its end.
        """
        size = 0
        while True:
            try:
                async with asyncio.timeout(pause):
                    piece = await response.content.readany()
            except TimeoutError as error:
                announced = response.headers.get("Content-Length", "more")
                raise torn(f"{size} bytes of {announced} came, then nothing") from error
            if not piece:
                return
            size += len(piece)
            if size > MOST_BYTES:
                raise UselessAnswerError(f"an answer of more than {MOST_BYTES >> 20} MiB")
            yield piece

    @staticmethod
    async def beginning(pieces: AsyncIterator[bytes]) -> bytes:
        """Read as much of a body as tells what it is."""
        start = b""
        async for piece in pieces:
            start += piece
            if len(start.strip()) >= TELLING:
                break
        return start

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what the HTTP library raises into one of our faults."""
        with item_wall("bad_answer", "the server's answer", BadAnswerError):
            try:
                yield
            except (aiohttp.ClientPayloadError, aiohttp.ContentTypeError) as error:
                raise torn(f"no whole answer: {self._words(error)}") from error
            except aiohttp.ClientResponseError as error:
                said = self._words(error.message)
                what = "no HTTP"
                if said.startswith("Bad status line"):
                    what += ", or a body that is longer than it was announced"
                raise torn(f"{what}: {said}") from error
            except TimeoutError as error:
                raise UnreachedError(self._words(error), late=True) from error
            except aiohttp.ServerDisconnectedError as error:
                raise UnreachedError("the connection ended before there was an answer") from error
            except (aiohttp.ClientError, ConnectionError) as error:
                raise UnreachedError(self._words(error)) from error

    def _words(self, error: object) -> str:
        return one_line(error, self.secrets) or type(error).__name__

    def _within(self, url: SplitResult, status: int, target: str) -> SplitResult:
        """Follow a redirect, which may lead to another place of the same server alone.

        Raises: ItemError.
        """
        try:
            found = urlsplit(urljoin(url.geturl(), target))
            same = _origin(found) == _origin(url)
            safer = (url.scheme, found.scheme) == ("http", "https") and (
                url.hostname == found.hostname and {_origin(url)[2], _origin(found)[2]} == {80, 443}
            )
        except ValueError:
            same = safer = False
        if same or safer:
            return found._replace(netloc=_host(found), fragment="")
        where = one_line(redact_url(target), self.secrets)
        raise ItemError(
            "refused",
            f"status {status}: it sends us on to {where}, where nothing is sent: give that address"
            " as --base-url if it is right",
        )


def _split(url: str) -> SplitResult:
    try:
        found = urlsplit(url)
        if found.hostname and found.port != 0 and found.scheme in _PORTS:
            return found
    except ValueError:
        pass
    raise UsageError(f"--base-url {redact_url(url)}: no address; write http://HOST:PORT/v1")


def _host(url: SplitResult) -> str:
    """Give host and port, without what opens them."""
    return url.netloc.rpartition("@")[2]


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or _PORTS.get(url.scheme)


def _authorization(base: SplitResult) -> str:
    """Give the header that opens: user and password of the address, or the key."""
    if base.username is not None:
        both = f"{unquote(base.username)}:{unquote(base.password or '')}"
        return f"Basic {base64.b64encode(both.encode()).decode()}"
    key = api_key() or "none"
    if not key.isascii() or not key.isprintable():
        names = " or ".join(KEY_VARIABLES)
        raise UsageError(f"{names}: a key is made of visible ASCII characters; this one is not")
    return f"Bearer {key}"


def _proxy(base: SplitResult) -> str | None:
    """Find the proxy that the environment names for a server elsewhere.

    Raises: UsageError for one that does not speak HTTP.
    """
    host = base.hostname or ""
    proxies = getproxies()
    found = proxies.get(base.scheme) or proxies.get("all")
    if not found or is_loopback(host) or proxy_bypass(host):
        return None
    proxy = found if "://" in found else f"http://{found}"
    if not proxy.startswith(("http://", "https://")):
        raise UsageError(
            f"the proxy {redact_url(proxy)}: only http proxies can be used; take the server out by"
            f" NO_PROXY={host}"
        )
    return proxy


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
