"""HTTP with one server: bounded responses, redirects within the host, few kinds of errors.

Every request has its own connection: surplus bytes of a response end with the connection, and
cannot be taken for the response to the next request.
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
    UnreachableError,
    UselessAnswerError,
    to_one_line,
    torn_answer,
)
from shenhe.errors import ItemError, OptionError, UsageError, item_wall, spelled
from shenhe.secrecy import KEY_VARIABLES, Secrets, api_key, redact_url

MAX_BYTES: Final = 16 << 20
"""Size limit of a response, before and after decompression."""
CONNECT_SECONDS: Final = 10.0
IDLE_SECONDS: Final = 10.0
"""Longest pause within a body of announced length."""
START_BYTES: Final = 8
MAX_HEADER_BYTES: Final = 1 << 16
REDIRECTS: Final = frozenset({301, 302, 307, 308})
MAX_REDIRECTS: Final = 4
_PORTS: Final = {"http": 80, "https": 443}


class HttpReply(NamedTuple):
    """A complete response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the status is a success."""
        return 200 <= self.status < 300


class Transport:
    """Connections to one server; lives in one event loop."""

    def __init__(self, base_url: str) -> None:
        """Set up without connecting.

        Raises: UsageError for an invalid address, or a key that no header can hold.
        """
        self.address = redact_url(base_url)
        self._base = _split_url(base_url)
        proxy = _find_proxy(self._base)
        self.secrets = Secrets.of(base_url, *([proxy] if proxy else []))
        self._proxy = proxy
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            # The time limit of an answer is the caller's.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            headers={"Authorization": _authorization(self._base), "Accept-Encoding": "identity"},
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def send(self, path: str, body: bytes | None = None) -> HttpReply:
        """Send a request, POST if there is a body, and read the whole response of any status.

        Raises: UnreachableError, BadAnswerError; ItemError for a redirect to another host.
        """
        async with self.open_response(path, body) as response:
            pause = IDLE_SECONDS if response.headers.get("Content-Length") else None
            chunks = [chunk async for chunk in self.chunks(response, pause)]
            return HttpReply(response.status, response.headers, b"".join(chunks))

    @asynccontextmanager
    async def open_response(
        self, path: str, body: bytes | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request, and yield the response as soon as its headers are there.

        A path with a leading `/` is from the server's root, above `/v1`.
        Raises: as `send`.
        """
        base = self._base.path.rstrip("/")
        if path.startswith("/"):
            base, path = base.removesuffix("/v1"), path[1:]
        path = f"{base}/{path}"
        url = self._base._replace(netloc=_host_and_port(self._base), path=path, fragment="")
        with self._map_errors():
            for _ in range(MAX_REDIRECTS):
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
                url = self._follow_redirect(url, response.status, target)
            else:
                raise ItemError("refused", f"more than {MAX_REDIRECTS - 1} redirects")
            try:
                yield response
            finally:
                response.close()

    async def chunks(
        self, response: aiohttp.ClientResponse, pause: float | None
    ) -> AsyncIterator[bytes]:
        """Read a body as it arrives. Units: `pause` between two chunks in seconds.

        Raises: BadAnswerError if it is too large, or stops before its end.
        """
        size = 0
        while True:
            try:
                async with asyncio.timeout(pause):
                    chunk = await response.content.readany()
            except TimeoutError as error:
                announced = response.headers.get("Content-Length", "more")
                raise torn_answer(f"{size} bytes of {announced} came, then nothing") from error
            if not chunk:
                return
            size += len(chunk)
            if size > MAX_BYTES:
                raise UselessAnswerError(f"an answer of more than {MAX_BYTES >> 20} MiB")
            yield chunk

    @staticmethod
    async def read_start(chunks: AsyncIterator[bytes]) -> bytes:
        """Read as much of a body as shows its kind."""
        start = b""
        async for chunk in chunks:
            start += chunk
            if len(start.strip()) >= START_BYTES:
                break
        return start

    @contextmanager
    def _map_errors(self) -> Iterator[None]:
        """Map exceptions of the HTTP library to the errors of `faults`."""
        with item_wall("bad_answer", "the server's answer", BadAnswerError):
            try:
                yield
            except (aiohttp.ClientPayloadError, aiohttp.ContentTypeError) as error:
                raise torn_answer(f"no whole answer: {self._describe(error)}") from error
            except aiohttp.ClientResponseError as error:
                message = self._describe(error.message)
                problem = "no HTTP"
                if message.startswith("Bad status line"):
                    problem += ", or a body that is longer than it was announced"
                raise torn_answer(f"{problem}: {message}") from error
            except TimeoutError as error:
                raise UnreachableError(self._describe(error), late=True) from error
            except aiohttp.ServerDisconnectedError as error:
                raise UnreachableError("the connection ended before there was an answer") from error
            except (aiohttp.ClientError, ConnectionError) as error:
                raise UnreachableError(self._describe(error)) from error

    def _describe(self, error: object) -> str:
        return to_one_line(error, self.secrets) or type(error).__name__

    def _follow_redirect(self, url: SplitResult, status: int, target: str) -> SplitResult:
        """Resolve a redirect, which must stay on the same server.

        Raises: ItemError.
        """
        try:
            resolved = urlsplit(urljoin(url.geturl(), target))
            allowed = _origin(resolved) == _origin(url) or _is_upgrade(url, resolved)
        except ValueError:
            allowed = False
        if allowed:
            return resolved._replace(netloc=_host_and_port(resolved), fragment="")
        address = to_one_line(redact_url(target), self.secrets)
        raise ItemError(
            "refused",
            f"status {status}: it sends us on to {address}, where nothing is sent: give that"
            f" address as {spelled('base_url')} if it is right",
        )


def _split_url(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if parts.hostname and parts.port != 0 and parts.scheme in _PORTS:
            return parts
    except ValueError:
        pass
    raise OptionError("base_url", redact_url(url), "no address; write http://HOST:PORT/v1")


def _host_and_port(url: SplitResult) -> str:
    """Return host and port, without user and password."""
    return url.netloc.rpartition("@")[2]


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or _PORTS.get(url.scheme)


def _is_upgrade(url: SplitResult, target: SplitResult) -> bool:
    """Whether a redirect leads from HTTP to HTTPS of the same host, on the usual ports."""
    return (
        (url.scheme, target.scheme) == ("http", "https")
        and url.hostname == target.hostname
        and {_origin(url)[2], _origin(target)[2]} == {80, 443}
    )


def _authorization(base: SplitResult) -> str:
    """Return the Authorization header: user and password of the address, or the key."""
    if base.username is not None:
        credentials = f"{unquote(base.username)}:{unquote(base.password or '')}"
        return f"Basic {base64.b64encode(credentials.encode()).decode()}"
    key = api_key() or "none"
    if not key.isascii() or not key.isprintable():
        names = " or ".join(KEY_VARIABLES)
        raise UsageError(f"{names}: a key is made of visible ASCII characters; this one is not")
    return f"Bearer {key}"


def _find_proxy(base: SplitResult) -> str | None:
    """Find the proxy that the environment names for a remote server.

    Raises: UsageError for one that does not speak HTTP.
    """
    host = base.hostname or ""
    proxies = getproxies()
    address = proxies.get(base.scheme) or proxies.get("all")
    if not address or is_loopback(host) or proxy_bypass(host):
        return None
    proxy = address if "://" in address else f"http://{address}"
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
